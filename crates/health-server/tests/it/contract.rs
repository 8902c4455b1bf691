//! The contract's sentences, one test each, in the contract's order.

use health_model::Reason;
use http::Method;
use serde_json::json;

use crate::house::{House, bad, check, good, send};

#[tokio::test]
async fn healthchecks_answers_with_name_healthy_response_and_state_of_every_check() {
    let house = House::build().await;
    house.check_that_says("default/service-8080", good("Connection Successful")).await;
    house.check_that_says("default/service-9090", bad(Reason::Timeout, "Timeout")).await;
    let answer = house.get("/healthchecks").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(
        answer.text(),
        r#"{"service-8080":{"name":"service-8080","healthy":true,"response":"Connection Successful","state":"Active"},"#
            .to_owned()
            + r#""service-9090":{"name":"service-9090","healthy":false,"response":"Timeout","state":"Errored"}}"#
    );
}

#[tokio::test]
async fn a_check_that_has_never_run_is_not_healthy_pending_and_active() {
    let house = House::build().await;
    house.declare("default/new").await;
    let expected = json!({"new": {"name": "new", "healthy": false, "response": "Pending", "state": "Active"}});
    assert_eq!(house.get("/healthchecks").await.json(), expected);
}

#[tokio::test]
async fn the_oldest_twin_keeps_the_bare_key_and_every_other_is_namespace_slash_name() {
    let house = House::build().await;
    let mut young = check("default/web");
    young.meta.created = Some("2025-02-01T00:00:00Z".parse().unwrap());
    let mut old = check("zoo/web");
    old.meta.created = Some("2024-02-01T00:00:00Z".parse().unwrap());
    house.engine.replace_all(vec![young, old, check("a/web")]).await;
    let keys = |answer: &serde_json::Value| -> Vec<String> { answer.as_object().unwrap().keys().cloned().collect() };
    let answer = house.get("/healthchecks").await.json();
    assert_eq!(keys(&answer), ["a/web", "default/web", "web"]);
    assert!(answer.as_object().unwrap().values().all(|entry| entry["name"] == "web"));
    house.engine.remove(crate::house::parse("zoo/web")).await;
    assert_eq!(keys(&house.get("/healthchecks").await.json()), ["a/web", "web"]);
}

#[tokio::test]
async fn a_namespace_alone_answers_by_bare_names_and_nobodys_is_empty() {
    let house = House::build().await;
    house.engine.replace_all(vec![check("a/web"), check("b/web"), check("b/api")]).await;
    let answer = house.get("/healthchecks?namespace=b").await.json();
    assert_eq!(answer.as_object().unwrap().keys().collect::<Vec<_>>(), ["api", "web"]);
    assert_eq!(house.get("/healthchecks?namespace=nobody").await.text(), "{}");
}

#[tokio::test]
async fn healthchecks_key_answers_with_that_one_entry_or_404() {
    let house = House::build().await;
    house.engine.replace_all(vec![check("a/web"), check("b/web")]).await;
    house.check_that_says("b/web", good("from b")).await;
    for path in
        ["/healthchecks/b/web", "/healthchecks/b%2Fweb", "/healthchecks/b%2fweb", "/healthchecks/web?namespace=b"]
    {
        let expected = json!({"name": "web", "healthy": true, "response": "from b", "state": "Active"});
        assert_eq!(house.get(path).await.json(), expected, "{path}");
    }
    assert_eq!(house.get("/healthchecks/web").await.json()["response"], "Pending");
    house.get("/healthchecks/nobody").await.problem(404);
    house.get("/healthchecks/c/web").await.problem(404);
}

#[tokio::test]
async fn healthz_and_readyz_say_ok() {
    let house = House::build().await;
    for path in ["/healthz", "/readyz"] {
        let answer = send(house.health, Method::GET, path, &[]).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (200, "ok"), "{path}");
    }
}

#[tokio::test]
async fn metrics_have_status_response_time_and_response_codes_by_namespace_and_name() {
    let house = House::build().await;
    let mut outcome = good("200 OK");
    outcome.status_code = Some(200);
    house.check_that_says("default/web", outcome).await;
    house.engine.remove(crate::house::parse("default/nobody")).await;
    let answer = send(house.metrics, Method::GET, "/metrics", &[]).await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    for line in [
        "# TYPE healthcheck_status gauge",
        r#"healthcheck_status{namespace="default",name="web"} 1"#,
        "# TYPE healthcheck_response_time gauge",
        r#"healthcheck_response_time{namespace="default",name="web"} 12.0"#,
        "# TYPE healthcheck_response_codes counter",
    ] {
        assert!(answer.text().lines().any(|found| found == line), "{line}\n{}", answer.text());
    }
    assert!(answer.text().contains(r#"healthcheck_response_codes{namespace="default",name="web",code="200"} "#));
}
