//! The API server away, frozen, or without memory: probing goes on, nothing is forgotten, everything is written after.

use std::time::{Duration, Instant};

use health_testkit::{control_plane::ControlPlane, long_tests};
use serde_json::json;

use super::own;
use crate::target::Target;

/// How long the API server is away; with `LONG_TESTS=1`, a minute.
fn outage() -> Duration {
    Duration::from_secs(if long_tests() { 60 } else { 5 })
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_api_server_is_away_not_one_probe_is_missed_and_turns_are_written_when_it_is_back() {
    let plane = ControlPlane::start().await.unwrap();
    let cluster = own(&plane).await;
    let namespace = plane.namespace("outage").await.unwrap();
    let (steady, turning) = (Target::answering("200 OK", ""), Target::answering("200 OK", ""));
    cluster.apply(&namespace, "steady", json!({"testInterval": "200ms", "http": {"url": steady.url()}})).await;
    cluster.apply(&namespace, "turning", json!({"testInterval": "200ms", "http": {"url": turning.url()}})).await;
    let mut operator = cluster.operator_with(&[]);
    cluster.status_until((&namespace, "steady"), "the first success", |status| status["healthy"] == true).await;
    cluster.status_until((&namespace, "turning"), "the first success", |status| status["healthy"] == true).await;

    plane.kill_api_server().unwrap();
    let (begun, before) = (Instant::now(), steady.requests().len());
    turning.answer("500 Internal Server Error", "");
    operator.wait_for_turn(&format!("{namespace}/turning"), false);
    let intervals = usize::try_from(outage().as_millis() / 200).unwrap();
    steady.wait_for_requests(before + intervals);
    // As many probes as intervals, in the time of those intervals and not later: none was missed.
    let late = begun.elapsed().saturating_sub(outage());
    assert!(late < Duration::from_millis(500), "{intervals} probes came {late:?} late");
    assert_eq!(operator.metric("healthcheck_probes_skipped_total"), 0.0);
    assert_eq!(operator.healthchecks().as_object().unwrap().len(), 2, "nothing is forgotten");
    assert_eq!(operator.health("/readyz").0, 200, "what is answered can still be relied on");

    plane.restart_api_server().await.unwrap();
    cluster.status_until((&namespace, "turning"), "the turn of then", |status| status["healthy"] == false).await;
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_cluster_is_followed_once_it_can_be_listed_and_not_before() {
    let plane = ControlPlane::start().await.unwrap();
    let cluster = own(&plane).await;
    let namespace = plane.namespace("wipe").await.unwrap();
    let target = Target::answering("200 OK", "");
    for index in 0..20 {
        let name = format!("check-{index}");
        cluster.apply(&namespace, &name, json!({"testInterval": "200ms", "http": {"url": target.url()}})).await;
    }
    let operator = cluster.operator_of_the_administrator();
    operator.healthchecks_until("all", |all| all.as_object().unwrap().len() == 20);

    // Frozen: connections stay open and nothing is answered. That says nothing about the objects.
    plane.pause_api_server().unwrap();
    target.wait_for_requests(target.requests().len() + 100);
    assert_eq!(operator.healthchecks().as_object().unwrap().len(), 20);
    plane.resume_api_server().unwrap();

    plane.wipe().await.unwrap();
    // No CustomResourceDefinitions, no rights: nothing can be concluded.
    target.wait_for_requests(target.requests().len() + 100);
    assert_eq!(operator.healthchecks().as_object().unwrap().len(), 20);

    super::install(&plane).await;
    operator.healthchecks_until("an empty cluster", |all| all.as_object().unwrap().is_empty());
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_deleted_under_load_are_gone_within_two_seconds() {
    let plane = ControlPlane::start().await.unwrap();
    let cluster = own(&plane).await;
    let namespace = plane.namespace("load").await.unwrap();
    let target = Target::answering("200 OK", "");
    let check = |index: usize| (format!("check-{index}"), json!({"testInterval": "1s", "http": {"url": target.url()}}));
    cluster.create_many(&namespace, (0..300).map(check)).await;
    let operator = cluster.operator_with(&[]);
    operator.healthchecks_until("all", |all| all.as_object().unwrap().len() == 300);
    cluster.kubectl(&namespace, &["delete", "healthchecks", "--all", "--wait=false"]).await;
    let begun = Instant::now();
    operator.healthchecks_until("none", |all| all.as_object().unwrap().is_empty());
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    operator.stop();
}
