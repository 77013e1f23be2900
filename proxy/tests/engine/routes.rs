//! Routes: which endpoints a request goes to, and what each upstream has of its own.

use crate::support::{Origin, Rig, configured, eventually};

/// A proxy with an origin of its own and two upstreams with names.
fn rig(own: bool, more: &str) -> (Vec<Origin>, Rig) {
    let origins: Vec<Origin> = ["own", "api", "img"].map(Origin::saying).into();
    let [first, api, img] = [0, 1, 2].map(|place: usize| origins[place].address());
    let endpoints = if own { format!("endpoints = [\"{first}\"]") } else { String::new() };
    let config = configured(&format!(
        r#"
        {endpoints}
        routes = [
            {{ name = "api", match = {{ prefix = "/api/" }}, upstream = "api" }},
            {{ match = {{ prefix = "/img/" }}, upstream = "img" }},
        ]
        [upstreams.api]
        endpoints = ["{api}"]
        {more}
        [upstreams.img]
        endpoints = ["{img}"]
        "#
    ));
    (origins, Rig::start(config))
}

#[test]
fn each_request_goes_where_the_first_route_that_matches_leads() {
    let (_origins, rig) = rig(true, "");
    for (path, who) in [("/api/x", "api"), ("/img/y?api", "img"), ("/apis", "own"), ("/", "own")] {
        assert_eq!(rig.get(path).text(), who, "{path}");
    }
}

#[test]
fn one_connection_serves_requests_of_all_routes() {
    let (_origins, rig) = rig(true, "");
    let mut client = rig.client();
    for _ in 0..3 {
        for (path, who) in [("/api/x", "api"), ("/", "own"), ("/img/", "img")] {
            client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
            assert_eq!(client.response().text(), who);
        }
    }
}

#[test]
fn what_no_route_matches_is_404_where_the_proxy_has_no_endpoints_of_its_own() {
    let (_origins, rig) = rig(false, "");
    assert_eq!(rig.get("/api/x").status(), 200);
    let response = rig.get("/");
    assert_eq!(response.status(), 404);
    let why = response.field("Proxy-Status").expect("it says why");
    assert!(why.contains("destination_not_found"), "{why}");
    rig.has_faults("no_route", 1);
}

#[test]
fn an_upstream_has_limits_of_its_own() {
    let (_origins, rig) = rig(true, "limits = { body = \"4B\" }");
    let mut refused = rig.client();
    refused.send("POST /api/ HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(refused.response().status(), 413);
    let mut other = rig.client();
    other.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello");
    assert_eq!(other.response().status(), 200);
    // Nobody knew before it came.
    let mut client = rig.client();
    client.send("POST /api/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    assert_eq!(client.response().status(), 413);
    drop((refused, other, client));
    rig.has_faults("body_too_large", 2);
    rig.is_quiet_again();
}

#[test]
fn a_reload_changes_where_requests_go() {
    let (origins, rig) = rig(true, "");
    assert_eq!(rig.get("/api/x").text(), "api");
    let changed = configured(&format!(
        "endpoints = [\"{}\"]\nroutes = [{{ match = {{ prefix = \"/api/\" }}, upstream = \"new\" }}]\n\
         [upstreams.new]\nendpoints = [\"{}\"]",
        origins[0].address(),
        origins[2].address(),
    ));
    rig.proxy.reload(changed).expect("it is possible");
    eventually("the new one is in force", || rig.get("/api/x").text() == "img");
    assert_eq!(rig.get("/img/").text(), "own");
}
