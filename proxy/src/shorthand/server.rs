//! An endpoint as other proxies' users write it: `http://10.0.0.1:9001`, `web1:9001`, `10.0.0.1`.
//!
//! The engine connects to addresses. A name is looked up when the configuration is read, and again when it is read again (SIGHUP); it stays the
//! endpoint's name in logs and figures.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};

use proxy::config::document::{Node, Origin, Value};

use super::table;

/// The port of a URL that names none.
const PORT: u16 = 80;

/// The endpoint that a text means.
///
/// # Errors
/// What is wrong about it, in words.
pub(super) fn endpoint(text: &str, origin: &Origin) -> Result<Node, String> {
    let text_node = |text: String| Node::new(Value::Text(text), origin.clone());
    let (host, port) = host_and_port(text)?;
    if let Ok(ip) = host.parse() {
        return Ok(text_node(SocketAddr::new(ip, port).to_string()));
    }
    let cannot = |why: String| format!("`{host}` in `{text}` cannot be looked up: {why}");
    let found = (host, port).to_socket_addrs().map_err(|error| cannot(error.to_string()))?;
    let mut found: Vec<SocketAddr> = found.collect();
    // By IPv4 where there is both: `localhost` is mostly listened on so.
    found.sort_by_key(SocketAddr::is_ipv6);
    let address = found.first().ok_or_else(|| cannot("it has no address".to_owned()))?;
    let name = format!("{host}:{port}");
    Ok(table(origin, [("address", text_node(address.to_string())), ("name", text_node(name))]))
}

fn host_and_port(text: &str) -> Result<(&str, u16), String> {
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => {
            return Err(format!("`{text}` asks for TLS, which endpoints are not spoken to with"));
        }
        _ => return Err(format!("`{text}` is not an http URL")),
    }
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.contains(['/', '?', '#']) {
        return Err(format!("`{text}` has a path; requests keep their own"));
    }
    if authority.contains('@') {
        return Err(format!("`{text}` has a user; requests keep their own credentials"));
    }
    let bare = authority.trim_matches(['[', ']']);
    if bare.parse::<IpAddr>().is_ok() {
        return Ok((bare, PORT));
    }
    let (host, port) = match authority.rsplit_once(':') {
        None => (authority, PORT),
        Some((host, port)) => {
            let port = port.parse().ok().filter(|port| *port != 0);
            (host, port.ok_or_else(|| format!("`{text}` has no port from 1 to 65535"))?)
        }
    };
    let host = host.trim_matches(['[', ']']);
    if host.is_empty() || host.contains(char::is_whitespace) {
        return Err(format!("`{text}` has no host"));
    }
    Ok((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_ports() {
        let good = [
            ("10.0.0.1:9001", ("10.0.0.1", 9001)),
            ("http://10.0.0.1:9001/", ("10.0.0.1", 9001)),
            ("HTTP://web", ("web", 80)),
            ("web:1", ("web", 1)),
            ("::1", ("::1", 80)),
            ("http://[::1]:81", ("::1", 81)),
            ("[::1]", ("::1", 80)),
        ];
        for (text, found) in good {
            assert_eq!(host_and_port(text), Ok(found), "{text}");
        }
        let bad = [
            ("https://a:1", "asks for TLS"),
            ("ftp://a", "not an http URL"),
            ("http://a/b", "has a path"),
            ("u:p@a:1", "has a user"),
            ("a:0", "no port"),
            ("a:b", "no port"),
            (":80", "no host"),
            ("http://", "no host"),
        ];
        for (text, what) in bad {
            let error = host_and_port(text).expect_err(text);
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
