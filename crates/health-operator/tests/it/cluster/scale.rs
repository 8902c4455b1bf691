//! Many objects: how soon all are scheduled, how few statuses are written, how soon turns are.

use std::{
    collections::HashMap,
    pin::pin,
    time::{Duration, Instant},
};

use futures::StreamExt;
use health_testkit::{control_plane::ControlPlane, long_tests};
use jiff::Timestamp;
use kube::{
    Api, ResourceExt,
    api::DynamicObject,
    runtime::{watcher, watcher::Event},
};
use serde_json::json;

use super::own;
use crate::target::Target;

/// How many checks; with `LONG_TESTS=1`, as many as the documentation promises.
fn many() -> usize {
    if long_tests() { 5000 } else { 500 }
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_are_listed_and_scheduled_within_seconds_and_their_turns_are_written_at_once() {
    let plane = ControlPlane::start().await.unwrap();
    let cluster = own(&plane).await;
    let namespace = plane.namespace("scale").await.unwrap();
    let target = Target::answering("200 OK", "");
    let check = |index: usize| (format!("check-{index}"), json!({"testInterval": 10, "http": {"url": target.url()}}));
    cluster.create_many(&namespace, (0..many()).map(check)).await;

    let begun = Instant::now();
    let mut operator = cluster.operator_with(&["--status-write-budget", "5"]);
    operator.wait_for_message("the first complete list is here");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    operator.healthchecks_until("every first result", |all| {
        all.as_object().unwrap().values().filter(|check| check["healthy"] == true).count() == many()
    });
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());

    // First results are turns: all are written, whatever the budget.
    let names: Vec<String> = (0..many()).map(|index| format!("check-{index}")).collect();
    for name in names.iter().rev().take(20) {
        cluster.status_until((&namespace, name), "its first result", |status| status["healthy"] == true).await;
    }
    // From now on nothing turns: the debt of the turns is worked off, refreshes keep to the budget.
    let (before, since) = (operator.metric("healthcheck_status_writes_total"), Instant::now());
    let probed = target.requests().len();
    target.wait_for_requests(probed + many());
    let refreshed = operator.metric("healthcheck_status_writes_total") - before;
    let allowed = 5.0 * (since.elapsed().as_secs_f64() + 1.0) + 16.0;
    assert!(refreshed <= allowed, "{refreshed} writes in {:?}", since.elapsed());

    let lags = lags_of_turns(&cluster.checks(&namespace), || target.answer("500 Internal Server Error", "")).await;
    let at = |share: usize| lags[(lags.len() - 1) * share / 100];
    println!("from turn to status, {} turns: p50 {:?}, p99 {:?}", lags.len(), at(50), at(99));
    // What is promised is a second; a machine that compiles beside this may take longer.
    assert!(at(99) < Duration::from_secs(5), "{:?}", at(99));
    operator.stop();
}

/// Makes every check turn and says how long each took from the answer that turned it to a watcher of the object, sorted.
async fn lags_of_turns(checks: &Api<DynamicObject>, turn: impl FnOnce()) -> Vec<Duration> {
    let mut events = pin!(watcher::watcher(checks.clone(), watcher::Config::default()));
    while !matches!(events.next().await.unwrap().unwrap(), Event::InitDone) {}
    turn();
    let mut lags = HashMap::new();
    while lags.len() < many() {
        let Event::Apply(object) = events.next().await.unwrap().unwrap() else { continue };
        let status = &object.data["status"];
        if status["healthy"] == false {
            let turned: Timestamp = status["lastTransition"].as_str().unwrap().parse().unwrap();
            let lag = Timestamp::now().duration_since(turned).unsigned_abs();
            lags.entry(object.name_any()).or_insert(lag);
        }
    }
    let mut lags: Vec<Duration> = lags.into_values().collect();
    lags.sort();
    lags
}
