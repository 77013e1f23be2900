//! `results.jsonl`: what is read back makes the same files, parts make the whole, and a damaged file is told where.

mod sample;

use proptest::prelude::*;
use reports::results::{NAME, merge, parse};
use reports::{Run, Suite, files};

fn lines(suite: &Suite) -> String {
    String::from_utf8(files::render(NAME, suite).expect("renders")).expect("text")
}

/// A suite whose scenarios have their places.
fn suite() -> Suite {
    let mut suite = sample::suite(0.2);
    let mut names: Vec<String> = Vec::new();
    for run in &mut suite.runs {
        run.place = names.iter().position(|name| *name == run.scenario).unwrap_or(names.len());
        if run.place == names.len() {
            names.push(run.scenario.clone());
        }
    }
    suite.runs.sort_by_key(|run| run.place);
    assert!(names.len() > 2);
    suite
}

fn same_files(one: &Suite, other: &Suite) {
    for name in files::FILES {
        let [a, b] = [one, other].map(|suite| files::render(name, suite).expect("renders"));
        assert!(a == b, "{name} differs");
    }
}

#[test]
fn what_is_read_back_makes_the_same_files() {
    let suite = suite();
    let runs = parse(lines(&suite).as_bytes()).expect("it is right");
    same_files(&suite, &Suite { runs, manifest: suite.manifest.clone() });
    let empty = Suite::default();
    assert_eq!(parse(lines(&empty).as_bytes()).map(|runs| runs.len()), Ok(0));
}

#[test]
fn shards_make_the_whole_in_its_order() {
    let suite = suite();
    for of in [2, 3] {
        let shard = |part: usize| {
            let runs: Vec<Run> =
                suite.runs.iter().filter(|run| run.place % of == part).cloned().collect();
            (format!("part {part}"), runs)
        };
        // In whichever order they come.
        let mut merged = merge((0..of).rev().map(shard).collect()).expect("they fit");
        merged.manifest = suite.manifest.clone();
        same_files(&suite, &merged);
    }
}

#[test]
fn other_suites_come_one_behind_the_other() {
    let (one, mut other) = (suite(), suite());
    for run in &mut other.runs {
        run.scenario = format!("other/{}", run.scenario);
    }
    let count = one.runs.len();
    let names = |runs: &[Run]| runs.iter().map(|run| run.scenario.clone()).collect::<Vec<_>>();
    let expected = [names(&one.runs), names(&other.runs)].concat();
    let merged = merge(vec![("a".to_owned(), one.runs), ("b".to_owned(), other.runs)]);
    let merged = merged.expect("they fit");
    assert_eq!(names(&merged.runs), expected);
    assert!(merged.runs[..count].iter().all(|run| run.place < merged.runs[count].place));
}

#[test]
fn the_same_run_twice_is_an_error_that_names_both() {
    let suite = suite();
    let twice = vec![("a".to_owned(), suite.runs.clone()), ("b".to_owned(), suite.runs)];
    let error = merge(twice).expect_err("twice");
    assert!(error.contains("is in a and in b"), "{error}");
}

#[test]
fn what_is_damaged_is_told_where() {
    let mut suite = suite();
    suite.runs.truncate(2);
    let whole = lines(&suite);
    let told = |text: &str| parse(text.as_bytes()).map(|runs| runs.len()).expect_err("damaged");
    let cut = &whole[..=whole.trim_end().rfind('\n').expect("lines")];
    assert_eq!(told(cut), "3:1: it ends after 1 of 2 runs: it was cut off");
    assert_eq!(told(&format!("{whole}{{}}")), "4:1: more than the 2 runs of line 1");
    assert_eq!(told(""), "1:1: it is empty");
    let newer = whole.replacen("\"schema_version\":1", "\"schema_version\":2", 1);
    assert!(told(&newer).starts_with("1:1: schema version 2 is newer than 1"), "{}", told(&newer));
    let other = whole.replacen("\"world\":\"", "\"world\":\"x", 1);
    assert!(told(&other).starts_with("2:"), "{}", told(&other));
    assert!(told(&other).contains("unknown variant"), "{}", told(&other));
    let half = &whole[..whole.len() - 50];
    assert!(told(half).starts_with("3:"), "{}", told(half));
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(bytes.as_slice());
    }

    #[test]
    fn nor_does_a_byte_that_flipped(place in any::<proptest::sample::Index>(), bit in 0..7_u32) {
        let mut bytes = SMALL.with(Clone::clone);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        drawn(&bytes);
    }

    #[test]
    fn nor_does_another_number(place in any::<proptest::sample::Index>(), number in 0..5_usize) {
        let text = String::from_utf8(SMALL.with(Clone::clone)).expect("text");
        let digits: Vec<usize> = text
            .match_indices(|c: char| c.is_ascii_digit())
            .map(|(place, _)| place)
            .filter(|place| text[..*place].ends_with([',', ':', '[']))
            .collect();
        let from = digits[place.index(digits.len())];
        let to = text[from..].find([',', ']', '}']).expect("it ends") + from;
        let other = ["0", "18446744073709551615", "9007199254740993", "-1.5e300", "1e-300"][number];
        drawn(format!("{}{other}{}", &text[..from], &text[to..]).as_bytes());
    }
}

/// Reads it, and writes every file if it can be read.
fn drawn(bytes: &[u8]) {
    if let Ok(runs) = parse(bytes) {
        let suite = Suite { runs, manifest: sample::manifest() };
        for name in files::FILES {
            let _ = files::render(name, &suite);
        }
    }
}

thread_local! {
    static SMALL: Vec<u8> = {
        let mut suite = sample::suite(0.02);
        suite.runs.truncate(1);
        lines(&suite).into_bytes()
    };
}
