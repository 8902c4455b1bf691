//! `/api/v1/checks`: filters, order, pages, and what is said of one check.

use std::{sync::Arc, time::Duration};

use health_model::{CertificateFacts, Evidence, Outcome, Phases, Reason};
use rstest::rstest;
use serde_json::{Value, json};

use crate::house::{House, bad, check, good, labelled, parse};

fn names(list: &Value) -> Vec<String> {
    list["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

/// Four checks that differ in everything that can be asked for.
async fn four() -> House {
    let house = House::build().await;
    for (id, tier) in [("one/alpha", "web"), ("one/beta", "db"), ("two/gamma", "web"), ("two/delta", "db")] {
        house.engine.apply(labelled(id, &[("tier", tier)])).await;
    }
    house.check_that_says("one/alpha", good("200 OK")).await;
    house.check_that_says("one/beta", bad(Reason::Timeout, "Timeout: Größe")).await;
    house.check_that_says("two/gamma", Outcome::new(Reason::RateLimited, "429 Too Many Requests")).await;
    house
}

#[rstest]
#[case("", &["alpha", "beta", "delta", "gamma"])]
#[case("namespace=one", &["alpha", "beta"])]
#[case("namespace=nobody", &[])]
#[case("healthy=true", &["alpha"])]
#[case("healthy=false", &["beta", "delta", "gamma"])]
#[case("state=Errored", &["beta"])]
#[case("state=CheckBackoff", &["gamma"])]
#[case("reason=Pending", &["delta"])]
#[case("labelSelector=tier%3Dweb", &["alpha", "gamma"])]
#[case("labelSelector=tier+in+(db,cache),tier", &["beta", "delta"])]
#[case("q=GR%C3%96SSE", &[])]
#[case("q=GR%C3%96%C3%9FE", &["beta"])]
#[case("q=tier%3Ddb", &["beta", "delta"])]
#[case("q=tcp://192", &["alpha", "beta", "delta", "gamma"])]
#[case("healthy=false&namespace=two&labelSelector=tier%3Ddb", &["delta"])]
#[case("sort=-name", &["gamma", "delta", "beta", "alpha"])]
#[case("sort=status", &["beta", "delta", "gamma", "alpha"])]
#[case("sort=-status", &["alpha", "delta", "gamma", "beta"])]
#[case("sort=lastTransition", &["alpha", "beta", "delta", "gamma"])]
#[case("sort=-lastTransition", &["beta", "alpha", "delta", "gamma"])]
#[case("sort=responseTime&healthy=true", &["alpha"])]
#[tokio::test]
async fn a_list_holds_what_matches_in_the_order_asked_for(#[case] query: &str, #[case] expected: &[&str]) {
    let house = four().await;
    let list = house.get(&format!("/api/v1/checks?{query}")).await.json();
    assert_eq!(names(&list), expected);
    assert_eq!(list["total"], expected.len());
    assert_eq!(list.get("continue"), None);
}

#[tokio::test]
async fn response_times_are_ordered_by_length_and_absent_ones_come_last_either_way() {
    let house = House::build().await;
    house.declare("default/never").await;
    for (name, millis) in [("default/slow", 900), ("default/fast", 3), ("default/middle", 70)] {
        house.check_that_says(name, Outcome { duration: Duration::from_millis(millis), ..good(name) }).await;
    }
    let rising = house.get("/api/v1/checks?sort=responseTime").await.json();
    assert_eq!(names(&rising), ["fast", "middle", "slow", "never"]);
    let falling = house.get("/api/v1/checks?sort=-responseTime").await.json();
    assert_eq!(names(&falling), ["slow", "middle", "fast", "never"]);
}

#[rstest]
#[case("limit=0", "limit", "0", "a number from 1 to 10000")]
#[case("limit=10001", "limit", "10001", "a number from 1 to 10000")]
#[case("limit=ten", "limit", "ten", "a number from 1 to 10000")]
#[case("healthy=yes", "healthy", "yes", "true or false")]
#[case("state=active", "state", "active", "Active, CheckBackoff or Errored")]
#[case("sort=age", "sort", "age", "name, status, lastTransition or responseTime, with - in front for descending")]
#[case("labelSelector=a+b", "labelSelector", "a b", "like a=b,c!=d,e in (f,g),!h; could not read \"a b\"")]
#[case("continue=nonsense", "continue", "nonsense", "what a page of this very query said")]
#[case("namespace=a&namespace=b", "namespace", "b", "given once")]
#[case("q=%ff", "q", "\u{fffd}", "percent-encoded UTF-8")]
#[case("healty=true", "healty", "true", "namespace, healthy, state, reason, labelSelector, q, sort, limit, continue")]
#[tokio::test]
async fn a_parameter_that_cannot_be_read_is_400_and_named_with_its_value_and_what_is_allowed(
    #[case] query: &str,
    #[case] parameter: &str,
    #[case] value: &str,
    #[case] allowed: &str,
) {
    let house = House::build().await;
    let problem = house.get(&format!("/api/v1/checks?{query}")).await.problem(400);
    assert_eq!((&problem["parameter"], &problem["value"]), (&json!(parameter), &json!(value)));
    assert_eq!(problem["allowed"], allowed);
    assert!(problem["detail"].as_str().unwrap().contains(parameter));
}

#[tokio::test]
async fn an_unknown_reason_is_400_and_the_vocabulary_is_shown() {
    let house = House::build().await;
    let problem = house.get("/api/v1/checks?reason=Timeouts").await.problem(400);
    let allowed = problem["allowed"].as_str().unwrap();
    assert!(Reason::ALL.iter().all(|reason| allowed.contains(reason.as_str())), "{allowed}");
}

#[tokio::test]
async fn a_very_long_value_is_shown_back_shortened() {
    let house = House::build().await;
    let problem = house.get(&format!("/api/v1/checks?sort={}", "x".repeat(5000))).await.problem(400);
    assert_eq!(problem["value"].as_str().unwrap().chars().count(), 201);
}

#[rstest]
#[case("name")]
#[case("-name")]
#[case("status")]
#[case("-lastTransition")]
#[case("responseTime")]
#[tokio::test]
async fn pages_put_together_are_the_whole_list(#[case] sort: &str) {
    let house = House::build().await;
    house.engine.replace_all((0..23).map(|number| check(&format!("ns-{}/check-{number}", number % 3))).collect()).await;
    house.says("ns-0/check-0", good("fine"));
    house.says("ns-1/check-1", bad(Reason::Timeout, "Timeout"));
    house.until("ns-0/check-0", |row| row.standing.healthy()).await;
    house.until("ns-1/check-1", |row| row.standing.reason == Reason::Timeout).await;
    let whole = names(&house.get(&format!("/api/v1/checks?sort={sort}")).await.json());
    let mut paged = Vec::new();
    let mut path = format!("/api/v1/checks?sort={sort}&limit=5");
    loop {
        let page = house.get(&path).await.json();
        assert_eq!(page["total"], 23);
        paged.extend(names(&page));
        match page["continue"].as_str() {
            Some(token) => path = format!("/api/v1/checks?sort={sort}&limit=5&continue={token}"),
            None => break,
        }
    }
    assert_eq!(paged, whole);
}

#[tokio::test]
async fn checks_that_come_and_go_between_two_pages_neither_repeat_nor_hide_others() {
    let house = House::build().await;
    house.engine.replace_all(["a", "c", "e", "g"].map(|name| check(&format!("default/{name}"))).to_vec()).await;
    let first = house.get("/api/v1/checks?limit=2").await.json();
    assert_eq!(names(&first), ["a", "c"]);
    house.engine.remove(parse("default/c")).await;
    house.declare("default/b").await;
    house.declare("default/f").await;
    let token = first["continue"].as_str().unwrap();
    let second = house.get(&format!("/api/v1/checks?limit=9&continue={token}")).await.json();
    assert_eq!(names(&second), ["e", "f", "g"]);
}

#[tokio::test]
async fn a_continuation_of_another_query_is_refused() {
    let house = House::build().await;
    house.engine.replace_all(["a", "b", "c"].map(|name| check(&format!("default/{name}"))).to_vec()).await;
    let first = house.get("/api/v1/checks?limit=1").await.json();
    let token = first["continue"].as_str().unwrap();
    assert_eq!(house.get(&format!("/api/v1/checks?limit=2&continue={token}")).await.status, 200);
    house.get(&format!("/api/v1/checks?limit=1&sort=-name&continue={token}")).await.problem(400);
    house.get(&format!("/api/v1/checks?limit=1&q=a&continue={token}")).await.problem(400);
}

fn telling() -> Outcome {
    let certificate = CertificateFacts {
        not_after: "2030-01-01T00:00:00Z".parse().unwrap(),
        not_before: "2020-01-01T00:00:00Z".parse().unwrap(),
        chain_not_after: "2029-01-01T00:00:00Z".parse().unwrap(),
        issuer: "CN=authority".to_owned(),
        subject: "CN=web".to_owned(),
        dns_names: vec!["web.example".to_owned()],
        chain_length: 2,
        fingerprint: "ab".repeat(32),
    };
    Outcome {
        duration: Duration::from_millis(250),
        phases: Phases {
            resolve: Some(Duration::from_millis(5)),
            connect: Some(Duration::from_millis(20)),
            ..Phases::default()
        },
        status_code: Some(503),
        remote_address: Some("192.0.2.1:443".parse().unwrap()),
        certificate: Some(Arc::new(certificate)),
        evidence: Some(Arc::new(Evidence {
            headers: vec![("server".to_owned(), "nginx".to_owned())],
            body: Some("sorry".to_owned()),
            attempts: vec!["192.0.2.1:443 answered".to_owned()],
        })),
        ..Outcome::new(Reason::UnexpectedStatus, "503 Service Unavailable: expected 2xx")
    }
}

#[tokio::test]
async fn one_check_tells_everything_known_and_leaves_out_what_is_not() {
    let house = House::build().await;
    house.engine.apply(labelled("shop/web", &[("tier", "web")])).await;
    house.check_that_says("shop/web", telling()).await;
    let view = house.get("/api/v1/checks/shop/web").await.json();
    let expected = json!({
        "namespace": "shop", "name": "web", "labels": {"tier": "web"}, "type": "tcp", "target": "tcp://192.0.2.1:80",
        "healthy": false, "state": "Active", "reason": "UnexpectedStatus",
        "response": "503 Service Unavailable: expected 2xx", "responseTimeSeconds": 0.25,
        "phases": {"resolve": 0.005, "connect": 0.02}, "statusCode": 503, "remoteAddress": "192.0.2.1:443",
        "stale": false, "severity": "critical",
        "evidence": {"headers": {"server": "nginx"}, "body": "sorry", "attempts": ["192.0.2.1:443 answered"]},
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&view[field], value, "{field}");
    }
    assert_eq!(view["certificate"]["notAfter"], "2030-01-01T00:00:00Z");
    assert_eq!(view["certificate"]["dnsNames"], json!(["web.example"]));
    for time in ["lastChecked", "lastTransition", "failingSince", "nextCheck"] {
        assert!(view[time].as_str().unwrap().ends_with('Z'), "{time}: {view}");
    }
    assert!(view["consecutiveFailures"].as_u64().unwrap() >= 1);
    assert_eq!((view.get("description"), view["phases"].get("tls")), (None, None));
}

#[tokio::test]
async fn the_list_leaves_out_what_failed_probes_saw() {
    let house = House::build().await;
    house.check_that_says("shop/web", telling()).await;
    let list = house.get("/api/v1/checks").await.json();
    assert_eq!(list["items"][0]["statusCode"], 503);
    assert_eq!(list["items"][0].get("evidence"), None);
}

#[tokio::test]
async fn a_check_nobody_has_is_404_and_takes_no_parameters() {
    let house = House::build().await;
    house.declare("shop/web").await;
    house.get("/api/v1/checks/shop/nobody").await.problem(404);
    house.get("/api/v1/checks/nobody/web").await.problem(404);
    house.get("/api/v1/checks/shop/web?verbose=1").await.problem(400);
}

#[tokio::test]
async fn where_no_parameter_is_read_one_is_refused_by_name() {
    let house = House::build().await;
    house.declare("default/a").await;
    for path in ["/api/v1/events", "/api/v1/openapi.json", "/api/v1/problems", "/api/v1/checks/default/a"] {
        let problem = house.get(&format!("{path}?colour=red")).await.problem(400);
        assert_eq!(problem["parameter"], "colour", "{path}");
        assert_eq!(problem["allowed"], "none", "{path}");
    }
}
