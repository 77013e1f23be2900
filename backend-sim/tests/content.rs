//! Content: what is the same for everybody who asks for the same target, and what it says of itself.

mod support;

use backend_sim::{BackendConfig, config::Kind, content::ContentConfig};
use bytes::Bytes;
use http::{Request, request::Builder};
use http_body_util::Full;
use policy::{
    distribution::Distribution,
    quantity::{ByteSize, TimeSpan},
    work::{Pattern, number_of_target},
};
use support::{Answer, Bench, with};

fn content() -> BackendConfig {
    BackendConfig {
        workers: 4,
        service: Distribution::Constant(TimeSpan::millis(10)),
        response: Distribution::Uniform { min: ByteSize(1), max: ByteSize(100_000) },
        content: Some(ContentConfig {
            cache_control: "max-age=60".to_owned(),
            etag: true,
            vary: "accept-encoding".to_owned(),
            media_type: "text/html".to_owned(),
            tags: "all shop".to_owned(),
            unchanged: 0.1,
        }),
        ..BackendConfig::default()
    }
}

fn at(target: &str) -> Builder {
    Request::builder().uri(target).header("host", "web")
}

async fn ask(bench: &Bench, request: Builder) -> Answer {
    bench.ask(request.body(Full::<Bytes>::default()).expect("a request")).await.expect("an answer")
}

#[test]
fn a_target_has_one_answer_for_everybody_and_it_says_whose_it_is() {
    with(&content(), async |bench| {
        let target = "/item/7?size=large";
        let first = ask(&bench, at(target).header("windtunnel-id", 1)).await;
        let second = ask(&bench, at(target).header("windtunnel-id", 2)).await;
        let other = ask(&bench, at("/item/8").header("windtunnel-id", 1)).await;
        assert_eq!(first.body, second.body);
        assert_ne!(first.body, other.body);
        assert_ne!(first.body.len(), other.body.len());
        let number = number_of_target(target.as_bytes());
        assert_eq!(first.headers["windtunnel-id"], number.to_string());
        assert_eq!(Pattern::text(number).mismatch(0, &first.body), None);
        for (name, value) in [
            ("cache-control", "max-age=60"),
            ("vary", "accept-encoding"),
            ("content-type", "text/html"),
            ("surrogate-key", "all shop"),
        ] {
            assert_eq!(first.headers[name], value);
        }
        assert_eq!(first.headers["etag"], format!("\"{number:016x}\""));
        // What is asked to be done is the request's own.
        let post = ask(&bench, at(target).method("POST").header("windtunnel-id", 5)).await;
        assert_eq!(Pattern::new(5).mismatch(0, &post.body), None);
        for name in ["windtunnel-id", "cache-control", "etag"] {
            assert!(!post.headers.contains_key(name), "{name}");
        }
    });
}

#[test]
fn who_has_it_already_is_told_so_and_sooner() {
    with(&content(), async |bench| {
        let first = ask(&bench, at("/a")).await;
        assert_eq!((first.status.as_u16(), first.at), (200, 10_000));
        let etag = first.headers["etag"].to_str().expect("text").to_owned();
        for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            let from = bench.micros();
            let answer = ask(&bench, at("/a").header("if-none-match", &known)).await;
            assert_eq!((answer.status.as_u16(), answer.at - from), (304, 1_000), "{known}");
            assert!(answer.body.is_empty());
            assert_eq!(answer.headers["etag"], etag);
            assert_eq!(answer.headers["cache-control"], "max-age=60");
            assert!(!answer.headers.contains_key("content-type"));
        }
        let answer = ask(&bench, at("/b").header("if-none-match", &etag)).await;
        assert_eq!(answer.status.as_u16(), 200);
        let head = ask(&bench, at("/a").method("HEAD")).await;
        assert_eq!(head.headers["content-length"], first.body.len().to_string());
    });
}

#[test]
fn what_makes_no_sense_is_said() {
    let problem = |config: &BackendConfig| config.problem().map(|(path, _)| path);
    assert_eq!(problem(&content()), None);
    assert_eq!(
        problem(&BackendConfig { kind: Kind::Session, ..content() }).as_deref(),
        Some("content")
    );
    let with = |change: fn(&mut ContentConfig)| {
        let mut config = content();
        change(config.content.as_mut().expect("it has content"));
        problem(&config)
    };
    assert_eq!(with(|c| c.vary = "a\nb".to_owned()).as_deref(), Some("content.vary"));
    assert_eq!(with(|c| c.media_type = "\u{7f}".to_owned()).as_deref(), Some("content.type"));
    assert_eq!(with(|c| c.unchanged = 1.5).as_deref(), Some("content.unchanged"));
}
