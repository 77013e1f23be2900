//! The diff as annotations of a GitHub workflow: `::error title=…::…`, a line each.
//!
//! The runner takes such lines from a step's output ("Workflow commands for GitHub Actions"). In the text `%`, carriage
//! return and line feed are written as `%25`, `%0D` and `%0A`; in a property also `:` and `,` as `%3A` and `%2C`. A step
//! shows ten annotations of a kind at most, so where there are more the tenth says how many.

use super::{Diff, Standing, rows};
use std::fmt::Write as _;

/// So many annotations of a kind a step shows.
const SHOWN: usize = 10;

/// One line an annotation: errors for what got worse, warnings for what a person should look at, a notice with the outcome.
pub fn annotations(diff: &Diff) -> String {
    let mut errors: Vec<(String, String)> = diff
        .turned(Standing::Worse)
        .map(|turn| (format!("Worse: {}", turn.group.title()), rows::turn(turn)))
        .collect();
    errors.extend(diff.found(Standing::Worse).map(|finding| {
        let title = format!("Worse: {} of {}", finding.metric, finding.group.title());
        (title, rows::sentence_of(finding))
    }));
    let mut warnings: Vec<(String, String)> = Vec::new();
    if let Some(few) = rows::few(diff) {
        warnings.push(("Too few runs".to_owned(), few));
    }
    for change in &diff.changes {
        warnings.push((
            format!("Changed: {}", change.group.title()),
            format!(
                "{}: {} of {} runs with the same seed and configuration give other bytes",
                change.group.title(),
                change.differ,
                change.pairs
            ),
        ));
    }
    for group in &diff.missing {
        let title = group.title();
        warnings.push((format!("Missing: {title}"), format!("{title} is not in {}", diff.new)));
    }
    let mut out = String::new();
    write_all(&mut out, "error", &errors);
    write_all(&mut out, "warning", &warnings);
    write(&mut out, "notice", "Windtunnel", &rows::outcome(diff));
    out
}

fn write_all(out: &mut String, kind: &str, annotations: &[(String, String)]) {
    let shown = if annotations.len() > SHOWN { SHOWN - 1 } else { SHOWN };
    for (title, message) in annotations.iter().take(shown) {
        write(out, kind, title, message);
    }
    if annotations.len() > SHOWN {
        let rest: Vec<&str> =
            annotations[shown..].iter().map(|(title, _)| title.as_str()).collect();
        write(out, kind, &format!("… and {} more", rest.len()), &rest.join("\n"));
    }
}

fn write(out: &mut String, kind: &str, title: &str, message: &str) {
    let _ = writeln!(out, "::{kind} title={}::{}", property(title), data(message));
}

/// The text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The value of a property of a command.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_a_command_or_begins_another() {
        let mut out = String::new();
        write(&mut out, "error", "a:b,c\n::error::x", "50 %\r\n::set-output name=x::y");
        assert_eq!(
            out,
            "::error title=a%3Ab%2Cc%0A%3A%3Aerror%3A%3Ax::50 %25%0D%0A::set-output name=x::y\n"
        );
    }

    #[test]
    fn the_tenth_says_how_many_more() {
        let many: Vec<_> = (0..15).map(|n| (format!("t{n}"), "m".to_owned())).collect();
        let mut out = String::new();
        write_all(&mut out, "error", &many);
        assert_eq!(out.lines().count(), SHOWN);
        assert!(
            out.ends_with("::error title=… and 6 more::t9%0At10%0At11%0At12%0At13%0At14\n"),
            "{out}"
        );
        out.clear();
        write_all(&mut out, "error", &many[..10]);
        assert_eq!(out.lines().count(), 10);
        assert!(!out.contains("more"));
    }
}
