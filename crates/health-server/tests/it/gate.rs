//! The gate: open only for what is known to be healthy.

use health_model::Reason;
use serde_json::json;

use crate::house::{House, bad, good, heartbeat, labelled, parse};

#[tokio::test]
async fn the_gate_is_200_when_all_are_healthy() {
    let house = House::build().await;
    house.check_that_says("default/a", good("fine")).await;
    house.check_that_says("ns/b", good("fine")).await;
    for path in ["/api/v1/gate?checks=a,ns/b", "/api/v1/gate?checks=a,ns%2Fb,a", "/api/v1/gate?checks=b&namespace=ns"] {
        let answer = house.get(path).await;
        assert_eq!(answer.status, 200, "{path} {}", answer.text());
        assert_eq!(answer.json()["healthy"], true);
    }
    assert_eq!(house.get("/api/v1/gate?checks=a,ns%2Fb,a").await.json()["total"], 2);
}

#[tokio::test]
async fn the_gate_is_503_when_one_is_not_and_says_which_and_why() {
    let house = House::build().await;
    house.check_that_says("default/a", good("fine")).await;
    house.check_that_says("ns/b", bad(Reason::Timeout, "Timeout: no answer from 192.0.2.1:80")).await;
    let problem = house.get("/api/v1/gate?checks=a,b").await.problem(503);
    assert_eq!(problem["total"], 2);
    assert_eq!(
        problem["checks"],
        json!([{"namespace": "ns", "name": "b", "why": "failing", "healthy": false, "stale": false, "state": "Errored",
            "reason": "Timeout", "response": "Timeout: no answer from 192.0.2.1:80"}])
    );
    assert_eq!(
        problem["detail"],
        "1 of 2 not known to be healthy: ns/b is failing (Timeout: Timeout: no answer from 192.0.2.1:80)"
    );
}

#[tokio::test]
async fn the_gate_is_503_for_a_pending_check() {
    let house = House::build().await;
    house.declare("default/new").await;
    assert_eq!(house.get("/api/v1/gate?checks=new").await.problem(503)["checks"][0]["why"], "pending");
}

#[tokio::test]
async fn the_gate_is_503_for_a_check_that_is_stale_by_time_or_by_a_fault_of_ours() {
    let house = House::build().await;
    house.check_that_says("default/web", good("fine")).await;
    house.check_that_says("default/web", bad(Reason::NetworkLost, "our own network is lost")).await;
    let told = &house.get("/api/v1/gate?checks=web").await.problem(503)["checks"][0];
    assert_eq!((&told["why"], &told["reason"]), (&json!("stale"), &json!("NetworkLost")));
    house.engine.apply(heartbeat("default/job", None)).await;
    house.engine.report(&parse("default/job"), good("done")).unwrap();
    house.until("default/job", |row| row.standing.healthy()).await;
    assert_eq!(house.get("/api/v1/gate?checks=job").await.status, 200);
    house.stall("default/job").await;
    let told = &house.get("/api/v1/gate?checks=job").await.problem(503)["checks"][0];
    assert_eq!((&told["why"], &told["healthy"]), (&json!("stale"), &json!(true)));
}

#[tokio::test]
async fn the_gate_is_404_for_a_name_nobody_has() {
    let house = House::build().await;
    house.check_that_says("default/a", good("fine")).await;
    let problem = house.get("/api/v1/gate?checks=a,b,ns/a").await.problem(404);
    assert_eq!(problem["missing"], json!(["b", "ns/a"]));
}

#[tokio::test]
async fn the_gate_takes_a_label_selector_with_a_namespace() {
    let house = House::build().await;
    house.engine.apply(labelled("one/a", &[("tier", "web")])).await;
    house.engine.apply(labelled("two/b", &[("tier", "web")])).await;
    house.check_that_says("one/a", good("fine")).await;
    house.check_that_says("two/b", bad(Reason::Timeout, "Timeout")).await;
    assert_eq!(house.get("/api/v1/gate?labelSelector=tier%3Dweb&namespace=one").await.status, 200);
    house.get("/api/v1/gate?labelSelector=tier%3Dweb").await.problem(503);
    house.get("/api/v1/gate?labelSelector=tier%3Ddb").await.problem(404);
    house.get("/api/v1/gate?labelSelector=tier%3Dweb&namespace=three").await.problem(404);
}

#[tokio::test]
async fn the_gate_is_400_without_or_with_both_of_checks_and_selector() {
    let house = House::build().await;
    house.declare("default/a").await;
    for query in ["", "?namespace=x", "?checks=a&labelSelector=b", "?check=a", "?checks=a&checks=a"] {
        house.get(&format!("/api/v1/gate{query}")).await.problem(400);
    }
    let problem = house.get("/api/v1/gate?labelSelector=a%3D%3D%3D(").await.problem(400);
    assert_eq!(problem["parameter"], "labelSelector");
}

#[tokio::test]
async fn a_gate_that_names_nothing_is_400_and_never_open() {
    let house = House::build().await;
    house.check_that_says("default/a", good("fine")).await;
    for (query, parameter) in [
        ("checks=", "checks"),
        ("checks=,%20,", "checks"),
        ("checks=&namespace=default", "checks"),
        ("labelSelector=", "labelSelector"),
        ("labelSelector=%20", "labelSelector"),
    ] {
        let problem = house.get(&format!("/api/v1/gate?{query}")).await.problem(400);
        assert_eq!(problem["parameter"], parameter, "{query}");
    }
}
