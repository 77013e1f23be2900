//! The store and the collapsing of misses: against judges that do the same slowly.

mod caching;

use std::{collections::BTreeMap, time::Duration};

use caching::{Head, ask, at, rules, stored, taken};
use policy::{
    Instant,
    cache::{
        Collapse, Ending, KeyHash, Meta, Mode, Purge, Role, Store, Stored, config::CollapseConfig,
    },
    quantity::TimeSpan,
};
use proptest::prelude::*;

const LIMIT: u64 = 20_000;

/// An answer of so many bytes, for requests with this `Foo`, with these tags, that came at this second.
fn answer(size: u64, of: Option<&str>, tags: &str, second: u32) -> Stored<u32> {
    let rules = rules(|_| {});
    let request: Vec<(&str, &str)> = of.map(|of| ("Foo", of)).into_iter().collect();
    let mut head = vec![("Cache-Control", "max-age=60"), ("Surrogate-Key", tags)];
    if of.is_some() {
        head.push(("Vary", "Foo"));
    }
    let mut meta: Meta = taken(&rules, &request, 200, &head).meta;
    meta.taken = at(f64::from(second));
    Stored::new(meta.into(), second, size)
}

/// What a store is told.
#[derive(Clone, Debug)]
enum Step {
    Put { key: u8, size: u64, of: Option<u8>, tags: u8 },
    Get { key: u8 },
    PurgeUrl { key: u8, soft: bool },
    PurgePrefix { key: u8 },
    PurgeTag { tag: u8, soft: bool },
    Remove { key: u8 },
}

fn any_step() -> impl Strategy<Value = Step> {
    let key = 0_u8..12;
    prop_oneof![
        6 => (key.clone(), 0_u64..4000, prop::option::of(0_u8..4), 0_u8..8)
            .prop_map(|(key, size, of, tags)| Step::Put { key, size, of, tags }),
        4 => key.clone().prop_map(|key| Step::Get { key }),
        1 => (key.clone(), any::<bool>()).prop_map(|(key, soft)| Step::PurgeUrl { key, soft }),
        1 => key.clone().prop_map(|key| Step::PurgePrefix { key }),
        1 => (0_u8..3, any::<bool>()).prop_map(|(tag, soft)| Step::PurgeTag { tag, soft }),
        1 => key.prop_map(|key| Step::Remove { key }),
    ]
}

fn tags_of(bits: u8) -> String {
    ["t0 ", "t1 ", "t2 "]
        .into_iter()
        .enumerate()
        .filter(|(bit, _)| bits & (1 << bit) != 0)
        .map(|(_, tag)| tag)
        .collect()
}

/// The same by lists, without any index.
#[derive(Default)]
struct Judge {
    /// Keys in the order of use, the least recently used first.
    order: Vec<u8>,
    kept: BTreeMap<u8, Vec<Stored<u32>>>,
}

impl Judge {
    fn used(&mut self, key: u8) {
        self.order.retain(|known| *known != key);
        self.order.push(key);
    }

    fn keep(&mut self, is: impl Fn(u8, &Stored<u32>) -> bool) {
        for (key, variants) in &mut self.kept {
            variants.retain(|stored| is(*key, stored));
        }
        self.kept.retain(|_, variants| !variants.is_empty());
        let kept = &self.kept;
        self.order.retain(|key| kept.contains_key(key));
    }

    fn soften(&mut self, now: Instant, is: impl Fn(u8, &Stored<u32>) -> bool) {
        for (key, variants) in &mut self.kept {
            for stored in variants.iter_mut().filter(|stored| is(*key, stored)) {
                stored.stale_since.get_or_insert(now);
            }
        }
    }
}

fn text(key: u8) -> Vec<u8> {
    // Each text is a prefix of others.
    format!("shop/{}", "a".repeat(usize::from(key))).into_bytes()
}

fn values(variants: &[Stored<u32>]) -> Vec<(u32, Option<Instant>)> {
    let mut values: Vec<_> =
        variants.iter().map(|stored| (stored.value, stored.stale_since)).collect();
    values.sort_unstable();
    values
}

proptest! {
    #[test]
    fn the_store_does_what_lists_do(steps in prop::collection::vec(any_step(), 1..60)) {
        let mut store: Store<u32> = Store::new(LIMIT, 3);
        let mut judge = Judge::default();
        let mut put_in = 0_u64;
        let mut given_back = 0_u64;
        for (now, step) in steps.iter().enumerate() {
            let hash = |key: u8| KeyHash(u128::from(key) << 64 | 5);
            let second = now as u32;
            let moment = at(f64::from(second));
            let mut dropped = Vec::new();
            match step {
                Step::Put { key, size, of, tags } => {
                    let of = of.map(|of| of.to_string());
                    let stored = answer(*size, of.as_deref(), &tags_of(*tags), second);
                    let put = store.put(hash(*key), &text(*key), stored.clone());
                    prop_assert!(put.stored);
                    put_in += 1;
                    given_back += put.dropped.len() as u64;
                    let variants = judge.kept.entry(*key).or_default();
                    variants.retain(|old| !stored.meta.vary.same(&old.meta.vary));
                    if variants.len() == 3 {
                        let oldest = variants.iter().map(|old| old.value).min();
                        variants.retain(|old| Some(old.value) != oldest);
                    }
                    variants.push(stored);
                    judge.used(*key);
                    // What the store says of its bytes is checked below; here it says who had to go.
                    let mut gone = 0;
                    while judge.order.iter().any(|key| store.peek(hash(*key), &text(*key)).is_none()) {
                        let first = judge.order.remove(0);
                        gone += judge.kept.remove(&first).map_or(0, |variants| variants.len());
                    }
                    prop_assert!(put.evicted >= gone as u64);
                }
                Step::Get { key } => {
                    let found = store.get(hash(*key), &text(*key)).map(values);
                    prop_assert_eq!(found, judge.kept.get(key).map(|variants| values(variants)));
                    if judge.kept.contains_key(key) {
                        judge.used(*key);
                    }
                    prop_assert!(store.get(hash(*key), b"another text").is_none());
                }
                Step::PurgeUrl { key, soft } => {
                    let purge = Purge::Url { hash: hash(*key), text: text(*key) };
                    let mode = if *soft { Mode::Soft(moment) } else { Mode::Hard };
                    let count = store.purge(&purge, mode, &mut dropped);
                    prop_assert_eq!(count, judge.kept.get(key).map_or(0, Vec::len));
                    if *soft {
                        judge.soften(moment, |known, _| known == *key);
                    } else {
                        judge.keep(|known, _| known != *key);
                    }
                }
                Step::PurgePrefix { key } => {
                    store.purge(&Purge::Prefix(text(*key)), Mode::Hard, &mut dropped);
                    judge.keep(|known, _| known < *key);
                }
                Step::PurgeTag { tag, soft } => {
                    let tag = format!("t{tag}").into_bytes();
                    let mode = if *soft { Mode::Soft(moment) } else { Mode::Hard };
                    store.purge(&Purge::Tag(tag.clone()), mode, &mut dropped);
                    let has = |stored: &Stored<u32>| stored.meta.tags.iter().any(|known| **known == *tag);
                    if *soft {
                        judge.soften(moment, |_, stored| has(stored));
                    } else {
                        judge.keep(|_, stored| !has(stored));
                    }
                }
                Step::Remove { key } => {
                    dropped = store.remove(hash(*key), &text(*key), |stored| stored.value % 2 == 0);
                    judge.keep(|known, stored| known != *key || stored.value % 2 != 0);
                }
            }
            given_back += dropped.len() as u64;
            // Nothing is lost, nothing is kept beyond the limit, and the books agree.
            let answers: usize = judge.kept.values().map(Vec::len).sum();
            prop_assert_eq!(store.len(), answers);
            prop_assert_eq!(store.keys(), judge.kept.len());
            prop_assert_eq!(put_in, given_back + answers as u64);
            prop_assert!(store.bytes() <= LIMIT);
            prop_assert!(store.bytes() >= judge.kept.values().flatten().map(|stored| stored.size).sum::<u64>());
            prop_assert_eq!(store.is_empty(), store.bytes() == 0);
        }
        let mut dropped = Vec::new();
        store.purge(&Purge::Prefix(Vec::new()), Mode::Hard, &mut dropped);
        prop_assert_eq!((store.bytes(), store.len(), store.keys()), (0, 0, 0));
        prop_assert_eq!(store.purge(&Purge::Tag(b"t0".to_vec()), Mode::Hard, &mut dropped), 0);
    }
}

#[test]
fn the_least_recently_used_makes_room() {
    let mut store: Store<u32> = Store::new(LIMIT, 3);
    let hash = |key: u32| KeyHash(u128::from(key));
    for key in 0..4 {
        assert_eq!(store.put(hash(key), b"k", answer(4000, None, "", key)).evicted, 0);
    }
    assert!(store.get(hash(0), b"k").is_some());
    let put = store.put(hash(9), b"k", answer(4000, None, "", 9));
    assert_eq!((put.evicted, put.dropped[0].value), (1, 1));
    // What is larger than all takes the place of what it was to replace, and is not kept.
    let put = store.put(hash(0), b"k", answer(LIMIT, None, "", 10));
    assert!(!put.stored && put.evicted == 0 && put.dropped.len() == 2);
    assert!(store.get(hash(0), b"k").is_none());
}

#[test]
fn two_texts_with_one_hash_are_two() {
    let mut store: Store<u32> = Store::new(LIMIT, 3);
    let _ = store.put(KeyHash(1), b"one", answer(10, None, "t", 1));
    let put = store.put(KeyHash(1), b"two", answer(10, None, "", 2));
    assert!(put.stored && put.evicted == 1);
    assert!(store.get(KeyHash(1), b"one").is_none());
    assert_eq!(store.get(KeyHash(1), b"two").map(values), Some(vec![(2, None)]));
    assert_eq!(store.purge(&Purge::Tag(b"t".to_vec()), Mode::Hard, &mut Vec::new()), 0);
}

#[test]
fn a_purge_by_url_finds_what_other_parts_of_the_key_set_apart() {
    let rules = rules(|config| config.key.headers = vec!["X-Device".to_owned()]);
    let mut store: Store<()> = Store::new(LIMIT, 3);
    let mut key = Vec::new();
    let meta = taken(&rules, &[], 200, &[("Cache-Control", "max-age=60")]).meta;
    for (target, device) in [("/a", "tv"), ("/a", "phone"), ("/ab", "tv"), ("/a?b", "tv")] {
        let fields: Head<'_> = &[("X-Device", device)];
        let hash = rules.key(&ask("GET", target, &fields), &mut key);
        let _ = store.put(hash, &key, stored(meta.clone()));
    }
    let purge = rules.url(b"Shop", b"/a");
    assert_eq!(purge.hash(), None);
    assert_eq!(store.purge(&purge, Mode::Hard, &mut Vec::new()), 2);
    assert_eq!(store.len(), 2);
    assert_eq!(store.purge(&Purge::Prefix(b"shop/a?".to_vec()), Mode::Hard, &mut Vec::new()), 1);
}

#[test]
fn a_part_does_not_push_out_the_whole() {
    let rules = rules(|_| {});
    let mut store: Store<()> = Store::new(LIMIT, 3);
    let whole = taken(&rules, &[], 200, &[("Cache-Control", "max-age=60")]).meta;
    let head: Head<'_> = &[("Cache-Control", "max-age=60"), ("Content-Range", "bytes 0-4/10")];
    let part = taken(&rules, &[], 206, head).meta;
    let _ = store.put(KeyHash(1), b"k", stored(whole.clone()));
    let _ = store.put(KeyHash(1), b"k", stored(part.clone()));
    assert_eq!(store.len(), 2);
    let _ = store.put(KeyHash(1), b"k", stored(part));
    assert_eq!(store.len(), 2);
    let _ = store.put(KeyHash(1), b"k", stored(whole));
    assert_eq!(store.len(), 1);
}

const KEY: KeyHash = KeyHash(1);

fn collapse() -> Collapse {
    Collapse::new(&CollapseConfig::default())
}

fn lead(collapse: &mut Collapse, second: f64) -> policy::cache::Ticket {
    match collapse.ask(KEY, at(second), None) {
        Role::Lead(ticket) => ticket,
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_leads_and_the_others_follow() {
    let mut collapse = collapse();
    let ticket = lead(&mut collapse, 0.0);
    for _ in 0..1000 {
        assert_eq!(collapse.ask(KEY, at(1.0), None), Role::Follow { ticket, until: at(6.0) });
    }
    assert!(matches!(collapse.ask(KeyHash(2), at(1.0), None), Role::Lead(_)));
    collapse.end(KEY, ticket, Ending::Stored, at(2.0));
    assert!(matches!(collapse.ask(KEY, at(2.0), None), Role::Lead(_)));
}

#[test]
fn after_a_failure_the_next_one_leads_and_nobody_waits_longer_for_it() {
    let mut collapse = collapse();
    let ticket = lead(&mut collapse, 0.0);
    collapse.end(KEY, ticket, Ending::Failed, at(3.0));
    let Role::Lead(second) = collapse.ask(KEY, at(3.0), Some(at(1.0))) else { panic!("leads") };
    assert_ne!(ticket, second);
    let until = at(5.5);
    assert_eq!(collapse.ask(KEY, at(3.0), Some(at(0.5))), Role::Follow { ticket: second, until });
    assert_eq!(collapse.ask(KEY, at(5.5), Some(at(0.5))), Role::Alone);
    // The first one's end comes twice: it no longer counts.
    collapse.end(KEY, ticket, Ending::Uncacheable, at(5.6));
    assert!(matches!(collapse.ask(KEY, at(5.6), None), Role::Follow { .. }));
    assert_eq!(collapse.len(), 1);
}

#[test]
fn what_cannot_be_kept_is_remembered_for_a_while() {
    let mut collapse = collapse();
    let ticket = lead(&mut collapse, 0.0);
    collapse.end(KEY, ticket, Ending::Uncacheable, at(1.0));
    assert_eq!(collapse.ask(KEY, at(1.0), Some(at(0.0))), Role::Alone);
    assert_eq!(collapse.ask(KEY, at(10.9), None), Role::Alone);
    let ticket = lead(&mut collapse, 11.0);
    collapse.end(KEY, ticket, Ending::Stored, at(11.0));
    assert!(collapse.is_empty());
    let forgetful =
        CollapseConfig { memory: TimeSpan(Duration::ZERO), ..CollapseConfig::default() };
    let mut collapse = Collapse::new(&forgetful);
    let ticket = lead(&mut collapse, 0.0);
    collapse.end(KEY, ticket, Ending::Uncacheable, at(1.0));
    let _ = lead(&mut collapse, 1.0);
    let off = CollapseConfig { enabled: false, ..CollapseConfig::default() };
    assert_eq!(Collapse::new(&off).ask(KEY, at(0.0), None), Role::Alone);
}

#[test]
fn both_tables_are_bounded() {
    let mut collapse = collapse();
    for key in 0..100_000_u128 {
        let role = collapse.ask(KeyHash(key), at(0.0), None);
        assert_eq!(matches!(role, Role::Lead(_)), key < 1 << 16, "{key}");
    }
    assert_eq!(collapse.len(), 1 << 16);
}

#[test]
fn who_leads_asks_for_all() {
    let rules = rules(|_| {});
    let fields: Head<'_> = &[("If-None-Match", "\"a\""), ("If-Modified-Since", "x")];
    let edits = rules.leading(&rules.read(&ask("GET", "/a", &fields)));
    assert!(edits.omits(b"if-none-match") && edits.omits(b"if-modified-since"));
    let fields: Head<'_> = &[];
    assert!(rules.leading(&rules.read(&ask("GET", "/a", &fields))).is_empty());
}

/// Which requests may wait for each other.
#[test]
fn only_what_could_be_for_all_is_collapsed() {
    let rules = rules(|_| {});
    let table: &[(&str, Head<'_>, bool)] = &[
        ("GET", &[], true),
        ("GET", &[("Cookie", "a=b"), ("If-None-Match", "\"a\"")], true),
        ("HEAD", &[], false),
        ("GET", &[("Range", "bytes=0-1")], false),
        ("GET", &[("Authorization", "x")], false),
        ("GET", &[("Cache-Control", "no-store")], false),
        ("GET", &[("Cache-Control", "no-cache")], false),
    ];
    for (method, fields, expected) in table {
        let wanted = rules.read(&ask(method, "/a", fields));
        assert_eq!(rules.collapses(&wanted), *expected, "{method} {fields:?}");
    }
    let off = caching::rules(|config| config.collapse.enabled = false);
    let fields: Head<'_> = &[];
    assert!(!off.collapses(&off.read(&ask("GET", "/a", &fields))));
}
