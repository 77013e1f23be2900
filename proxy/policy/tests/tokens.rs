//! Tokens: each wrong one is refused for its reason, whatever was changed in it.

use std::{
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use policy::{
    LoadReport,
    token::{
        Asked, Bearer, Gatekeeper, Grant, Key, Refusal, TooShort, join,
        report::{self, Batch, End, Report},
        split,
    },
};
use proptest::prelude::*;

const SECRET: &[u8] = b"0123456789abcdef";

fn key() -> Key {
    Key::new(SECRET).expect("sixteen bytes")
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

fn date(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}

const NOW: u64 = 1_767_225_600_000_000;

fn asked() -> Asked<'static> {
    Asked {
        endpoint: address("10.0.0.1:8080"),
        method: b"GET",
        target: b"/item/7?a=b",
        client: address("192.0.2.1:1").ip(),
    }
}

fn grant() -> Grant {
    Grant {
        nonce: 42,
        ends: date(NOW + 10_000_000),
        reports: address("10.0.0.9:80"),
        bearer: Bearer::Client,
    }
}

fn token(key: &Key, grant: &Grant, asked: &Asked<'_>) -> Vec<u8> {
    let mut token = Vec::new();
    key.sign(grant, asked, &mut token);
    token
}

/// What an endpoint makes of the token for [`grant`] when it is asked for something else, or later.
fn elsewhere(change: impl FnOnce(&mut Asked<'static>)) -> Result<Grant, Refusal> {
    let mut other = asked();
    change(&mut other);
    key().read(&token(&key(), &grant(), &asked()), &other, date(NOW))
}

#[test]
fn a_good_token_is_the_grant_that_was_signed() {
    let six = Grant { reports: address("[2001:db8::1]:8443"), nonce: u64::MAX, ..grant() };
    for grant in [grant(), six, Grant { bearer: Bearer::Anybody, ..grant() }] {
        let token = token(&key(), &grant, &asked());
        assert_eq!(key().read(&token, &asked(), date(NOW)), Ok(grant));
    }
}

#[test]
fn each_wrong_token_is_refused_for_its_reason() {
    let good = token(&key(), &grant(), &asked());
    let read = |token: &[u8]| key().read(token, &asked(), date(NOW));
    let other = Key::new(b"another secret, as long").expect("long enough");
    let cases = [
        ("of another secret", read(&token(&other, &grant(), &asked())), Refusal::Forged),
        ("other endpoint", elsewhere(|a| a.endpoint = address("10.0.0.2:8080")), Refusal::Forged),
        ("other port", elsewhere(|a| a.endpoint.set_port(8081)), Refusal::Forged),
        ("other method", elsewhere(|a| a.method = b"POST"), Refusal::Forged),
        ("other path", elsewhere(|a| a.target = b"/item/8?a=b"), Refusal::Forged),
        ("other query", elsewhere(|a| a.target = b"/item/7?a=c"), Refusal::Forged),
        ("other client", elsewhere(|a| a.client = address("192.0.2.2:1").ip()), Refusal::Forged),
        ("empty", read(b""), Refusal::Malformed),
        ("cut short", read(&good[..good.len() - 1]), Refusal::Malformed),
        ("a byte short", read(&good[..good.len() - 2]), Refusal::Malformed),
        ("in capitals", read(&good.to_ascii_uppercase()), Refusal::Malformed),
        ("no digits", read(b"zz"), Refusal::Malformed),
        ("endless", read(&vec![b'0'; 4096]), Refusal::Malformed),
    ];
    for (what, got, reason) in cases {
        assert_eq!(got, Err(reason), "{what}");
    }
}

#[test]
fn no_digit_of_a_token_can_be_changed() {
    let good = token(&key(), &grant(), &asked());
    for at in 0..good.len() {
        for digit in b"0123456789abcdef" {
            let mut forged = good.clone();
            if std::mem::replace(&mut forged[at], *digit) == *digit {
                continue;
            }
            let got = key().read(&forged, &asked(), date(NOW));
            assert!(
                matches!(got, Err(Refusal::Forged | Refusal::Malformed)),
                "digit {at} as {}: {got:?}",
                char::from(*digit)
            );
        }
    }
}

#[test]
fn neither_method_nor_path_can_lend_the_other_a_byte() {
    let token = token(&key(), &grant(), &Asked { method: b"GET", target: b"/a", ..asked() });
    let moved = Asked { method: b"GE", target: b"T/a", ..asked() };
    assert_eq!(key().read(&token, &moved, date(NOW)), Err(Refusal::Forged));
}

#[test]
fn a_token_for_anybody_is_good_for_any_client_and_nothing_else() {
    let token = token(&key(), &Grant { bearer: Bearer::Anybody, ..grant() }, &asked());
    let other = Asked { client: address("198.51.100.7:1").ip(), ..asked() };
    assert!(key().read(&token, &other, date(NOW)).is_ok());
    let other = Asked { method: b"POST", ..other };
    assert_eq!(key().read(&token, &other, date(NOW)), Err(Refusal::Forged));
}

#[test]
fn a_client_is_the_same_by_either_form_of_its_address() {
    let token = token(&key(), &grant(), &asked());
    let mapped = Asked { client: address("[::ffff:192.0.2.1]:1").ip(), ..asked() };
    assert!(key().read(&token, &mapped, date(NOW)).is_ok());
}

#[test]
fn a_token_ends_at_its_time_and_counts_once() {
    let mut gate = Gatekeeper::new(key(), 8);
    let token = token(&key(), &grant(), &asked());
    assert_eq!(gate.admit(None, &asked(), date(NOW)), Err(Refusal::Missing));
    let late = date(NOW + 10_000_000);
    assert_eq!(gate.admit(Some(&token), &asked(), late), Err(Refusal::Expired));
    let just = date(NOW + 9_999_999);
    assert_eq!(gate.admit(Some(&token), &asked(), just), Ok(grant()));
    assert_eq!(gate.admit(Some(&token), &asked(), just), Err(Refusal::Replayed));
    // It is forgotten when it could not be used again anyway.
    assert_eq!(gate.admit(Some(&token), &asked(), late), Err(Refusal::Expired));
    assert_eq!(gate.remembers(), 1);
}

#[test]
fn the_memory_is_bounded_and_a_full_one_refuses() {
    let mut gate = Gatekeeper::new(key(), 3);
    let nth = |nonce| token(&key(), &Grant { nonce, ..grant() }, &asked());
    for nonce in 0..3 {
        assert!(gate.admit(Some(&nth(nonce)), &asked(), date(NOW)).is_ok());
    }
    assert_eq!(gate.admit(Some(&nth(3)), &asked(), date(NOW)), Err(Refusal::TooMany));
    assert_eq!(gate.admit(Some(&nth(0)), &asked(), date(NOW)), Err(Refusal::Replayed));
    let later = Grant { nonce: 4, ends: date(NOW + 20_000_000), ..grant() };
    let later = token(&key(), &later, &asked());
    assert!(gate.admit(Some(&later), &asked(), date(NOW + 10_000_000)).is_ok());
    assert_eq!(gate.remembers(), 1, "the others had expired");
}

#[test]
fn a_secret_must_be_long_enough() {
    assert_eq!(Key::new(b"0123456789abcde").err(), Some(TooShort));
    assert!(TooShort.to_string().contains("openssl rand -hex 32"));
    assert!(!format!("{:?}", key()).contains("0123"));
}

#[test]
fn a_token_is_the_last_parameter_of_the_query() {
    for (target, token, joined) in [
        ("/a", "11", "/a?windtunnel-token=11"),
        ("/a?b=c", "11", "/a?b=c&windtunnel-token=11"),
        ("/a?", "11", "/a?&windtunnel-token=11"),
        ("/a?windtunnel-token=22", "11", "/a?windtunnel-token=22&windtunnel-token=11"),
    ] {
        let mut out = Vec::new();
        join(target.as_bytes(), token.as_bytes(), &mut out);
        assert_eq!(String::from_utf8_lossy(&out), joined);
        assert_eq!(split(&out), (target.as_bytes(), Some(token.as_bytes())));
    }
    for target in
        ["/a", "/a?b", "/a?windtunnel-token", "/a?windtunnel-token=1&b", "/a&windtunnel-token=1"]
    {
        assert_eq!(split(target.as_bytes()), (target.as_bytes(), None), "{target}");
    }
}

#[test]
fn reports_are_read_as_they_were_written() {
    let reports = [
        Report { nonce: 1, end: End::Answered(200), took: Duration::from_nanos(1_234_567) },
        Report { nonce: u64::MAX, end: End::Broken, took: Duration::ZERO },
        Report { nonce: 0, end: End::Cancelled, took: Duration::from_hours(1) },
    ];
    let body = report::write(&reports, None);
    let batch = Batch { reports: reports.to_vec(), load: None };
    assert_eq!(report::read(body.as_bytes()), Some(batch.clone()));
    let load = LoadReport { rate: 1.0 / 3.0, queue: 7, ..LoadReport::default() };
    let loaded = report::write(&reports, Some(&load));
    assert_eq!(report::read(loaded.as_bytes()), Some(Batch { load: Some(load), ..batch }));
    let code = key().sign_report(body.as_bytes());
    assert!(key().is_report(body.as_bytes(), code.as_bytes()));
    assert!(!key().is_report(b"0000000000000001 200 1\n", code.as_bytes()));
    assert!(!key().is_report(body.as_bytes(), &code.as_bytes()[2..]));
    let most = vec![reports[1]; report::BATCH + 1];
    let third = 1.0 / 3e9;
    let long = LoadReport {
        utilization: third,
        rate: third,
        errors: third,
        in_flight: u32::MAX,
        queue: u32::MAX,
        latency: Duration::MAX,
        service_time: Duration::MAX,
    };
    let body = report::write(&most, Some(&long));
    assert!(body.len() <= report::MAX_BODY, "{}", body.len());
    assert_eq!(report::read(body.as_bytes()).map(|all| all.reports.len()), Some(report::BATCH));
    for wrong in [
        "x 200 1\n",
        "1 99 1\n",
        "1 600 1\n",
        "1 200\n",
        "1 200 1 1\n",
        "1 200 -1\n",
        "\n",
        "load\n",
        "load TEXT eps=x\n",
        "load TEXT eps=1\nload TEXT eps=1\n",
        "load TEXT eps=1\n1 200 1\n",
    ] {
        assert_eq!(report::read(wrong.as_bytes()), None, "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn nothing_that_is_sent_as_a_token_panics(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(key().read(&text, &asked(), date(NOW)).is_err());
        let _ = split(&text);
        let _ = report::read(&text);
    }
}
