//! Starting: addresses, and what stands in the way.

use std::net::TcpListener;

use policy::Seed;
use proxy::engine::{Proxy, StartError};

use crate::support::{ANY, Origin, Rig, Wire, config, with_admin};

#[test]
fn an_address_that_is_taken_is_named() {
    let stranger = TcpListener::bind(ANY).expect("a free port");
    let address = stranger.local_addr().expect("it is bound");
    let mut setup = config(&[]);
    setup.listen = address;
    let error = Proxy::start(setup, Seed(1)).expect_err("it is taken");
    assert!(matches!(error, StartError::Bind(taken, _) if taken == address), "{error}");
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    let mut setup = with_admin(config(&[]));
    setup.admin.listen = address;
    let error = Proxy::start(setup, Seed(1)).expect_err("it is taken");
    assert!(matches!(error, StartError::Bind(taken, _) if taken == address), "{error}");
}

#[test]
fn a_second_proxy_does_not_share_the_address_unseen() {
    let first = Rig::start(config(&[]));
    let mut setup = config(&[]);
    setup.listen = first.proxy.address();
    assert!(matches!(Proxy::start(setup, Seed(1)), Err(StartError::Bind(..))));
}

#[test]
fn impossible_values_are_all_named() {
    let mut setup = config(&[]);
    setup.workers = Some(0);
    setup.limits.head.0 = 1;
    let error = Proxy::start(setup, Seed(1)).expect_err("it is impossible").to_string();
    assert!(error.contains("`workers`") && error.contains("`limits.head`"), "{error}");
}

#[test]
fn clients_over_ipv6_are_named_in_brackets() {
    let origin = Origin::new();
    let mut setup = config(&[origin.address()]);
    setup.listen = "[::1]:0".parse().expect("an address");
    let rig = Rig::start(setup);
    let mut client = Wire::connect(rig.proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n");
    let request = origin.accept().request();
    assert_eq!(request.field("X-Forwarded-For").as_deref(), Some("::1"));
    let forwarded = request.field("Forwarded");
    assert_eq!(forwarded.as_deref(), Some("for=\"[::1]\";host=\"[::1]:80\";proto=http"));
}
