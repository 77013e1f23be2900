//! What the admin listener says of who asks for what.

use serde_json::Value;

use crate::support::{Origin, Rig, Wire, config, configured, eventually, with_admin};

fn analysed(rig: &Rig, query: &str) -> Value {
    let response = rig.admin(&format!("/analytics{query}"));
    assert_eq!(response.status(), 200);
    assert_eq!(response.field("Content-Type").as_deref(), Some("application/json"));
    serde_json::from_slice(&response.body).expect("JSON")
}

#[test]
fn every_worker_is_asked() {
    let origin = Origin::saying("hello");
    let mut config = with_admin(config(&[origin.address()]));
    config.analytics.enabled = true;
    config.workers = Some(3);
    let rig = Rig::start(config);
    // Each on a connection of its own: nobody knows which worker gets it.
    for number in 0..20 {
        let mut client = rig.client();
        client.send(format!(
            "GET /{}?n={number} HTTP/1.1\r\nHost: a\r\nUser-Agent: me\r\nReferer: http://b/\r\nConnection: close\r\n\r\n",
            if number % 4 == 0 { "rare" } else { "often" }
        ));
        client.response();
    }
    eventually("all are counted", || rig.sum(|stats| &stats.requests) == 20);
    let all = analysed(&rig, "");
    assert_eq!(
        (&all["requests"], &all["workers"], &all["error_at_most"]),
        (&20.into(), &3.into(), &0.into())
    );
    let top = |list: &str, index: usize| {
        let line = &all[list][index];
        let name = line["name"].as_str().map(str::to_owned).expect("a name");
        (name, line["count"].as_u64().expect("a count"), line["error"].as_u64().expect("an error"))
    };
    assert_eq!(top("paths", 0), ("/often".to_owned(), 15, 0));
    assert_eq!(top("paths", 1), ("/rare".to_owned(), 5, 0));
    assert_eq!(top("clients", 0), ("127.0.0.1".to_owned(), 20, 0));
    assert_eq!(top("user_agents", 0), ("me".to_owned(), 20, 0));
    assert_eq!(top("referers", 0), ("http://b/".to_owned(), 20, 0));
    let route = &all["routes"][0];
    assert_eq!((&route["route"], &route["requests"]), (&"".into(), &20.into()));
    assert_eq!((&route["bytes_sent"], &route["by_status"]["2xx"]), (&100.into(), &20.into()));
    let minutes = all["minutes"].as_array().expect("a list");
    let sum: u64 =
        minutes.iter().map(|minute| minute["requests"].as_u64().expect("a number")).sum();
    assert_eq!(sum, 20);
}

#[test]
fn routes_have_minutes_of_their_own() {
    let origin = Origin::saying("");
    let address = origin.address();
    let rig = Rig::start(with_admin(configured(&format!(
        "endpoints = [\"{address}\"]\nanalytics = {{ enabled = true, keys = 10 }}\n\
         [[routes]]\nname = \"shop\"\nmatch = {{ prefix = \"/shop/\" }}\n"
    ))));
    for path in ["/shop/1", "/shop/2", "/"] {
        rig.get(path);
    }
    eventually("all are counted", || rig.sum(|stats| &stats.requests) == 3);
    let counted = |query: &str| {
        let minutes = analysed(&rig, query)["minutes"].take();
        let minutes = minutes.as_array().expect("a list").clone();
        minutes.iter().map(|minute| minute["requests"].as_u64().expect("a number")).sum::<u64>()
    };
    assert_eq!(["", "?route=shop", "?route=", "?route=none"].map(counted), [3, 2, 1, 0]);
}

#[test]
fn a_person_gets_a_page_in_which_nobody_writes() {
    let origin = Origin::saying("");
    let mut config = with_admin(config(&[origin.address()]));
    config.analytics.enabled = true;
    let rig = Rig::start(config);
    let mut client = rig.client();
    client.send("GET /'\"&x HTTP/1.1\r\nHost: a\r\nUser-Agent: <script>alert(1)</script>\r\nConnection: close\r\n\r\n");
    client.response();
    eventually("it is counted", || rig.sum(|stats| &stats.requests) == 1);
    let mut wire = Wire::connect(rig.proxy.admin_address().expect("it is on"));
    wire.send("GET /analytics HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\nConnection: close\r\n\r\n");
    let response = wire.response();
    assert_eq!(response.field("Content-Type").as_deref(), Some("text/html; charset=utf-8"));
    let page = response.text();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && !page.contains("<script"),
        "{page}"
    );
    assert!(page.contains("/&#39;&quot;&amp;x"), "{page}");
}

#[test]
fn they_are_off_until_they_are_wanted() {
    let origin = Origin::saying("");
    let off = with_admin(config(&[origin.address()]));
    let mut on = off.clone();
    on.analytics.enabled = true;
    let rig = Rig::start(off.clone());
    rig.get("/before");
    let response = rig.admin("/analytics");
    assert_eq!(
        (response.status(), response.text()),
        (404, "there are none; set `analytics.enabled = true`\n")
    );
    rig.proxy.reload(on).expect("it is good");
    eventually("they have begun", || {
        rig.get("/after");
        analysed(&rig, "")["requests"].as_u64() > Some(0)
    });
    assert!(
        analysed(&rig, "")["paths"]
            .as_array()
            .expect("a list")
            .iter()
            .all(|line| line["name"] == "/after")
    );
    rig.proxy.reload(off).expect("it is good");
    assert_eq!(rig.admin("/analytics").status(), 404);
}
