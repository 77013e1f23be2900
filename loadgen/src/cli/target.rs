//! From a URL to an address that answers.

use std::{net::SocketAddr, time::Duration};

use http::Uri;
use net::Net;

/// A URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Url {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// What stands in `Host`.
    pub(crate) authority: String,
    pub(crate) path: String,
}

/// Where the load goes.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) url: Url,
    pub(crate) address: SocketAddr,
}

/// How long the first connection may take.
const PROBE: Duration = Duration::from_secs(5);

/// Takes a URL apart, or says what is wrong with it.
pub(crate) fn parse(text: &str) -> Result<Url, String> {
    let Some((scheme, _)) = text.split_once("://") else {
        return Err(format!(
            "{text:?} is not a URL: write http://{}",
            text.trim_start_matches('/')
        ));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "http" => {}
        "https" => {
            return Err(format!(
                "{text:?}: https is not supported yet; ask the server's plain port with http://"
            ));
        }
        other => return Err(format!("{text:?}: only http:// is supported, not {other}://")),
    }
    let uri: Uri = text.parse().map_err(|error| format!("{text:?} is not a URL: {error}"))?;
    let authority = uri.authority().filter(|authority| !authority.host().is_empty());
    let Some(authority) = authority else {
        return Err(format!("{text:?} names no host: write http://HOST:PORT/PATH"));
    };
    if authority.as_str().contains('@') {
        return Err(format!(
            "{text:?}: a name and password in the URL are not supported; use --header 'Authorization: …'"
        ));
    }
    let behind = authority.as_str().rsplit(']').next().unwrap_or_default();
    let port = match (authority.port_u16(), behind.contains(':')) {
        (Some(port), _) if port > 0 => port,
        (None, false) => 80,
        _ => return Err(format!("{text:?}: the port must be a number from 1 to 65535")),
    };
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    Ok(Url {
        host: authority.host().trim_start_matches('[').trim_end_matches(']').to_owned(),
        port,
        authority: authority.as_str().to_owned(),
        path,
    })
}

/// The first of the host's addresses that takes a connection.
pub(crate) fn reach(url: Url) -> Result<Target, String> {
    let runtime = super::threads::runtime().map_err(|error| error.to_string())?;
    runtime.block_on(async {
        let net = net::Real::new();
        let found = net.clock().timeout(PROBE, net.resolve(&url.host, url.port)).await;
        let addresses = match found {
            Ok(Ok(addresses)) => addresses,
            Ok(Err(error)) => return Err(format!("cannot find the host {}: {error}", url.host)),
            Err(_) => {
                return Err(format!("cannot find the host {}: no answer in {PROBE:?}", url.host));
            }
        };
        let mut problem = String::new();
        for address in addresses {
            match net.clock().timeout(PROBE, net.connect(address)).await {
                Ok(Ok(_)) => return Ok(Target { url, address }),
                Ok(Err(error)) => problem = format!("{address}: {error}"),
                Err(_) => problem = format!("{address}: no connection in {PROBE:?}"),
            }
        }
        Err(format!("cannot connect to {problem}; is the server running?"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        let url = |host: &str, port, authority: &str, path: &str| Url {
            host: host.to_owned(),
            port,
            authority: authority.to_owned(),
            path: path.to_owned(),
        };
        for (text, parsed) in [
            ("http://127.0.0.1:8080/", url("127.0.0.1", 8080, "127.0.0.1:8080", "/")),
            ("http://localhost", url("localhost", 80, "localhost", "/")),
            ("HTTP://h/a?b=c#d", url("h", 80, "h", "/a?b=c")),
            ("http://[::1]:81/x", url("::1", 81, "[::1]:81", "/x")),
            ("http://h?q=1", url("h", 80, "h", "/?q=1")),
        ] {
            assert_eq!(parse(text).as_ref(), Ok(&parsed), "{text}");
        }
    }

    #[test]
    fn what_is_no_url_is_explained() {
        for (text, part) in [
            ("127.0.0.1:8080", "write http://127.0.0.1:8080"),
            ("https://h/", "https is not supported yet"),
            ("ftp://h/", "only http:// is supported, not ftp://"),
            ("http://", "is not a URL"),
            ("http://a:b@h/", "--header 'Authorization"),
            ("http://h:99999/", "a number from 1 to 65535"),
            ("http://h:0/", "a number from 1 to 65535"),
            ("http://h o/", "is not a URL"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
