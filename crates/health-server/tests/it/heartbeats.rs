//! Reports of heartbeats: who may report, what may be said, and what comes of it.

use http::Method;
use rstest::rstest;

use crate::house::{Answer, House, check, heartbeat, send};

async fn post(house: &House, path: &str, headers: &[(&str, &str)]) -> Answer {
    send(house.rest, Method::POST, &format!("/api/v1/heartbeats/{path}"), headers).await
}

#[tokio::test]
async fn a_report_makes_the_check_healthy() {
    let house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", None)).await;
    assert_eq!(post(&house, "ops/backup", &[]).await.status, 202);
    house.until("ops/backup", |row| row.standing.healthy() && row.standing.response == "Reported in").await;
}

#[tokio::test]
async fn a_report_may_say_that_it_is_not_healthy_and_why() {
    let house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", None)).await;
    assert_eq!(post(&house, "ops/backup?healthy=false&response=disk%20full", &[]).await.status, 202);
    house.until("ops/backup", |row| row.standing.response == "disk full").await;
    let view = house.get("/api/v1/checks/ops/backup").await.json();
    assert_eq!((view["reason"].as_str(), view["healthy"].as_bool()), (Some("ReportedUnhealthy"), Some(false)));
}

#[rstest]
#[case::no_token(&[])]
#[case::wrong_token(&[("authorization", "Bearer wrong")])]
#[case::prefix_of_it(&[("authorization", "Bearer s3cre")])]
#[case::more_than_it(&[("authorization", "Bearer s3crett")])]
#[case::empty(&[("authorization", "Bearer ")])]
#[case::other_scheme(&[("authorization", "Basic s3cret")])]
#[case::no_scheme(&[("authorization", "s3cret")])]
#[tokio::test]
async fn a_report_without_the_checks_token_is_401_and_changes_nothing(#[case] headers: &[(&str, &str)]) {
    let house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", Some("s3cret"))).await;
    let refused = post(&house, "ops/backup", headers).await;
    refused.problem(401);
    assert_eq!(refused.header("www-authenticate"), "Bearer realm=\"heartbeats\"");
    assert!(!refused.text().contains("s3cret"));
    assert_eq!(post(&house, "ops/backup", &[("authorization", "bearer s3cret")]).await.status, 202);
    let row = house.until("ops/backup", |row| row.standing.healthy()).await;
    assert_eq!(row.tally.probes, 1, "the refused report was not taken in");
}

#[tokio::test]
async fn a_report_for_nobody_or_for_a_check_that_is_probed_is_404() {
    let house = House::build().await;
    house.engine.apply(check("ops/web")).await;
    post(&house, "ops/nobody", &[]).await.problem(404);
    post(&house, "ops/web", &[]).await.problem(404);
}

#[tokio::test]
async fn a_report_whose_token_cannot_be_read_is_503_and_not_taken_in() {
    let house = House::build().await;
    let mut unresolved = heartbeat("ops/backup", None);
    unresolved.spec = Err(health_model::SpecProblem {
        reason: health_model::Reason::CredentialsUnavailable,
        message: "Secret tokens is not there".to_owned(),
        target: None,
        kind: Some(health_model::ProbeKind::Heartbeat),
        interval: None,
    });
    house.engine.apply(unresolved).await;
    post(&house, "ops/backup", &[]).await.problem(503);
}

#[rstest]
#[case("healthy=perhaps", "healthy")]
#[case("response=two%0Alines", "response")]
#[case("responce=x", "responce")]
#[tokio::test]
async fn a_report_with_a_parameter_that_cannot_be_read_is_400(#[case] query: &str, #[case] parameter: &str) {
    let house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", None)).await;
    let problem = post(&house, &format!("ops/backup?{query}"), &[]).await.problem(400);
    assert_eq!(problem["parameter"], parameter);
    let too_long = "x".repeat(1025);
    post(&house, &format!("ops/backup?response={too_long}"), &[]).await.problem(400);
}

#[tokio::test]
async fn heartbeats_are_posted_and_nothing_else() {
    let house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", None)).await;
    let answer = house.get("/api/v1/heartbeats/ops/backup").await;
    answer.problem(405);
    assert_eq!(answer.header("allow"), "POST");
}

#[tokio::test]
async fn reports_are_counted_by_what_came_of_them() {
    let house = House::build().await;
    house.engine.apply(heartbeat("ops/backup", Some("s3cret"))).await;
    post(&house, "ops/backup", &[]).await.problem(401);
    post(&house, "ops/nobody", &[]).await.problem(404);
    assert_eq!(post(&house, "ops/backup", &[("authorization", "Bearer s3cret")]).await.status, 202);
    let scrape = send(house.metrics, Method::GET, "/metrics", &[]).await;
    for outcome in ["accepted", "unauthorized", "refused"] {
        let line = format!("healthcheck_heartbeat_reports_total{{outcome=\"{outcome}\"}} 1");
        assert!(scrape.text().lines().any(|found| found == line), "{line}");
    }
}
