//! `assertions`: CEL over the answer. What it can see, how it fails, and that it ends.

use std::time::{Duration, Instant};

use health_model::{Assertion, CelExpression, HttpProbe, JsonExpectation, JsonPath, JsonRule, Outcome, Reason};
use health_testkit::peer::Peer;
use rstest::rstest;

use crate::ask::{ask, get, http_spec};

async fn asserted(body: &str, source: &str, message: Option<&str>) -> Outcome {
    let answer = format!("HTTP/1.1 200 OK\r\nX-Kind: a\r\nX-Kind: b\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let peer = Peer::answering(answer).await.unwrap();
    let assertion = Assertion { expression: CelExpression::new(source).unwrap(), message: message.map(str::to_owned) };
    let probe = HttpProbe { assertions: vec![assertion], ..get(&format!("http://{}/", peer.address)) };
    ask(http_spec(probe)).await
}

const BODY: &str =
    r#"{"status": "up", "n": 3, "share": 0.5, "nodes": [{"ok": true, "load": 1}, {"ok": true, "load": 2}]}"#;

#[rstest]
#[case("response.status == 200")]
#[case("response.status < 300 && response.latencySeconds < 20.0")]
#[case("response.headers['x-kind'] == 'a, b'")]
#[case("response.body.contains('up')")]
#[case("response.body.matches('\"n\": [0-9]+')")]
#[case("response.json.status == 'up' && response.json.n == 3 && response.json.n + 1 == 4")]
#[case("response.json.share > 0.4")]
#[case("response.json.nodes.all(node, node.ok)")]
#[case("response.json.nodes.exists(node, node.load == 2)")]
#[case("response.json.nodes.exists_one(node, node.load == 2)")]
#[case("response.json.nodes.map(node, node.load) == [1, 2]")]
#[case("response.json.nodes.filter(node, node.load > 1).size() == 1")]
#[case("size(response.json.nodes) == 2 && response.certificate == null")]
#[case("response.json.nodes.all(a, response.json.nodes.exists(b, a.load <= b.load))")]
#[case("'x-kind' in response.headers && has(response.json.status)")]
#[case::negated("!(response.json.status == 'down')")]
#[case::several_expressions("response.body.matches('up') && response.body.matches('nodes')")]
#[case::header_does_not_match("!('x-kind' in response.headers && response.headers['x-kind'].matches('^c'))")]
#[tokio::test]
async fn what_holds_is_healthy(#[case] source: &str) {
    let outcome = asserted(BODY, source, None).await;
    assert_eq!((outcome.reason, outcome.response.as_str()), (Reason::Succeeded, "200 OK"), "{source}");
}

#[rstest]
#[case::false_("response.status == 201", None, "200 OK: expected response.status == 201")]
#[case::with_message(
    "response.status == 201",
    Some("not created"),
    "200 OK: not created (response.status == 201 does not hold)"
)]
#[case::missing_field("response.json.missing == 1", None, "200 OK: response.json.missing == 1 cannot be evaluated")]
#[case::no_bool("response.status", None, "200 OK: response.status cannot be evaluated (it is a int, not a bool)")]
#[case::unknown_name("request.status == 1", None, "200 OK: request.status == 1 cannot be evaluated")]
#[case::one_node_fails("response.json.nodes.all(node, node.load == 1)", None, "200 OK: expected")]
#[tokio::test]
async fn what_does_not_hold_or_cannot_be_evaluated_says_so(
    #[case] source: &str,
    #[case] message: Option<&str>,
    #[case] said: &str,
) {
    let outcome = asserted(BODY, source, message).await;
    assert_eq!(outcome.reason, Reason::AssertionFailed, "{}", outcome.response);
    assert!(outcome.response.starts_with(said), "{}", outcome.response);
}

#[rstest]
#[case::nested_loops(format!("{0}.all(a, {0}.all(b, {0}.all(c, {0}.all(d, {0}.all(e, a + b + c + d + e >= 0)))))", list(60)))]
#[case::doubling(format!("['aaaaaaaaaaaaaaaa']{}.size() == 1", ".map(x, x + x)".repeat(30)))]
#[case::doubling_lists(format!("[[1, 2, 3, 4]]{}.size() == 1", ".map(x, x + x)".repeat(30)))]
#[case::nested_literals(format!("['aaaaaaaaaaaaaaaa']{}.size() == 1", ".map(x, [x, x, x])".repeat(60)))]
#[case::sums(format!("({}).size() == 1", vec!["response.body"; 90].join(" + ")))]
#[tokio::test]
async fn what_would_take_for_ever_or_fill_the_memory_ends_as_a_failed_assertion(#[case] source: String) {
    let started = Instant::now();
    let outcome = asserted(&"x".repeat(500_000), &source, None).await;
    assert_eq!(outcome.reason, Reason::AssertionFailed, "{}", outcome.response);
    assert!(outcome.response.contains("cannot be evaluated"), "{}", outcome.response);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
}

fn list(length: usize) -> String {
    format!("[{}]", (0..length).map(|item| item.to_string()).collect::<Vec<_>>().join(","))
}

#[tokio::test]
async fn a_long_list_is_walked_in_reasonable_time() {
    let body = format!("{{\"items\": {}}}", list(5_000));
    let outcome = asserted(&body, "response.json.items.map(i, i * 2).filter(i, i > 100).size() == 4949", None).await;
    assert_eq!(outcome.reason, Reason::Succeeded, "{}", outcome.response);
}

#[rstest]
#[case::from_the_root_for_each("$.items[?count($..*) > 3]", list(5_000))]
#[case::below_below_below("$.items..*..*..*..*..*", format!("{}1{}", "[".repeat(100), "]".repeat(100)))]
#[case::a_pattern_for_each("$.items[?search(@, '((a{99}){99}){9}')]", list(5_000))]
#[tokio::test]
async fn a_path_that_would_take_for_ever_is_refused(#[case] path: &str, #[case] items: String) {
    let body = format!("{{\"items\": {items}}}");
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let peer = Peer::answering(answer).await.unwrap();
    let expected = JsonExpectation { path: JsonPath::new(path).unwrap(), rule: JsonRule::Present };
    let probe = HttpProbe { expected_json: vec![expected], ..get(&format!("http://{}/", peer.address)) };
    let outcome = ask(http_spec(probe)).await;
    assert_eq!(outcome.reason, Reason::AssertionFailed, "{}", outcome.response);
    assert!(outcome.response.contains("would take too many steps"), "{}", outcome.response);
}

#[tokio::test]
async fn a_path_over_a_large_document_is_followed_beside_the_other_probes() {
    let body = format!("{{\"items\": {}}}", list(100_000));
    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let peer = Peer::answering(answer).await.unwrap();
    for (path, reason) in [("$..items[?@ == 77]", Reason::Succeeded), ("$..items[?@ == 'x']", Reason::AssertionFailed)]
    {
        let expected = JsonExpectation { path: JsonPath::new(path).unwrap(), rule: JsonRule::Present };
        let probe = HttpProbe { expected_json: vec![expected], ..get(&format!("http://{}/", peer.address)) };
        let outcome = ask(http_spec(probe)).await;
        assert_eq!(outcome.reason, reason, "{}", outcome.response);
        assert!(outcome.response.starts_with("200 OK"), "{}", outcome.response);
    }
}

/// As deep as an expression may nest: the process must stand it, on the stack that its threads have.
#[rstest]
#[case::selects(format!("response.json{} == 1", ".a".repeat(96)))]
#[case::sums(format!("{} > 0", vec!["1"; 98].join("+")))]
#[case::comparisons(format!("{} == true", vec!["1"; 98].join("==")))]
#[case::alternatives(format!("false{}", "||false".repeat(580)))]
#[case::calls(format!("response.body{} == 1", ".a()".repeat(95)))]
#[case::loops(format!("{}true{}", "[1].all(a,".repeat(24), ")".repeat(24)))]
#[case::indices(format!("response.json{} == 1", "[0]".repeat(96)))]
fn a_deep_expression_does_not_end_the_process(#[case] source: String) {
    // Half of the stack that the threads which probe have.
    let probing = std::thread::Builder::new().stack_size(1 << 20).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(asserted(BODY, &source, None))
    });
    let outcome = probing.unwrap().join().unwrap();
    assert!(matches!(outcome.reason, Reason::AssertionFailed | Reason::Succeeded), "{}", outcome.response);
}

/// Deeper ones are refused before anything is evaluated.
#[rstest]
#[case::sums(vec!["1"; 2_000].join("+"))]
#[case::comparisons(vec!["1"; 1_300].join("=="))]
#[case::selects(format!("a{}", ".a".repeat(2_000)))]
#[case::loops(format!("{}true{}", "[1].all(a,".repeat(60), ")".repeat(60)))]
fn an_expression_that_is_too_deep_is_refused(#[case] source: String) {
    let error = CelExpression::new(&source).unwrap_err().to_string();
    assert!(error.contains("nests more than 100 deep"), "{error}");
}
