//! `http`: the behaviour table. Each line is a line of what blackbox_exporter documents for its HTTP module
//! (<https://github.com/prometheus/blackbox_exporter/blob/master/CONFIGURATION.md>), or of what it lacks.

use std::time::Duration;

use health_model::{
    HeaderExpectation, HeaderRule, HttpProbe, JsonExpectation, JsonPath, JsonRule, NamedValue, Outcome, Pattern,
    Reason, Search, SearchMatcher, StatusSet,
};
use health_testkit::peer::{Peer, read_head};
use rstest::rstest;
use tokio::io::AsyncWriteExt;

use crate::ask::{FAMILIES, ask, get, http_spec, the_same};

const HELLO: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Kind: one\r\nX-Kind: two\r\nContent-Length: 11\r\n\r\nhello world";
const JSON: &str =
    "HTTP/1.1 200 OK\r\nContent-Length: 53\r\n\r\n{\"status\":\"up\",\"nodes\":[{\"ok\":true},{\"ok\":true}],\"n\":1}";

type P<'a> = &'a mut HttpProbe;
type Change = for<'a> fn(P<'a>);

/// Asks in both families.
async fn asked(answer: &str, change: Change) -> Outcome {
    let mut outcomes = Vec::new();
    for bind in FAMILIES {
        let peer = Peer::answering_on(bind, answer).await.unwrap();
        let mut probe = get(&format!("http://{}/", peer.address));
        change(&mut probe);
        outcomes.push((peer.address, ask(http_spec(probe)).await));
    }
    the_same(outcomes)
}

fn with_status(status: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n")
}

fn codes(elements: &[&str]) -> StatusSet {
    StatusSet::parse(elements).unwrap()
}

fn text(text: &str, absent: bool) -> Option<Search> {
    Some(Search { matcher: SearchMatcher::Text(text.to_owned()), absent })
}

fn expression(expression: &str, absent: bool) -> Option<Search> {
    Some(Search { matcher: SearchMatcher::Expression(Pattern::new(expression).unwrap()), absent })
}

fn header(name: &str, rule: HeaderRule) -> Vec<HeaderExpectation> {
    vec![HeaderExpectation { name: name.to_owned(), rule }]
}

fn json(path: &str, rule: JsonRule) -> Vec<JsonExpectation> {
    vec![JsonExpectation { path: JsonPath::new(path).unwrap(), rule }]
}

#[rstest]
// valid_status_codes: defaults to 2xx
#[case::ok("200 OK", |_: P| {}, Reason::Succeeded, "200 OK")]
#[case::no_content("204 No Content", |_: P| {}, Reason::Succeeded, "204 No Content")]
#[case::unknown_code("299 Fine", |_: P| {}, Reason::Succeeded, "299")]
#[case::server_error("503 Service Unavailable", |_: P| {}, Reason::UnexpectedStatus, "503 Service Unavailable: expected 2xx from PEER")]
#[case::not_found("404 Not Found", |_: P| {}, Reason::UnexpectedStatus, "404 Not Found: expected 2xx")]
#[case::not_modified("304 Not Modified", |_: P| {}, Reason::UnexpectedStatus, "304 Not Modified")]
#[case::listed("404 Not Found", |p: P| p.expected_status = codes(&["404"]), Reason::Succeeded, "404 Not Found")]
#[case::class("404 Not Found", |p: P| p.expected_status = codes(&["2xx", "4xx"]), Reason::Succeeded, "404 Not Found")]
#[case::range("204 No Content", |p: P| p.expected_status = codes(&["200-203"]), Reason::UnexpectedStatus, "204 No Content: expected 200-203")]
#[case::not_listed("200 OK", |p: P| p.expected_status = codes(&["404"]), Reason::UnexpectedStatus, "200 OK: expected 404")]
// 429 says nothing about health, unless it is listed
#[case::limited("429 Too Many Requests", |_: P| {}, Reason::RateLimited, "429 Too Many Requests")]
#[case::limited_but_listed("429 Too Many Requests", |p: P| p.expected_status = codes(&["429"]), Reason::Succeeded, "429 Too Many Requests")]
#[case::limited_in_a_class("429 Too Many Requests", |p: P| p.expected_status = codes(&["4xx"]), Reason::Succeeded, "429 Too Many Requests")]
#[case::credentials_wanted("401 Unauthorized", |_: P| {}, Reason::UnexpectedStatus, "401 Unauthorized: expected 2xx")]
#[tokio::test]
async fn a_status_is_judged(#[case] status: &str, #[case] change: Change, #[case] reason: Reason, #[case] said: &str) {
    let outcome = asked(&with_status(status), change).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
    assert!(outcome.response.starts_with(said), "{}", outcome.response);
    assert_eq!(outcome.status_code, status[..3].parse().ok());
    assert_eq!(outcome.evidence.is_some(), reason != Reason::Succeeded);
}

#[rstest]
// fail_if_body_not_matches_regexp, fail_if_body_matches_regexp
#[case::text_found(|p: P| p.search = text("lo wo", false), Reason::Succeeded, "200 OK")]
#[case::text_missing(|p: P| p.search = text("goodbye", false), Reason::ContentMismatch, "200 OK: expected the body to contain \"goodbye\" (searchFor), came 11 bytes")]
#[case::text_absent(|p: P| p.search = text("goodbye", true), Reason::Succeeded, "200 OK")]
#[case::text_not_absent(|p: P| p.search = text("hello", true), Reason::ContentMismatch, "200 OK: expected the body not to contain")]
#[case::expression_found(|p: P| p.search = expression("^h.*d$", false), Reason::Succeeded, "200 OK")]
#[case::expression_missing(|p: P| p.search = expression("^world", false), Reason::ContentMismatch, "200 OK: expected the body to match /^world/")]
#[case::expression_absent(|p: P| p.search = expression("error|fatal", true), Reason::Succeeded, "200 OK")]
#[case::case_matters(|p: P| p.search = text("Hello", false), Reason::ContentMismatch, "200 OK")]
// fail_if_header_not_matches, fail_if_header_matches
#[case::header_is(|p: P| p.expected_headers = header("content-TYPE", HeaderRule::Value("text/plain".into())), Reason::Succeeded, "200 OK")]
#[case::header_is_not(|p: P| p.expected_headers = header("Content-Type", HeaderRule::Value("text/html".into())), Reason::HeaderMismatch, "200 OK: expected the header Content-Type to be \"text/html\", came \"text/plain\"")]
#[case::one_of_several(|p: P| p.expected_headers = header("X-Kind", HeaderRule::Value("two".into())), Reason::Succeeded, "200 OK")]
#[case::all_of_several(|p: P| p.expected_headers = header("X-Kind", HeaderRule::Value("one, two".into())), Reason::Succeeded, "200 OK")]
#[case::header_matches(|p: P| p.expected_headers = header("Content-Type", HeaderRule::Expression(Pattern::new("^text/").unwrap())), Reason::Succeeded, "200 OK")]
#[case::header_does_not_match(|p: P| p.expected_headers = header("Content-Type", HeaderRule::Expression(Pattern::new("json").unwrap())), Reason::HeaderMismatch, "200 OK")]
#[case::header_present(|p: P| p.expected_headers = header("X-Kind", HeaderRule::Present), Reason::Succeeded, "200 OK")]
#[case::header_missing(|p: P| p.expected_headers = header("X-Other", HeaderRule::Present), Reason::HeaderMismatch, "200 OK: expected the header X-Other, it is missing")]
#[case::header_absent(|p: P| p.expected_headers = header("X-Other", HeaderRule::Absent), Reason::Succeeded, "200 OK")]
#[case::header_not_absent(|p: P| p.expected_headers = header("X-Kind", HeaderRule::Absent), Reason::HeaderMismatch, "200 OK: expected no header X-Kind")]
// body_size_limit
#[case::within_limit(|p: P| { p.max_body_bytes = 11; p.search = text("hello", false) }, Reason::Succeeded, "200 OK")]
#[case::over_limit(|p: P| { p.max_body_bytes = 10; p.search = text("hello", false) }, Reason::BodyTooLarge, "200 OK: the body is larger than 10 bytes (maxBodyBytes)")]
#[case::over_limit_but_nobody_looks(|p: P| p.max_body_bytes = 10, Reason::Succeeded, "200 OK")]
#[tokio::test]
async fn headers_and_body_are_judged(#[case] change: Change, #[case] reason: Reason, #[case] said: &str) {
    let outcome = asked(HELLO, change).await;
    assert_eq!(outcome.reason, reason, "{}", outcome.response);
    assert!(outcome.response.starts_with(said), "{}", outcome.response);
    if reason != Reason::Succeeded {
        let evidence = outcome.evidence.unwrap();
        assert!(evidence.headers.contains(&("content-type".to_owned(), "text/plain".to_owned())), "{evidence:?}");
        assert_eq!(evidence.body.as_deref().map(|body| &body[..5]), Some("hello"));
    }
}

#[rstest]
// fail_if_body_json_not_matches_cel and beyond: RFC 9535
#[case::equal("$.status", JsonRule::Value("up".into()), Reason::Succeeded, "200 OK")]
#[case::different("$.status", JsonRule::Value("down".into()), Reason::AssertionFailed, "200 OK: expected $.status to be \"down\", came \"up\"")]
#[case::every_node("$.nodes[*].ok", JsonRule::Value(true.into()), Reason::Succeeded, "200 OK")]
#[case::no_node(
    "$.missing",
    JsonRule::Present,
    Reason::AssertionFailed,
    "200 OK: expected $.missing to select something"
)]
#[case::matches("$.status", JsonRule::Expression(Pattern::new("^up$").unwrap()), Reason::Succeeded, "200 OK")]
#[case::number_as_float("$.n", JsonRule::Value(1.0.into()), Reason::Succeeded, "200 OK")]
#[case::number_is_no_text("$.n", JsonRule::Value("1".into()), Reason::AssertionFailed, "200 OK")]
#[tokio::test]
async fn json_is_judged(#[case] path: &str, #[case] rule: JsonRule, #[case] reason: Reason, #[case] said: &str) {
    let answer = JSON.replace("53", &JSON.split("\r\n\r\n").nth(1).unwrap().len().to_string());
    for bind in FAMILIES {
        let peer = Peer::answering_on(bind, answer.as_str()).await.unwrap();
        let probe = HttpProbe { expected_json: json(path, rule.clone()), ..get(&format!("http://{}/", peer.address)) };
        let outcome = ask(http_spec(probe)).await;
        assert_eq!(outcome.reason, reason, "{}", outcome.response);
        assert!(outcome.response.starts_with(said), "{}", outcome.response);
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_fails_the_json_expectation() {
    let outcome = asked(HELLO, |probe| probe.expected_json = json("$.a", JsonRule::Present)).await;
    assert_eq!(outcome.reason, Reason::AssertionFailed);
    assert!(outcome.response.contains("expected JSON, the body is not ("), "{}", outcome.response);
}

#[rstest]
#[case::seconds("120", Some(120))]
#[case::more_than_fits("99999999999999999999999", Some(u64::MAX))]
#[case::date_in_the_past("Wed, 21 Oct 2015 07:28:00 GMT", Some(0))]
#[case::nonsense("soon", None)]
#[tokio::test]
async fn retry_after_is_read_as_seconds_and_as_a_date(#[case] value: &str, #[case] seconds: Option<u64>) {
    let answer = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {value}\r\nContent-Length: 0\r\n\r\n");
    let outcome = asked(&answer, |_: P| {}).await;
    assert_eq!(outcome.reason, Reason::RateLimited);
    assert_eq!(outcome.retry_after, seconds.map(Duration::from_secs));
}

#[tokio::test]
async fn a_retry_after_date_in_the_future_is_the_time_until_then() {
    let at = std::time::SystemTime::now() + Duration::from_secs(3600);
    let date = jiff::Timestamp::try_from(at).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let answer = format!("HTTP/1.1 429 Too Many Requests\r\nRetry-After: {date}\r\nContent-Length: 0\r\n\r\n");
    let wait = asked(&answer, |_: P| {}).await.retry_after.unwrap();
    assert!((3500..=3600).contains(&wait.as_secs()), "{wait:?}");
}

/// What the peer was asked, for a probe changed like this.
async fn request_of(change: Change) -> String {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let sender = std::sync::Mutex::new(Some(sender));
    let peer = Peer::start("127.0.0.1", move |mut stream| {
        let sender = sender.lock().unwrap().take();
        async move {
            let mut request = read_head(&mut stream).await;
            if let Some(length) = request.lines().find_map(|line| line.strip_prefix("content-length: ")) {
                let mut body = vec![0; length.parse().unwrap()];
                tokio::io::AsyncReadExt::read_exact(&mut stream, &mut body).await.unwrap();
                request.push_str(&String::from_utf8(body).unwrap());
            }
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            let _ = sender.unwrap().send(request);
        }
    })
    .await
    .unwrap();
    let mut probe = get(&format!("http://{}/path?q=1#fragment", peer.address));
    change(&mut probe);
    let outcome = ask(http_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
    receiver.await.unwrap()
}

fn named(name: &str, value: &str) -> NamedValue {
    NamedValue { name: name.to_owned(), value: value.into() }
}

#[rstest]
#[case::request_line(|_: P| {}, "GET /path?q=1 HTTP/1.1\r\n")]
#[case::host(|_: P| {}, "\r\nhost: 127.0.0.1:")]
#[case::fresh_connection(|_: P| {}, "\r\nconnection: close\r\n")]
#[case::agent(|_: P| {}, "\r\nuser-agent: health-check-operator/")]
#[case::method(|p: P| p.method = "OPTIONS".into(), "OPTIONS /path?q=1 HTTP/1.1\r\n")]
#[case::header(|p: P| p.headers = vec![named("X-Env", "prod")], "\r\nx-env: prod\r\n")]
#[case::own_agent(|p: P| p.headers = vec![named("User-Agent", "me")], "\r\nuser-agent: me\r\n")]
#[case::own_host(|p: P| p.headers = vec![named("Host", "shop.example")], "\r\nhost: shop.example\r\n")]
#[case::body(|p: P| { p.method = "POST".into(); p.body = Some("a=b".into()) }, "\r\n\r\na=b")]
#[case::length(|p: P| { p.method = "POST".into(); p.body = Some("a=b".into()) }, "\r\ncontent-length: 3\r\n")]
#[case::compression_when_read(|p: P| p.search = text("", false), "\r\naccept-encoding: gzip, deflate, br, zstd\r\n")]
#[tokio::test]
async fn the_request_is_what_the_check_says(#[case] change: Change, #[case] expected: &str) {
    let request = request_of(change).await;
    assert!(request.contains(expected), "{request}");
}

#[rstest]
#[case::method(|p: P| p.method = "A B".into(), "method")]
#[case::header_name(|p: P| p.headers = vec![named("a b", "x")], "\"a b\" is no header name")]
#[case::header_value(|p: P| p.headers = vec![named("X-Key", "hunter2\r\nX-Evil: 1")], "the value of x-key")]
#[case::http2_without_tls(|p: P| p.version = health_model::HttpVersion::Http2, "httpVersion")]
#[tokio::test]
async fn what_cannot_be_sent_names_the_field_and_not_the_value(#[case] change: Change, #[case] said: &str) {
    let outcome = asked(HELLO, change).await;
    assert_eq!(outcome.reason, Reason::InvalidConfiguration, "{}", outcome.response);
    assert!(outcome.response.contains(said) && !outcome.response.contains("hunter2"), "{}", outcome.response);
}

#[tokio::test]
async fn both_families_answer_and_every_phase_is_known() {
    for bind in ["127.0.0.1", "::1"] {
        let peer = Peer::start(bind, |mut stream| async move {
            read_head(&mut stream).await;
            let _ = stream.write_all(HELLO.as_bytes()).await;
        })
        .await
        .unwrap();
        let outcome = ask(http_spec(get(&format!("http://{}/", peer.address)))).await;
        assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "200 OK"));
        assert_eq!(outcome.remote_address, Some(peer.address));
        let phases = outcome.phases;
        assert!(phases.connect.is_some() && phases.processing.is_some() && phases.transfer.is_some(), "{phases:?}");
        assert!(phases.tls.is_none() && outcome.certificate.is_none());
    }
}

#[tokio::test]
async fn a_slow_answer_is_too_slow_and_says_where_the_time_went() {
    let peer = Peer::answering(HELLO).await.unwrap();
    let mut spec = http_spec(get(&format!("http://{}/", peer.address)));
    spec.max_latency = Some(Duration::from_nanos(1));
    let outcome = ask(spec).await;
    assert_eq!(outcome.reason, Reason::TooSlow);
    assert!(outcome.response.starts_with("200 OK: took"), "{}", outcome.response);
}
