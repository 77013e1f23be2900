//! Which media types are worth it.
//!
//! A list of names, with a star for a part. What is compressed by nature is never matched by a star: a second pass over a JPEG costs
//! time and saves nothing. Who names such a type in full has measured, and gets it.

/// What is compressed by default: text and what is text inside, and binary formats that shrink by half or more.
pub(super) const COMPRESSIBLE: &[&str] = &[
    "text/*",
    "application/json",
    "application/*+json",
    "application/xml",
    "application/*+xml",
    "application/javascript",
    "application/x-javascript",
    "application/ecmascript",
    "application/graphql",
    "application/x-ndjson",
    "application/yaml",
    "application/toml",
    "application/rtf",
    "application/wasm",
    "application/vnd.ms-fontobject",
    "image/svg+xml",
    "image/bmp",
    "image/x-icon",
    "image/vnd.microsoft.icon",
    "font/ttf",
    "font/otf",
    "font/collection",
    "model/gltf+json",
];

/// What is compressed by nature.
const COMPRESSED: &[&str] = &[
    "image/apng",
    "image/avif",
    "image/gif",
    "image/heic",
    "image/heif",
    "image/jp2",
    "image/jpeg",
    "image/jxl",
    "image/png",
    "image/webp",
    "audio/*",
    "video/*",
    "font/woff",
    "font/woff2",
    "application/font-woff",
    "application/font-woff2",
    "application/epub+zip",
    "application/gzip",
    "application/java-archive",
    "application/pdf",
    "application/vnd.rar",
    "application/x-7z-compressed",
    "application/x-brotli",
    "application/x-bzip2",
    "application/x-gzip",
    "application/x-rar-compressed",
    "application/x-xz",
    "application/zip",
    "application/zlib",
    "application/zstd",
];

/// A media type without its parameters.
pub(super) fn essence(content_type: &[u8]) -> &[u8] {
    let end = content_type.iter().position(|byte| matches!(byte, b';' | b','));
    content_type[..end.unwrap_or(content_type.len())].trim_ascii()
}

/// Whether `patterns` have this type.
pub(super) fn allows(patterns: &[String], media_type: &[u8]) -> bool {
    let mut by_star = false;
    for pattern in patterns {
        if !pattern.contains('*') {
            if media_type.eq_ignore_ascii_case(pattern.as_bytes()) {
                return true;
            }
        } else if matches(pattern, media_type) {
            by_star = true;
        }
    }
    by_star && !COMPRESSED.iter().any(|known| matches(known, media_type))
}

/// Whether `media_type` is what the pattern says, whose star stands for any characters but a slash.
fn matches(pattern: &str, media_type: &[u8]) -> bool {
    if pattern == "*/*" {
        return media_type.contains(&b'/');
    }
    let Some((before, after)) = pattern.split_once('*') else {
        return media_type.eq_ignore_ascii_case(pattern.as_bytes());
    };
    let Some(middle) = media_type.len().checked_sub(before.len() + after.len()) else {
        return false;
    };
    let (head, rest) = media_type.split_at(before.len());
    let (middle, tail) = rest.split_at(middle);
    head.eq_ignore_ascii_case(before.as_bytes())
        && tail.eq_ignore_ascii_case(after.as_bytes())
        && !middle.is_empty()
        && !middle.contains(&b'/')
}

/// Whether it is `type/subtype` with at most one star in the subtype, or `*/*`.
pub(super) fn is_pattern(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&b))
    };
    match text.split_once('/') {
        Some(("*", "*")) => true,
        Some((kind, subtype)) if token(kind) => match subtype.split_once('*') {
            None => token(subtype),
            Some((before, after)) => token(&format!("{before}x{after}")),
        },
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stand_for_a_part() {
        for (pattern, media_type, is_one) in [
            ("text/*", "text/html", true),
            ("text/*", "TEXT/Plain", true),
            ("text/*", "text/", false),
            ("text/*", "application/text", false),
            ("application/*+json", "application/ld+json", true),
            ("application/*+json", "application/+json", false),
            ("application/*+json", "application/json", false),
            ("*/*", "a/b", true),
            ("*/*", "nonsense", false),
            ("image/svg+xml", "image/SVG+xml", true),
        ] {
            assert_eq!(matches(pattern, media_type.as_bytes()), is_one, "{pattern} {media_type}");
        }
    }

    #[test]
    fn what_is_compressed_by_nature_must_be_named() {
        let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(!allows(&list(&["*/*", "image/*"]), b"image/png"));
        assert!(!allows(&list(&["*/*"]), b"video/mp4"));
        assert!(allows(&list(&["*/*", "image/png"]), b"image/PNG"));
        assert!(allows(&list(&["image/*"]), b"image/bmp"));
        assert!(COMPRESSIBLE.iter().chain(COMPRESSED).all(|name| is_pattern(name)));
    }

    #[test]
    fn patterns_are_media_types() {
        for (text, is_one) in [
            ("text/html", true),
            ("text/*", true),
            ("*/*", true),
            ("application/*+json", true),
            ("text", false),
            ("text/", false),
            ("/html", false),
            ("*/html", false),
            ("te*/html", false),
            ("text/*/*", false),
            ("text/html; charset=utf-8", false),
            ("", false),
        ] {
            assert_eq!(is_pattern(text), is_one, "{text}");
        }
    }
}
