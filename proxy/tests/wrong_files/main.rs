//! Configuration files that are wrong, and what their authors are told.
//!
//! Each is one mistake that a person makes: a word misspelt, a unit left out, a name that dangles, a rule that can never hold. The snapshot
//! beside this file is read by people: does each message say what is wrong, where, and what to write instead? What is asserted besides is
//! that every error has a line and a column, and that they are those of the mistake: a `<-` in a file marks its line, and is not part of it.

mod table;

use std::{fmt::Write as _, path::Path};

use proxy::config::{
    ProxyConfig,
    document::{Document, Error, Origin, Paint},
};

use table::WRONG;

/// What a file is about, its name, and its text.
type Wrong = (&'static str, &'static str, &'static str);

/// What marks the line of the mistake.
const MARK: &str = " <-";

/// What the program does with this file.
fn load(name: &str, text: &str) -> Result<ProxyConfig, Error> {
    let document = Document::parse(name, text)?;
    ProxyConfig::from_document(&document, Path::new("/nowhere"))
}

/// The text without the mark, and the line that was marked (from 1).
fn unmarked(text: &str) -> (String, usize) {
    let line = text.lines().position(|line| line.ends_with(MARK));
    let line = line.unwrap_or_else(|| panic!("no line is marked:\n{text}"));
    (text.replace(MARK, ""), line + 1)
}

#[test]
fn every_mistake_is_told_in_its_place_and_with_what_to_write() {
    let (mut pictures, mut failures) = (String::new(), Vec::new());
    for (what, name, text) in WRONG {
        let (text, line) = unmarked(text);
        let Err(error) = load(name, &text) else {
            failures.push(format!("{what}: nobody finds a mistake in this\n{text}"));
            continue;
        };
        let _ = writeln!(pictures, "── {what}\n{}", shortened(&error.render(Paint::Plain)));
        if let Some(failure) = misplaced(&error, line) {
            failures.push(format!("{what}: {failure}\n{error}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n\n"));
    insta::assert_snapshot!(pictures);
}

/// A picture in which long lists of what is known are cut: they grow with every key that is added.
fn shortened(picture: &str) -> String {
    let cut = |line: &str| {
        let (start, list) = ["known keys: ", "known names: ", "its keys: "]
            .iter()
            .find_map(|label| line.split_once(label).map(|(s, l)| (format!("{s}{label}"), l)))?;
        let names: Vec<&str> = list.split(", ").collect();
        (names.len() > 4).then(|| format!("{start}{}, …", names[..3].join(", ")))
    };
    picture.lines().map(|line| cut(line).unwrap_or_else(|| line.to_owned()) + "\n").collect()
}

/// What is wrong with an error that should be about this line.
fn misplaced(error: &Error, line: usize) -> Option<String> {
    let [problem] = error.problems() else { return Some("one mistake is one error".to_owned()) };
    let Some(Origin::File(span)) = &problem.origin else {
        return Some("it has no place".to_owned());
    };
    let start = span.start();
    if span.is_whole() || start.column < 1 {
        return Some("it has no column".to_owned());
    }
    (start.line != line).then(|| format!("it is about line {}, not {line}", start.line))
}

#[test]
fn they_are_at_least_fifty_and_about_everything() {
    assert!(WRONG.len() >= 50, "{}", WRONG.len());
    let sections = [
        "listen",
        "workers",
        "endpoints",
        "routes",
        "upstreams",
        "timeouts",
        "limits",
        "balance",
        "health",
        "outlier",
        "retry",
        "queue",
        "forwarding",
        "redirect",
        "filter",
        "cache",
        "compression",
        "limit",
        "access_log",
        "admin",
        "tracing",
        "analytics",
        "cache.redis",
        "limit.redis",
    ];
    for section in sections {
        let about = |text: &str| text.lines().any(|line| line.contains(section));
        assert!(WRONG.iter().any(|(_, _, text)| about(text)), "nothing is wrong with `{section}`");
    }
}

/// What is told above is not told of good files: of these, and of the examples in the proxy's own documentation.
#[test]
fn what_is_right_is_right() {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).expect("it can be written");
    };
    write("bad-addresses.txt", "# since March\n192.0.2.0/24\n");
    let hash = bcrypt::hash("s3cret", 4).expect("a hash");
    write("htpasswd", &format!("joe:{hash}\n"));
    let documentation = include_str!("../../README.md");
    let examples = documentation.split("```toml\n").skip(1);
    let examples =
        examples.filter_map(|rest| rest.split("```").next()).map(|text| ("README.md", text));
    let yaml = "endpoints: ['127.0.0.1:9001']\nfilter:\n  - deny: { address: 10.0.0.0/8 }\n";
    let mut count = 0;
    for (name, text) in examples.chain([("proxy.yaml", yaml)]) {
        let document = Document::parse(name, text);
        if let Err(error) = document.and_then(|d| ProxyConfig::from_document(&d, folder.path())) {
            panic!("{error}");
        }
        count += 1;
    }
    assert!(count >= 3, "{count}");
}
