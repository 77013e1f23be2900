//! Filters in a configuration: what is impossible to write, and that what is written is written back.

use policy::filter::{FILTERS, FilterConfig};

/// A hash by its form; of what nobody knows.
const BCRYPT: &str = "$2b$04$pbRs9CLIqYDqOmJkL7ySPORE2SJaWY8zmA6cRhCcEvLjfq5xLOMAK";

#[test]
fn what_is_impossible_is_said_with_what_to_write() {
    let needs = "say which requests are meant, like `{ address = \"10.0.0.0/8\" }` (every one is `{ address = [\"0.0.0.0/0\", \"::/0\"] }`)";
    for (json, key, message) in [
        (
            r#"{"deny": {}}"#,
            "deny",
            &*format!("has no condition, and so refuses every request; {needs}"),
        ),
        (
            r#"{"allow": {}}"#,
            "allow",
            &format!(
                "has no condition, and so lets everything through, as no filter would; {needs}"
            ),
        ),
        (
            r#"{"deny": {"address": ["::1", "10.0.0"]}}"#,
            "deny.address[1]",
            "`10.0.0` is not a range of addresses; write one like \"10.0.0.0/8\"",
        ),
        (
            r#"{"deny": {"prefix": "/%61dmin"}}"#,
            "deny.prefix[0]",
            "`/%61dmin` is not how paths are compared (decoded, without `//`, `.` and `..`); write \"/admin\"",
        ),
        (
            r#"{"deny": {"word": ""}}"#,
            "deny.word[0]",
            "an empty text is in everything; leave it out",
        ),
        (
            r#"{"deny": {"regex": "a{9999}{9999}"}}"#,
            "deny.regex[0]",
            "`a{9999}{9999}` is too large a pattern; write fewer or smaller repetitions",
        ),
        (
            r#"{"size": {}}"#,
            "size",
            "limits nothing; write one of `body`, `target`, `fields`, `field` and `head`, like `{ body = \"1MiB\" }`",
        ),
        (r#"{"size": {"head": "0B"}}"#, "size.head", "must be at least 1B"),
        (
            r#"{"request_header": {"set": {"Content-Length": "1"}}}"#,
            "request_header.set.Content-Length",
            "`Content-Length` is the proxy's own to write, since it says where a message ends or whom it is for; leave it out",
        ),
        (
            r#"{"request_header": {"remove": ["X-A", "X-Forwarded-For"]}}"#,
            "request_header.remove[1]",
            "`X-Forwarded-For` is the proxy's own to write; see `forwarding`",
        ),
        (
            r#"{"request_header": {"remove": "Host"}}"#,
            "request_header.remove[0]",
            "a request has exactly one `Host`; write it under `set`",
        ),
        (
            r#"{"response_header": {"set": {"X-A": "a\r\nX-B: b"}}}"#,
            "response_header.set.X-A",
            "a value must not have control characters; leave '\\r' out",
        ),
        (
            r#"{"response_header": {"add": {"X A": "a"}}}"#,
            "response_header.add.\"X A\"",
            "`X A` is no name of a field; write one like \"X-Name\"",
        ),
        (
            r#"{"response_header": {"rewrite": {"Location": {"regex": "^http:", "with": "$1"}}}}"#,
            "response_header.rewrite.Location.with",
            "`$1` is none of the expression's 0 groups; write `$1` or `${name}`, or `$$` for a `$`",
        ),
        (
            r#"{"rewrite": {"prefix": "/a"}}"#,
            "rewrite.prefix",
            "says what is replaced, and nothing says by what; write `to = \"/\"` beside it",
        ),
        (
            r#"{"rewrite": {"prefix": "/a", "regex": "b", "to": "/c"}}"#,
            "rewrite.regex",
            "cannot stand beside `prefix`; keep one, or write two filters",
        ),
        (r#"{"rewrite": {"prefix": "/a", "to": "c"}}"#, "rewrite.to", "`c` must begin with `/`"),
        (r#"{"rewrite": {"to": "/a b"}}"#, "rewrite.to", "' ' cannot stand in a path; write `%20`"),
        (
            r#"{"rewrite": {"to": "/100%"}}"#,
            "rewrite.to",
            "has a `%` that encodes nothing; write `%25` for a `%`",
        ),
        (
            r#"{"redirect": {"to": "/a", "status": 304}}"#,
            "redirect.status",
            "must be 301, 302, 303, 307 or 308",
        ),
        (
            r#"{"redirect": {}}"#,
            "redirect",
            "leads nowhere; write one of `to`, `scheme` and `host`, like `{ prefix = \"/old/\", to = \"/new/\" }`",
        ),
        (
            r#"{"redirect": {"scheme": "ftp"}}"#,
            "redirect.scheme",
            "`ftp` must be \"http\" or \"https\"",
        ),
        (
            r#"{"redirect": {"host": "a:b"}}"#,
            "redirect.host",
            "`a:b` is no host; write one like \"www.example.org\" or \"www.example.org:8443\"",
        ),
        (r#"{"answer": {"status": 99}}"#, "answer.status", "must be 200 to 599"),
        (
            r#"{"answer": {"status": 204, "body": "x"}}"#,
            "answer.body",
            "an answer of status 204 has no body",
        ),
        (
            r#"{"answer": {"header": {"Connection": "close"}}}"#,
            "answer.header.Connection",
            "`Connection` is the proxy's own to write, since it says where a message ends or whom it is for; leave it out",
        ),
        (
            r#"{"answer": {"body": "x", "file": "y"}}"#,
            "answer.file",
            "cannot stand beside `body`; keep one",
        ),
        (
            r#"{"basic_auth": {}}"#,
            "basic_auth",
            "lets nobody in; write `users = { NAME = \"HASH\" }` or `file = \"htpasswd\"`",
        ),
        (
            r#"{"basic_auth": {"users": {"joe": "s3cret"}}}"#,
            "basic_auth.users.joe",
            "is no hash of argon2 or bcrypt; write what `htpasswd -nB NAME` or `argon2` prints",
        ),
        (
            r#"{"basic_auth": {"users": {"joe": "$apr1$x$y"}}}"#,
            "basic_auth.users.joe",
            "is no hash of argon2 or bcrypt; write what `htpasswd -nB NAME` or `argon2` prints",
        ),
        (
            r#"{"basic_auth": {"users": {"joe": "$2b$04$short"}}}"#,
            "basic_auth.users.joe",
            "is no bcrypt hash; copy the whole of it, 60 characters from `$2b$` on",
        ),
        (
            r#"{"basic_auth": {"users": {"joe": "$argon2id$v=19$m=9999999,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNo"}}}"#,
            "basic_auth.users.joe",
            "takes more than 256 MiB or 64 passes; make one that takes less",
        ),
        (
            r#"{"basic_auth": {"realm": "a\"b", "users": {}}}"#,
            "basic_auth.realm",
            "must be ASCII without `\"` and `\\`",
        ),
        (
            r#"{"rewrite": {"when": {"method": "get"}, "to": "/"}}"#,
            "rewrite.when.method[0]",
            "`get` is not what clients send: methods are told by case; write \"GET\"",
        ),
    ] {
        let filter: FilterConfig = serde_json::from_str(json).expect(json);
        assert_eq!(filter.problem(), Some((key.to_owned(), message.to_owned())), "{json}");
    }
    let dear = BCRYPT.replacen("04", "17", 1);
    let json = format!(r#"{{"basic_auth": {{"users": {{"joe": "{dear}"}}}}}}"#);
    let filter: FilterConfig = serde_json::from_str(&json).expect("it can be read");
    let problem = filter.problem().expect("it is dear");
    assert_eq!(problem.1, "has a cost of more than 16; make one that takes less");
}

#[test]
fn every_filter_is_registered_and_written_back() {
    for (info, json) in FILTERS.iter().zip([
        r#"{"allow":{"address":"::1"}}"#,
        r#"{"deny":{"path":["/a","/b"]}}"#,
        r#"{"size":{"body":"1MiB"}}"#,
        r#"{"basic_auth":{"realm":"r","file":"f","remember":"60s","forward":true}}"#,
        r#"{"redirect":{"status":308,"scheme":"https"}}"#,
        r#"{"answer":{"when":{"path":"/x"},"status":200,"body":"b"}}"#,
        r#"{"rewrite":{"prefix":"/a","to":"/b"}}"#,
        r#"{"request_header":{"add":{"X-A":["1","2"]},"remove":"X-B"}}"#,
        r#"{"response_header":{"rewrite":{"X-A":{"regex":"b","with":"c"}}}}"#,
    ]) {
        let filter: FilterConfig = serde_json::from_str(json).expect(json);
        assert_eq!(filter.name(), info.name);
        assert!(json.starts_with(&format!("{{\"{}\"", info.name)), "{json}");
        assert_eq!(serde_json::to_string(&filter).expect("JSON"), json);
        assert!(info.summary.ends_with('.') && !info.summary.starts_with(' '));
    }
    assert_eq!(FILTERS.len(), 9);
}
