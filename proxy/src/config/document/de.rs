//! Reading typed configuration from the tree: serde's `Deserializer` over [`Node`].
//!
//! Every method that can fail passes its fault through [`Fault::at`] (which places it, if nothing further
//! in has) and [`Fault::within`] (which adds a step to its path), so that whatever serde complains about
//! ends up with the innermost place that is known.

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
    value::{MapDeserializer, UnitDeserializer},
};

use super::{
    Entry, Node, Step, Table, Value,
    fault::{Fault, Kind},
};

type Empty = MapDeserializer<'static, std::iter::Empty<(&'static str, &'static str)>, Fault>;

/// Reads a node as `T`.
pub(super) fn read<T: DeserializeOwned>(node: &Node) -> Result<T, Fault> {
    T::deserialize(Reader(node)).map_err(|fault| fault.at(node))
}

/// A node that is read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a Node);

impl<'a> Reader<'a> {
    fn scalar<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.0.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Int(value) => match (i64::try_from(*value), u64::try_from(*value)) {
                (_, Ok(value)) => visitor.visit_u64(value),
                (Ok(value), _) => visitor.visit_i64(value),
                _ => Err(Fault::unfit(self.0, "a number of at most 64 bits")),
            },
            Value::Float(value) => visitor.visit_f64(*value),
            Value::Text(value) => visitor.visit_borrowed_str(value),
            Value::Array(items) => Self::array(items, visitor),
            Value::Table(table) => visitor.visit_map(Entries::of(table)),
        }
    }

    fn array<V: Visitor<'a>>(items: &'a [Node], visitor: V) -> Result<V::Value, Fault> {
        let mut elements = Elements { items, next: 0 };
        let value = visitor.visit_seq(&mut elements)?;
        if elements.items[elements.next..].iter().all(|item| item.set_aside) {
            return Ok(value);
        }
        Err(Fault::new(Kind::Unfit {
            found: format!("an array of {} elements", items.len()),
            expected: format!("an array of {}", elements.next),
            help: None,
        }))
    }
}

/// The same as `deserialize_any`.
macro_rules! by_its_own_type {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.deserialize_any(visitor)
        })*
    };
}

impl<'de> de::Deserializer<'de> for Reader<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.scalar(visitor).map_err(|fault| fault.at(self.0))
    }

    by_its_own_type! {
        deserialize_bool deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128 deserialize_f32
        deserialize_f64 deserialize_char deserialize_bytes deserialize_byte_buf deserialize_unit
        deserialize_seq deserialize_map deserialize_identifier
    }

    /// On a command line `5` may be meant as text.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match (&self.0.value, self.0.origin.raw_text()) {
            (Value::Bool(_) | Value::Int(_) | Value::Float(_), Some(text)) => {
                visitor.visit_str(text).map_err(|fault: Fault| fault.at(self.0))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match &self.0.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        };
        value.map_err(|fault: Fault| fault.at(self.0))
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self).map_err(|fault: Fault| fault.at(self.0))
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _size: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _size: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_any(visitor)
    }

    /// Only a table is read as a struct: serde would take an array for its fields in order, too.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if self.0.table().is_some() {
            return self.deserialize_any(visitor);
        }
        let help = (!fields.is_empty()).then(|| format!("its keys: {}", fields.join(", ")));
        let found = self.0.value.describe();
        Err(Fault::new(Kind::Unfit { found, expected: "a table".to_owned(), help }).at(self.0))
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let not_one = |found: String| Fault::new(Kind::NotOne { found, known: variants.to_vec() });
        let value = match &self.0.value {
            Value::Text(_) => visitor.visit_enum(Choice { node: self.0, entry: None }),
            Value::Table(table) => {
                let mut entries = table.entries.iter().filter(|entry| !entry.node.set_aside);
                match (entries.next(), entries.next()) {
                    (Some(entry), None) => {
                        visitor.visit_enum(Choice { node: self.0, entry: Some(entry) })
                    }
                    (None, _) => Err(not_one("an empty table".to_owned())),
                    _ => {
                        let keys: Vec<&str> = table.keys().collect();
                        Err(not_one(format!("a table of {}", keys.join(", "))))
                    }
                }
            }
            value => Err(not_one(value.describe())),
        };
        value.map_err(|fault| fault.at(self.0))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_unit()
    }
}

/// The elements of an array.
struct Elements<'a> {
    items: &'a [Node],
    next: usize,
}

impl<'de> SeqAccess<'de> for &mut Elements<'de> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Fault> {
        while let Some(node) = self.items.get(self.next) {
            let index = self.next;
            self.next += 1;
            if !node.set_aside {
                let value = seed.deserialize(Reader(node));
                return value
                    .map(Some)
                    .map_err(|fault| fault.at(node).within(|| Step::Index(index)));
            }
        }
        Ok(None)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.items.len() - self.next)
    }
}

/// The entries of a table.
struct Entries<'a> {
    rest: std::slice::Iter<'a, Entry>,
    current: Option<&'a Entry>,
}

impl<'a> Entries<'a> {
    fn of(table: &'a Table) -> Self {
        Self { rest: table.entries.iter(), current: None }
    }
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Fault> {
        self.current = self.rest.find(|entry| !entry.node.set_aside);
        let Some(entry) = self.current else { return Ok(None) };
        seed.deserialize(Key(&entry.key)).map(Some).map_err(|fault| fault.at_key(entry))
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.current else {
            return Err(de::Error::custom("a value was asked for before its key"));
        };
        let value = seed.deserialize(Reader(&entry.node));
        value.map_err(|fault| fault.at(&entry.node).within(|| Step::Key(entry.key.clone())))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

/// A key: a text, or whatever can be read from one.
#[derive(Clone, Copy)]
struct Key<'a>(&'a str);

/// A key that is wanted as a number.
macro_rules! key_as_number {
    ($($method:ident $visit:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            match self.0.parse() {
                Ok(number) => visitor.$visit(number),
                Err(_) => visitor.visit_borrowed_str(self.0),
            }
        })*
    };
}

impl<'de> de::Deserializer<'de> for Key<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.0)
    }

    key_as_number! {
        deserialize_i8 visit_i8 deserialize_i16 visit_i16 deserialize_i32 visit_i32
        deserialize_i64 visit_i64 deserialize_u8 visit_u8 deserialize_u16 visit_u16
        deserialize_u32 visit_u32 deserialize_u64 visit_u64
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_enum(self.0.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i128 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct
        map struct identifier ignored_any
    }
}

/// One of several: a text that names it, or a table with its name as the only key.
struct Choice<'a> {
    node: &'a Node,
    entry: Option<&'a Entry>,
}

impl<'de> EnumAccess<'de> for Choice<'de> {
    type Error = Fault;
    type Variant = Chosen<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Chosen<'de>), Fault> {
        let name = match (self.entry, &self.node.value) {
            (Some(entry), _) => &entry.key,
            (None, Value::Text(name)) => name,
            (None, _) => return Err(Fault::unfit(self.node, "a name")),
        };
        let variant = seed.deserialize(Key(name)).map_err(|fault: Fault| match self.entry {
            Some(entry) => fault.at_key(entry),
            None => fault.at(self.node),
        })?;
        Ok((variant, Chosen { name, entry: self.entry }))
    }
}

/// The parameters of the one that was chosen.
struct Chosen<'a> {
    name: &'a str,
    entry: Option<&'a Entry>,
}

impl Chosen<'_> {
    fn needs_parameters(&self, keys: &[&'static str]) -> Fault {
        Fault::new(Kind::NeedsParameters { variant: self.name.to_owned(), keys: keys.to_vec() })
    }

    fn within(entry: &Entry) -> impl Fn(Fault) -> Fault {
        |fault: Fault| fault.at(&entry.node).within(|| Step::Key(entry.key.clone()))
    }
}

impl<'de> VariantAccess<'de> for Chosen<'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.entry.map(|entry| &entry.node.value) {
            None | Some(Value::Null) => Ok(()),
            Some(Value::Table(table)) if table.entries.is_empty() => Ok(()),
            Some(_) => Err(Fault::new(Kind::TakesNone { variant: self.name.to_owned() })),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Fault> {
        let Some(entry) = self.entry else {
            // Parameters that all have defaults may be left out.
            let nothing: Result<T::Value, Fault> = seed.deserialize(Nothing);
            return nothing.map_err(|_| self.needs_parameters(&[]));
        };
        seed.deserialize(Reader(&entry.node)).map_err(Self::within(entry))
    }

    fn tuple_variant<V: Visitor<'de>>(self, size: usize, visitor: V) -> Result<V::Value, Fault> {
        let Some(entry) = self.entry else { return Err(self.needs_parameters(&[])) };
        let value = de::Deserializer::deserialize_tuple(Reader(&entry.node), size, visitor);
        value.map_err(Self::within(entry))
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let Some(entry) = self.entry else {
            let empty: Empty = MapDeserializer::new(std::iter::empty());
            return visitor.visit_map(empty).map_err(|fault| {
                if fault.is_missing_key() { self.needs_parameters(fields) } else { fault }
            });
        };
        let reader = Reader(&entry.node);
        de::Deserializer::deserialize_struct(reader, "", fields, visitor)
            .map_err(Self::within(entry))
    }
}

/// No parameters at all: an empty table for whoever wants one, and nothing for everybody else.
struct Nothing;

impl<'de> de::Deserializer<'de> for Nothing {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        de::Deserializer::deserialize_any(UnitDeserializer::<Fault>::new(), visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let empty: Empty = MapDeserializer::new(std::iter::empty());
        visitor.visit_map(empty)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
