//! `--vary key=a,b,c`: a matrix from the command line, in place of the file's.
//!
//! It is written into the document where a file would have it, so that everything that is checked in a file is checked
//! here too. Commas within brackets, braces and quotes belong to the value.

use std::{path::Path, str::FromStr};

use proxy::config::document::{Document, Error, Origin};

use crate::language::{Loaded, Setting, matrix, suite::Found};

/// One axis of the matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vary {
    /// The dotted path.
    pub path: String,
    /// The values as they were written.
    pub values: Vec<String>,
}

impl FromStr for Vary {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((path, values)) = text.split_once('=') else {
            return Err("write KEY=A,B,C, such as proxy.balance.strategy=p2c,random".to_owned());
        };
        let path = path.trim().to_owned();
        path.parse::<proxy::config::document::Path>()?;
        let values = split(values);
        match values.iter().find(|value| value.is_empty()) {
            Some(_) => Err(format!("a value of `{path}` is empty; write {path}=A,B,C")),
            None => Ok(Self { path, values }),
        }
    }
}

/// At the commas that belong to no value.
fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut quote) = (0_i32, None);
    for c in text.chars() {
        match (quote, c) {
            (None, ',') if depth == 0 => {
                parts.push(String::new());
                continue;
            }
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '[' | '{') => depth += 1,
            (None, ']' | '}') => depth -= 1,
            _ => {}
        }
        if let Some(last) = parts.last_mut() {
            last.push(c);
        }
    }
    parts.iter().map(|part| part.trim().to_owned()).collect()
}

/// A value as TOML: as it is where that is TOML, else a text.
fn value(text: &str) -> String {
    if toml::from_str::<toml::Table>(&format!("v = {text}")).is_ok() {
        text.to_owned()
    } else {
        toml::Value::String(text.to_owned()).to_string()
    }
}

/// Reads a scenario with these axes for its matrix; with none, with its own.
///
/// # Errors
/// What is wrong with the file, a setting or an axis.
pub fn load(found: &Found, settings: &[Setting], axes: &[Vary]) -> Result<Loaded, Error> {
    if axes.is_empty() {
        return found.load(settings);
    }
    let mut document: Document = found.document(settings)?;
    document.take("matrix");
    for Vary { path, values } in axes {
        let values: Vec<String> = values.iter().map(|text| value(text)).collect();
        let array = format!("[{}]", values.join(", "));
        let flag =
            Origin::Flag { flag: format!("--vary {path}").into(), text: array.as_str().into() };
        document.set(&format!("matrix.{path}"), &array, &flag)?;
    }
    let base = found.path.parent().unwrap_or(Path::new(""));
    Ok(Loaded {
        name: found.name.clone(),
        path: found.path.clone(),
        settings: settings.to_vec(),
        variants: matrix::variants(document, base)?,
        place: 0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_within_a_value_are_its_own() {
        let vary: Vary =
            r#"proxy.balance=p2c, { strategy = "p2c", choices = 3 },"a,b""#.parse().expect("it is");
        assert_eq!(vary.path, "proxy.balance");
        assert_eq!(vary.values, ["p2c", r#"{ strategy = "p2c", choices = 3 }"#, r#""a,b""#]);
        assert_eq!(value("p2c"), r#""p2c""#);
        assert_eq!(value("20ms"), r#""20ms""#);
        assert_eq!(value("20"), "20");
        assert!("proxy.balance".parse::<Vary>().is_err());
        assert!("a=b,,c".parse::<Vary>().is_err());
    }
}
