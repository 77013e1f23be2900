//! Paths as they are compared.
//!
//! `/admin`, `/%61dmin`, `//admin`, `/./admin` and `/x/../admin` are one resource to most servers, and a rule that knows only the
//! first of them is no rule. So whatever compares a path compares its normal form, and only for comparing: what is sent on is
//! what the client wrote. The normal form is that of nginx and of RFC 3986, 6.2.2, made stricter where servers are lenient:
//!
//! 1. `%XX` is decoded, once, whatever it stands for (`%2F` is a `/` here); a `%` that is no encoding stays;
//! 2. `\` becomes `/`, as Windows and browsers read it;
//! 3. slashes in a row become one;
//! 4. the segments `.` and `..` are taken out (RFC 3986, 5.2.4); above the root is the root.
//!
//! Letters keep their case: paths differ by it, and a rule that is to ignore it says so. What is encoded twice is decoded once: a server
//! that decodes twice needs rules for that. Almost every path is in normal form already, which one scan finds out.

use std::borrow::Cow;

/// A path (without query) as rules see it. Borrowed when it is in normal form already.
pub fn normal(path: &[u8]) -> Cow<'_, [u8]> {
    if is_normal(path) { Cow::Borrowed(path) } else { Cow::Owned(normalise(path)) }
}

/// Nothing in it needs a second look. May say no to one that is in normal form, never yes to one that is not.
fn is_normal(path: &[u8]) -> bool {
    let mut last = 0;
    for byte in path {
        match byte {
            b'%' | b'\\' => return false,
            b'/' | b'.' if last == b'/' => return false,
            _ => last = *byte,
        }
    }
    !path.is_empty()
}

fn normalise(path: &[u8]) -> Vec<u8> {
    let mut made: Vec<u8> = Vec::with_capacity(path.len() + 1);
    let mut at = 0;
    while at < path.len() {
        let (byte, length) = decoded(&path[at..]);
        at += length;
        if byte == b'/' || byte == b'\\' {
            close(&mut made);
            if made.last() != Some(&b'/') {
                made.push(b'/');
            }
        } else {
            made.push(byte);
        }
    }
    close(&mut made);
    if made.is_empty() {
        made.push(b'/');
    }
    made
}

/// The segment that `made` ends in is complete: `.` and `..` go. What is left ends in the slash before them.
fn close(made: &mut Vec<u8>) {
    if made.ends_with(b"/.") {
        made.pop();
    } else if made.ends_with(b"/..") {
        made.truncate(made.len() - 3);
        let parent = made.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
        made.truncate(parent);
        made.push(b'/');
    }
}

/// The first byte that this text stands for, and how many bytes do.
fn decoded(text: &[u8]) -> (u8, usize) {
    let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
    if let [b'%', high, low, ..] = text
        && let (Some(high), Some(low)) = (digit(high), digit(low))
    {
        return (high << 4 | low, 3);
    }
    (text[0], 1)
}

/// Whether the segments of a path are those of its normal form, one for one: nothing in it stands for a slash, a `.` or a `..`
/// without being written so, and there are none of these to be taken out.
pub fn keeps_its_segments(path: &[u8]) -> bool {
    if is_normal(path) {
        return true;
    }
    let mut at = 0;
    let mut plain = Vec::with_capacity(path.len());
    while at < path.len() {
        let (byte, length) = decoded(&path[at..]);
        let structural = matches!(byte, b'/' | b'.') && length > 1;
        if structural || byte == b'\\' {
            return false;
        }
        plain.push(if length > 1 { b'x' } else { byte });
        at += length;
    }
    *normal(&plain) == *plain
}

/// A query with `%XX` decoded and `+` for a blank, as rules look for words in it.
pub fn decoded_query(query: &[u8]) -> Cow<'_, [u8]> {
    if !query.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return Cow::Borrowed(query);
    }
    let mut made = Vec::with_capacity(query.len());
    let mut at = 0;
    while at < query.len() {
        let (byte, length) = decoded(&query[at..]);
        made.push(if query[at] == b'+' { b' ' } else { byte });
        at += length;
    }
    Cow::Owned(made)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ways_to_write_a_path() {
        for (written, seen) in [
            ("/", "/"),
            ("", "/"),
            ("*", "*"),
            ("/admin", "/admin"),
            ("/%61dmin", "/admin"),
            ("/%61%64%6D%69%6e", "/admin"),
            ("//admin", "/admin"),
            ("/./admin", "/admin"),
            ("/.//./admin/", "/admin/"),
            ("/x/../admin", "/admin"),
            ("/x/y/../../admin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/x%2f..%2Fadmin", "/admin"),
            ("/x\\..\\admin", "/admin"),
            ("/x%5c..%5cadmin", "/admin"),
            ("/../../admin", "/admin"),
            ("/admin/..", "/"),
            ("/admin/.", "/admin/"),
            ("/a/b/..", "/a/"),
            ("/ADMIN", "/ADMIN"),
            ("/...", "/..."),
            ("/.hidden", "/.hidden"),
            ("/a/..b/", "/a/..b/"),
            ("/100%", "/100%"),
            ("/%zz%4", "/%zz%4"),
            ("/%2561dmin", "/%61dmin"),
            ("/a%20b", "/a b"),
            ("/a;x=1", "/a;x=1"),
        ] {
            let found = normal(written.as_bytes());
            assert_eq!(String::from_utf8_lossy(&found), seen, "{written}");
        }
    }

    proptest! {
        /// Against the way a person would do it: decode, split into segments, walk them.
        #[test]
        fn the_normal_form_is_what_the_segments_say(path in "/([x.%25/\\\\]|%2[eEfF]|%5c|%61){0,24}") {
            let mut bytes = Vec::new();
            let mut rest = path.as_bytes();
            while !rest.is_empty() {
                let (byte, length) = decoded(rest);
                bytes.push(if byte == b'\\' { b'/' } else { byte });
                rest = &rest[length..];
            }
            let text = String::from_utf8(bytes).expect("nothing but ASCII was drawn");
            let mut walked: Vec<&str> = Vec::new();
            let mut folder = true;
            for segment in text.split('/').skip(1) {
                folder = matches!(segment, "" | "." | "..");
                match segment {
                    "" | "." => {}
                    ".." => { walked.pop(); }
                    name => walked.push(name),
                }
            }
            let end = if folder && !walked.is_empty() { "/" } else { "" };
            let expected = format!("/{}{end}", walked.join("/"));
            let found = normal(path.as_bytes());
            prop_assert_eq!(String::from_utf8_lossy(&found).into_owned(), expected);
        }

        /// Once it has been looked at closely, no way around is left.
        #[test]
        fn a_normal_form_has_no_way_around(path in "/[a./\\\\]{0,24}") {
            let found = normal(path.as_bytes()).into_owned();
            let text = String::from_utf8(found.clone()).expect("nothing but ASCII was drawn");
            prop_assert!(text.starts_with('/') && !text.contains("//") && !text.contains('\\'));
            prop_assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
            prop_assert_eq!(normal(&found).into_owned(), found);
        }
    }
}
