//! What a change makes untrue: invalidation by unsafe methods (RFC 9111, section 4.4).
//!
//! A POST, PUT or DELETE that went well, and any other method that may change something, makes the answers to its own URL invalid, and to those
//! that its answer names in `Location` and `Content-Location`, if they are of the same origin: nobody invalidates what is another's.

use super::{
    Rules,
    request::{Method, Wanted},
    store::Purge,
};
use crate::message::{Answered, Asked};

impl Rules {
    /// What is to be purged now; mostly nothing.
    pub fn invalidates(
        &self,
        asked: &Asked<'_>,
        wanted: &Wanted,
        answered: &Answered<'_>,
    ) -> Vec<Purge> {
        if wanted.method != Method::Unsafe || !matches!(answered.status, 200..=399) {
            return Vec::new();
        }
        let mut purges = vec![self.url(asked.host, asked.target)];
        for name in ["Location", "Content-Location"] {
            let Some(reference) = answered.fields.find(name) else { continue };
            if let Some(target) = same_origin(asked, reference.trim_ascii()) {
                let purge = self.url(asked.host, &target);
                if !purges.contains(&purge) {
                    purges.push(purge);
                }
            }
        }
        purges
    }
}

/// The path and query that a reference means, if it is of the request's own origin (RFC 3986, section 5.2).
fn same_origin(asked: &Asked<'_>, reference: &[u8]) -> Option<Vec<u8>> {
    let end = reference.iter().position(|byte| *byte == b'#').unwrap_or(reference.len());
    let reference = &reference[..end];
    let lower = |text: &[u8]| text.to_ascii_lowercase();
    let of_host = |rest: &[u8]| -> Option<Vec<u8>> {
        let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?')).unwrap_or(rest.len());
        let (host, target) = rest.split_at(end);
        (lower(host) == lower(asked.host)).then(|| target.to_vec())
    };
    for scheme in [&b"http://"[..], b"https://"] {
        if reference.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
            return of_host(&reference[scheme.len()..]);
        }
    }
    if let Some(rest) = reference.strip_prefix(b"//") {
        return of_host(rest);
    }
    let before_path = reference.iter().position(|byte| matches!(byte, b'/' | b'?'));
    if reference[..before_path.unwrap_or(reference.len())].contains(&b':') {
        return None;
    }
    if reference.is_empty() {
        return Some(asked.target.to_vec());
    }
    if reference.starts_with(b"/") {
        return Some(without_dots(reference));
    }
    if reference.starts_with(b"?") {
        return Some([asked.path(), reference].concat());
    }
    let path = asked.path();
    let folder = path.iter().rposition(|byte| *byte == b'/').map_or(&b"/"[..], |at| &path[..=at]);
    Some(without_dots(&[folder, reference].concat()))
}

/// A path without `.` and `..`, and the query that follows.
fn without_dots(target: &[u8]) -> Vec<u8> {
    let end = target.iter().position(|byte| *byte == b'?').unwrap_or(target.len());
    let (path, query) = target.split_at(end);
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    kept.pop();
                }
                if is_last {
                    kept.push(b"");
                }
            }
            _ => kept.push(segment),
        }
    }
    let mut out = Vec::with_capacity(target.len());
    for segment in kept {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out.extend_from_slice(query);
    out
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn references_of_the_same_origin() {
        let fields: &[(&str, &str)] = &[];
        let asked = Asked {
            client: IpAddr::from([127, 0, 0, 1]),
            method: b"POST",
            host: b"Shop:80",
            target: b"/a/b?c",
            fields: &fields,
        };
        let table: [(&str, Option<&str>); 14] = [
            ("/x", Some("/x")),
            ("http://shop:80/x?y#z", Some("/x?y")),
            ("HTTPS://SHOP:80", Some("")),
            ("//shop:80/x", Some("/x")),
            ("http://other/x", None),
            ("http://shop/x", None),
            ("//other/x", None),
            ("mailto:a", None),
            ("x", Some("/a/x")),
            ("../x/./y/..", Some("/x/")),
            ("../../../x", Some("/x")),
            ("?q", Some("/a/b?q")),
            ("", Some("/a/b?c")),
            ("#top", Some("/a/b?c")),
        ];
        for (reference, expected) in table {
            let found = same_origin(&asked, reference.as_bytes());
            assert_eq!(found.as_deref(), expected.map(str::as_bytes), "{reference}");
        }
    }
}
