//! Finding a route and passing filters that change nothing allocates nothing.
//!
//! A program of its own, because the allocator that counts is the whole program's.

use std::{alloc::System, net::IpAddr};

use policy::{
    Instant, Seed,
    filter::{Chain, FilterConfig, Outcome, Passage},
    message::{Asked, Edits},
    route::{Match, Table},
};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static GLOBAL: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn routes_and_filters_allocate_nothing() {
    let routes = [
        r#"{"host": "*.example.org", "path": "/x"}"#,
        r#"{"host": ["shop.example", "www.shop.example"], "prefix": "/api/", "header": {"X-Version": "3"}}"#,
        r#"{"pattern": "/item/*/photo", "method": "PUT"}"#,
        r#"{"regex": "^/v[12]/", "ignore_case": true}"#,
        r#"{"prefix": "/"}"#,
    ];
    let routes: Vec<Match> =
        routes.iter().map(|json| serde_json::from_str(json).expect(json)).collect();
    let table = Table::new(&routes);
    let filters = r#"[
        {"deny": {"address": ["10.0.0.0/8", "2001:db8::/32"]}},
        {"deny": {"prefix": "/admin"}},
        {"deny": {"user_agent": ["badbot", "curl"], "word": ["select", "passwd"]}},
        {"allow": {"host": ["shop.example", "*.example.org"], "method": ["GET", "HEAD"]}},
        {"size": {"body": "1MiB", "fields": 50, "head": "8KiB"}},
        {"rewrite": {"prefix": "/old/", "to": "/new/"}},
        {"redirect": {"regex": "^/gone/(.*)$", "to": "/$1"}},
        {"request_header": {"remove": "X-Internal-*"}}
    ]"#;
    let filters: Vec<FilterConfig> = serde_json::from_str(filters).expect("filters");
    let chain = Chain::new(&filters, Seed(7)).expect("there are filters");
    let fields: &[(&str, &str)] =
        &[("host", "shop.example"), ("user-agent", "Mozilla/5.0"), ("x-version", "2")];
    let asked = Asked {
        client: IpAddr::from([192, 0, 2, 1]),
        method: b"GET",
        host: b"shop.example:8080",
        target: b"/api/item/7/photo?size=large",
        fields: &fields,
    };
    let mut edits = Edits::default();
    let mut serve = || {
        let route = table.find(&asked);
        let passed = chain.on_request(&asked, Instant::START, &mut Passage::default(), &mut edits);
        (route, passed == Outcome::Pass)
    };
    // The expressions make room for their work once.
    assert_eq!(serve(), (Some(4), true));
    let region = Region::new(GLOBAL);
    for _ in 0..1000 {
        assert_eq!(serve(), (Some(4), true));
    }
    assert_eq!(region.change().allocations, 0);
}
