//! Sticky sessions: a cookie binds a client to an endpoint, and another one when it has to move.

use std::collections::BTreeSet;

use policy::{Transition, balance::StickyConfig};

use crate::support::{Message, Origin, Rig, answer, config};

/// Three endpoints that say who they are, and a proxy that binds clients to them.
fn rig() -> (Vec<Origin>, Rig) {
    let origins: Vec<Origin> = ["a", "b", "c"].map(Origin::saying).into();
    let addresses: Vec<_> = origins.iter().map(Origin::address).collect();
    let mut setup = config(&addresses);
    for (endpoint, name) in setup.endpoints.iter_mut().zip(["a", "b", "c"]) {
        endpoint.name = Some(name.to_owned());
    }
    setup.balance.sticky =
        Some(StickyConfig { cookie: "route".to_owned(), ..StickyConfig::default() });
    (origins, Rig::start(setup))
}

fn ask(rig: &Rig, cookies: &str) -> Message {
    let mut client = rig.client();
    let cookies = if cookies.is_empty() { String::new() } else { format!("Cookie: {cookies}\r\n") };
    client.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{cookies}Connection: close\r\n\r\n"));
    client.response()
}

/// The cookie that an answer sets, as a client sends it.
fn pair(response: &Message) -> Option<String> {
    let set = response.field("Set-Cookie")?;
    let (pair, attributes) = set.split_once(';').expect("attributes");
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    Some(pair.to_owned())
}

#[test]
fn who_comes_again_goes_where_it_was() {
    let (_origins, rig) = rig();
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        let first = ask(&rig, "");
        let cookie = pair(&first).expect("a cookie for a client without one");
        assert!(cookie.starts_with("route=") && cookie.len() == 22, "{cookie}");
        for cookies in [cookie.clone(), format!("x=1; {cookie}; y=2")] {
            let again = ask(&rig, &cookies);
            assert_eq!((again.status(), again.text()), (200, first.text()));
            assert_eq!(again.field("Set-Cookie"), None, "it has it already");
        }
        seen.insert((first.text().to_owned(), cookie));
    }
    // In turn: all three, and each has one cookie.
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn who_cannot_go_there_is_bound_to_another() {
    let (_origins, rig) = rig();
    let first = ask(&rig, "");
    let cookie = pair(&first).expect("a cookie");
    let place = ["a", "b", "c"].iter().position(|name| *name == first.text()).expect("one of them");
    rig.proxy.state().upstream.endpoints.set_up(place as u32, Transition::Down);
    let moved = ask(&rig, &cookie);
    assert_eq!(moved.status(), 200);
    assert_ne!(moved.text(), first.text());
    let other = pair(&moved).expect("another cookie");
    assert_ne!(other, cookie);
    for _ in 0..4 {
        let again = ask(&rig, &other);
        assert_eq!((again.text(), again.field("Set-Cookie")), (moved.text(), None));
    }
    // It has moved, and does not move back.
    rig.proxy.state().upstream.endpoints.set_up(place as u32, Transition::Up);
    assert_eq!(ask(&rig, &other).text(), moved.text());
    assert_eq!(ask(&rig, &cookie).text(), first.text());
}

#[test]
fn a_cookie_that_is_not_ours_binds_nobody() {
    let (_origins, rig) = rig();
    for cookies in ["route=a", "route=", "route=ffffffffffffffff", "other=1", ";;=;"] {
        let response = ask(&rig, cookies);
        assert_eq!(response.status(), 200, "{cookies}");
        assert!(pair(&response).is_some(), "{cookies}");
    }
}

#[test]
fn the_endpoints_own_cookies_pass_and_our_own_answers_set_none() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.balance.sticky = Some(StickyConfig::default());
    let rig = Rig::start(setup);
    let mut client = rig.client();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut upstream = origin.accept();
    upstream.request();
    upstream.send(answer("ok").replacen("\r\n", "\r\nSet-Cookie: mine=1\r\n", 1));
    let head = client.head();
    assert!(head.contains("\r\nSet-Cookie: mine=1\r\n"), "{head}");
    assert!(head.contains("\r\nSet-Cookie: windtunnel-endpoint="), "{head}");
    client.expect("ok");
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    upstream.request();
    // First nobody listens any more: the request shall not be tried there again.
    origin.close();
    upstream.reset();
    let refused = client.response();
    assert!(refused.status() >= 500);
    assert_eq!(refused.field("Set-Cookie"), None);
}

#[test]
fn without_sticky_sessions_nothing_is_set() {
    let origin = Origin::saying("ok");
    let rig = Rig::before(&origin);
    assert_eq!(rig.get("/").field("Set-Cookie"), None);
}
