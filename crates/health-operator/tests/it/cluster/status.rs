//! What the operator writes into objects, when, and how often.

use serde_json::json;

use super::{condition, shared};
use crate::target::Target;

#[tokio::test(flavor = "multi_thread")]
async fn a_check_is_probed_and_its_status_says_everything_the_contract_names() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("status").await.unwrap();
    let target = Target::answering("200 OK", "all is well");
    let spec = json!({"testInterval": "500ms", "http": {"url": target.url(), "searchFor": {"string": "well"}}});
    cluster.apply(&namespace, "web", spec).await;
    let operator = cluster.operator(&namespace);

    let wait = ["wait", "--for=condition=Healthy", "--timeout=30s", "healthcheck/web"];
    cluster.kubectl(&namespace, &wait).await;
    let status = cluster.status(&namespace, "web").await;
    assert_eq!(status["healthy"], true);
    assert_eq!(status["state"], "Active");
    assert_eq!(status["reason"], "Succeeded");
    assert!(status["response"].as_str().unwrap().starts_with("200 OK"), "{status:#}");
    assert!(status["responseTime"].as_str().unwrap().ends_with("ms"), "{status:#}");
    assert_eq!((&status["searchType"], &status["searchUsed"]), (&json!("string"), &json!("well")));
    assert_eq!((&status["target"], &status["statusCode"]), (&json!(target.url()), &json!(200)));
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(condition(&status, "Healthy"), "True/Succeeded");
    assert_eq!(condition(&status, "Ready"), "True/Understood");
    assert!(status["lastChecked"].is_string() && status["lastTransition"].is_string(), "{status:#}");

    let table = cluster.kubectl(&namespace, &["get", "healthchecks"]).await;
    let header: Vec<&str> =
        table.lines().next().unwrap().split("  ").map(str::trim).filter(|s| !s.is_empty()).collect();
    let published = [
        "NAME",
        "URL",
        "TEST INTERVAL",
        "LAST CHECKED",
        "HEALTHY",
        "RESPONSE TIME",
        "SEARCH TYPE",
        "SEARCH FOR",
        "STATE",
    ];
    assert_eq!(header, published, "{table}");
    assert!(table.contains(&target.url()), "{table}");
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_turn_is_in_the_object_within_a_second_and_is_one_event() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("turn").await.unwrap();
    let target = Target::answering("200 OK", "");
    cluster.apply(&namespace, "web", json!({"testInterval": "200ms", "http": {"url": target.url()}})).await;
    let mut operator = cluster.operator(&namespace);
    operator.wait_for_turn(&format!("{namespace}/web"), true);
    cluster.status_until((&namespace, "web"), "the first success", |status| status["healthy"] == true).await;

    target.answer("503 Service Unavailable", "");
    operator.wait_for_turn(&format!("{namespace}/web"), false);
    let (status, took) =
        cluster.status_until((&namespace, "web"), "the failure", |status| status["healthy"] == false).await;
    assert_eq!((&status["reason"], &status["statusCode"]), (&json!("UnexpectedStatus"), &json!(503)));
    assert_eq!(condition(&status, "Healthy"), "False/UnexpectedStatus");
    assert!(status["failingSince"].is_string(), "{status:#}");
    // Probing and writing take milliseconds; a machine that compiles beside may take its time.
    assert!(took.as_secs() < 5, "{took:?}");

    target.answer("200 OK", "");
    operator.wait_for_turn(&format!("{namespace}/web"), true);
    cluster.status_until((&namespace, "web"), "the recovery", |status| status["healthy"] == true).await;
    let about =
        ["get", "events.events.k8s.io", "-o", "jsonpath={range .items[*]}{.reason} {.type} {.note}{\"\\n\"}{end}"];
    let events = loop {
        let events = cluster.kubectl(&namespace, &about).await;
        if events.lines().count() >= 2 {
            break events;
        }
    };
    assert_eq!(events.lines().count(), 2, "the first success is no event: {events}");
    assert!(events.contains("Unhealthy Warning UnexpectedStatus: 503 Service Unavailable"), "{events}");
    assert!(events.contains("Healthy Normal Healthy again: 200 OK"), "{events}");
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn writes_are_coalesced_and_trigger_nothing() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("budget").await.unwrap();
    let target = Target::answering("200 OK", "");
    cluster.apply(&namespace, "web", json!({"testInterval": "100ms", "http": {"url": target.url()}})).await;
    let mut operator = cluster.operator(&namespace);
    operator.wait_for_turn(&format!("{namespace}/web"), true);
    target.wait_for_requests(target.requests().len() + 30);
    // Pending, then the first success; refreshes wait for half a minute.
    let writes = operator.metric("healthcheck_status_writes_total");
    assert!(writes <= 2.0, "{writes} writes for {} probes", target.requests().len());
    // An own write that were taken for an edit would be probed at once: then probes would outnumber the intervals.
    assert!(operator.metric("healthcheck_status_coalesced_total") > 0.0);
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn edits_deletions_and_suspensions_are_followed() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("edits").await.unwrap();
    let (one, other) = (Target::answering("200 OK", ""), Target::answering("204 No Content", ""));
    cluster.apply(&namespace, "web", json!({"testInterval": "200ms", "http": {"url": one.url()}})).await;
    cluster.apply(&namespace, "gone", json!({"testInterval": "200ms", "http": {"url": one.url()}})).await;
    let operator = cluster.operator(&namespace);
    cluster.status_until((&namespace, "web"), "the first target", |status| status["statusCode"] == 200).await;

    cluster.apply(&namespace, "web", json!({"testInterval": "200ms", "http": {"url": other.url()}})).await;
    let (status, _) =
        cluster.status_until((&namespace, "web"), "the second target", |status| status["statusCode"] == 204).await;
    assert_eq!((&status["observedGeneration"], &status["target"]), (&json!(2), &json!(other.url())));

    cluster.delete(&namespace, "gone").await;
    operator.healthchecks_until("the deletion", |all| all.get("gone").is_none());

    let suspended = json!({"testInterval": "200ms", "suspend": true, "http": {"url": other.url()}});
    cluster.apply(&namespace, "web", suspended).await;
    let (status, _) =
        cluster.status_until((&namespace, "web"), "the suspension", |status| status["reason"] == "Suspended").await;
    assert_eq!(status["healthy"], true, "it keeps its last word");
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_the_operator_can_see_is_said_in_the_status() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("errored").await.unwrap();
    let search = json!({"expression": "([a-z"});
    let spec = json!({"testInterval": 60, "http": {"url": "http://127.0.0.1:1/", "searchFor": search}});
    cluster.apply(&namespace, "bad", spec).await;
    let operator = cluster.operator(&namespace);
    let (status, _) =
        cluster.status_until((&namespace, "bad"), "the refusal", |status| status["state"] == "Errored").await;
    assert_eq!((&status["healthy"], &status["reason"]), (&json!(false), &json!("InvalidConfiguration")));
    assert!(status["response"].as_str().unwrap().starts_with("spec.http.searchFor.expression: "), "{status:#}");
    assert_eq!(condition(&status, "Ready"), "False/InvalidConfiguration");
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_turns_nothing_and_continues_from_the_status() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("restart").await.unwrap();
    let target = Target::answering("500 Internal Server Error", "");
    cluster.apply(&namespace, "web", json!({"testInterval": "1h", "http": {"url": target.url()}})).await;
    let operator = cluster.operator(&namespace);
    let (before, _) =
        cluster.status_until((&namespace, "web"), "the failure", |status| status["reason"] == "UnexpectedStatus").await;
    operator.stop();

    let operator = cluster.operator(&namespace);
    operator.healthchecks_until("the restored word", |all| {
        all["web"]["response"].as_str().is_some_and(|response| response.starts_with("500 Internal Server Error"))
    });
    let probed = |status: &serde_json::Value| status["lastChecked"] != before["lastChecked"];
    let (after, _) = cluster.status_until((&namespace, "web"), "the probe after the restart", probed).await;
    assert_eq!(after["failingSince"], before["failingSince"]);
    assert_eq!(after["lastTransition"], before["lastTransition"]);
    assert_eq!(condition(&after, "Healthy"), "False/UnexpectedStatus");
    operator.stop();
}
