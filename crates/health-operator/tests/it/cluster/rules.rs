//! NotificationRules in a cluster: what was told is in the rule's status, so that the next start goes on from there.

use jiff::{SignedDuration, Timestamp};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};

use super::{Cluster, condition, shared};
use crate::{
    operator::{PATIENCE, program},
    target::Target,
};

fn rules(cluster: &Cluster<'_>, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("check.cloudders.com", "v1alpha1", "NotificationRule");
    let resource = ApiResource::from_gvk_with_plural(&kind, "notificationrules");
    Api::namespaced_with(cluster.client.clone(), namespace, &resource)
}

async fn rule_status(
    cluster: &Cluster<'_>,
    namespace: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool + Send + Sync,
) -> Value {
    let wanted =
        |object: Option<&DynamicObject>| object.and_then(|object| object.data.get("status")).is_some_and(&wanted);
    let reached = tokio::time::timeout(PATIENCE, await_condition(rules(cluster, namespace), "tell", wanted)).await;
    match reached {
        Ok(Ok(Some(object))) => object.data["status"].clone(),
        other => panic!("waited in vain for {what} ({other:?})"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_survives_a_kill_and_is_resolved_by_the_next_process() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("rules").await.unwrap();
    let (target, slack) = (Target::answering("500 Internal Server Error", ""), Target::answering("200 OK", "ok"));
    let secret = format!("--from-literal=url={}planted/secret/path", slack.url());
    cluster.kubectl(&namespace, &["create", "secret", "generic", "hook", &secret]).await;
    cluster.apply(&namespace, "web", json!({"testInterval": "200ms", "http": {"url": target.url()}})).await;
    let rule = json!({
        "apiVersion": "check.cloudders.com/v1alpha1", "kind": "NotificationRule", "metadata": {"name": "tell"},
        "spec": {"checks": ["web"], "groupWait": 0, "slack": {
            "webhook": {"secret": [{"name": "hook", "key": "url"}]}, "message": "Alert for *%check%*",
        }},
    });
    let parameters = PatchParams::apply("test").force();
    rules(&cluster, &namespace).patch("tell", &parameters, &Patch::Apply(&rule)).await.unwrap();

    let operator = cluster.operator(&namespace);
    slack.wait_for_requests(1);
    let told = |status: &Value| status["ledger"][0]["state"] == "Told" && status["lastNotification"].is_string();
    let status = rule_status(&cluster, &namespace, "what was told", told).await;
    assert_eq!(status["healthCheckStatus"]["web"], false);
    assert_eq!(condition(&status, "Ready"), "True/Understood");
    assert_eq!(condition(&status, "Delivering"), "True/Accepted");
    assert!(!status.to_string().contains("planted"), "{status:#}");
    operator.signal("KILL");
    drop(operator);

    let operator = cluster.operator(&namespace);
    let probed = target.requests().len();
    target.wait_for_requests(probed + 5);
    assert_eq!(slack.requests().len(), 1, "it is not told again");
    target.answer("200 OK", "");
    slack.wait_for_requests(2);
    let resolved = |status: &Value| status["lastResolveNotification"].is_string() && no_ledger(status);
    let status = rule_status(&cluster, &namespace, "the resolve", resolved).await;
    assert_eq!(status["healthCheckStatus"]["web"], true);
    assert!(status["lastNotification"].is_string(), "it is remembered: {status:#}");
    let table = cluster.kubectl(&namespace, &["get", "notificationrules"]).await;
    assert!(table.contains("LAST NOTIFICATION") && table.contains("CURRENT STATUS"), "{table}");
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_refuses_is_shown_with_its_reason_until_it_accepts_and_is_never_given_up() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("refused").await.unwrap();
    let target = Target::answering("500 Internal Server Error", "");
    let slack = Target::answering("503 Service Unavailable", "come back later");
    cluster.apply(&namespace, "web", json!({"testInterval": "200ms", "http": {"url": target.url()}})).await;
    let webhook = json!({"url": format!("{}planted/secret/path", slack.url())});
    apply_rule(&cluster, &namespace, json!({"checks": ["web"], "groupWait": 0, "slack": {"webhook": webhook}})).await;
    let operator = cluster.operator(&namespace);
    let refused = |status: &Value| condition(status, "Delivering") == "False/NotAccepted";
    let status = rule_status(&cluster, &namespace, "the refusal", refused).await;
    let message = status["conditions"].as_array().unwrap().iter().find(|one| one["type"] == "Delivering").unwrap();
    assert_eq!(message["message"], "slack (url): answered 503 Service Unavailable: come back later");
    assert!(!status.to_string().contains("planted"), "{status:#}");
    slack.answer("200 OK", "ok");
    let accepted = |status: &Value| condition(status, "Delivering") == "True/Accepted";
    rule_status(&cluster, &namespace, "the acceptance", accepted).await;
    let log = operator.stop();
    assert!(!log.join("\n").contains("planted"), "{log:#?}");
}

/// Moves every time that the ledger keeps into the past, as if the operator had been away so long.
async fn age_ledger(cluster: &Cluster<'_>, namespace: &str, hours: i64) {
    let object = rules(cluster, namespace).get("tell").await.unwrap();
    let mut ledger = object.data["status"]["ledger"].clone();
    for line in ledger.as_array_mut().unwrap() {
        let mut entry: Value = serde_json::from_str(line["detail"]["entry"].as_str().unwrap()).unwrap();
        for field in ["since", "toldAt", "owedAt"] {
            if let Some(time) = entry[field].as_str() {
                let earlier = time.parse::<Timestamp>().unwrap() - SignedDuration::from_hours(hours);
                entry[field] = earlier.to_string().into();
            }
        }
        line["detail"]["entry"] = entry.to_string().into();
    }
    let patch = Patch::Merge(json!({"status": {"ledger": ledger}}));
    rules(cluster, namespace).patch_status("tell", &PatchParams::default(), &patch).await.unwrap();
}

async fn apply_rule(cluster: &Cluster<'_>, namespace: &str, spec: Value) {
    let rule = json!({
        "apiVersion": "check.cloudders.com/v1alpha1", "kind": "NotificationRule", "metadata": {"name": "tell"},
        "spec": spec,
    });
    let parameters = PatchParams::apply("test").force();
    rules(cluster, namespace).patch("tell", &parameters, &Patch::Apply(&rule)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_operator_goes_on_with_holds_and_repeats_where_they_were() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("holds").await.unwrap();
    let (target, slack) = (Target::answering("500 Internal Server Error", ""), Target::answering("200 OK", "ok"));
    cluster.apply(&namespace, "web", json!({"testInterval": "200ms", "http": {"url": target.url()}})).await;
    let spec = json!({
        "checks": ["web"], "groupWait": 0, "waitBeforeSend": "1h", "repeatAfter": "1h",
        "slack": {"webhook": {"url": slack.url()}, "message": "%check% since %failing_since%"},
    });
    apply_rule(&cluster, &namespace, spec).await;
    let operator = cluster.operator(&namespace);
    let holding = |status: &Value| status["ledger"][0]["state"] == "Holding";
    let status = rule_status(&cluster, &namespace, "the hold", holding).await;
    let since = status["ledger"][0]["since"].clone();
    operator.signal("KILL");
    drop(operator);

    let operator = cluster.operator(&namespace);
    let probed = target.requests().len();
    target.wait_for_requests(probed + 5);
    assert!(slack.requests().is_empty(), "an hour is not over");
    assert_eq!(rule_status(&cluster, &namespace, "the hold", holding).await["ledger"][0]["since"], since);
    operator.signal("KILL");
    drop(operator);

    // The hour is over while nobody looks: it is told by the next process, at once, and once.
    age_ledger(&cluster, &namespace, 2).await;
    let operator = cluster.operator(&namespace);
    slack.wait_for_requests(1);
    let told = |status: &Value| status["ledger"][0]["state"] == "Told";
    rule_status(&cluster, &namespace, "what was told", told).await;
    operator.signal("KILL");
    drop(operator);

    // So is the next hour: the repeat that is due is sent by the next process.
    age_ledger(&cluster, &namespace, 2).await;
    let operator = cluster.operator(&namespace);
    slack.wait_for_requests(2);
    let probed = target.requests().len();
    target.wait_for_requests(probed + 5);
    assert_eq!(slack.requests().len(), 2, "once for the hold, once for the repeat: {:#?}", slack.requests());
    target.answer("200 OK", "");
    slack.wait_for_requests(3);
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_who_writes_the_status_is_overruled_and_nothing_is_told_again() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("rivals").await.unwrap();
    let (target, slack) = (Target::answering("500 Internal Server Error", ""), Target::answering("200 OK", "ok"));
    cluster.apply(&namespace, "web", json!({"testInterval": "200ms", "http": {"url": target.url()}})).await;
    let spec = json!({"checks": ["web"], "groupWait": 0, "slack": {"webhook": {"url": slack.url()}}});
    apply_rule(&cluster, &namespace, spec).await;
    let operator = cluster.operator(&namespace);
    let told = |status: &Value| status["ledger"][0]["state"] == "Told";
    rule_status(&cluster, &namespace, "what was told", told).await;
    let body = json!({
        "apiVersion": "check.cloudders.com/v1alpha1", "kind": "NotificationRule", "metadata": {"name": "tell"},
        "status": {"ledger": [], "lastNotification": "2020-01-01T00:00:00Z"},
    });
    let parameters = PatchParams::apply("a-rival").force();
    rules(&cluster, &namespace).patch_status("tell", &parameters, &Patch::Apply(&body)).await.unwrap();
    let probed = target.requests().len();
    target.wait_for_requests(probed + 5);
    assert_eq!(slack.requests().len(), 1);
    target.answer("200 OK", "");
    slack.wait_for_requests(2);
    let resolved = |status: &Value| status["lastResolveNotification"].is_string() && no_ledger(status);
    rule_status(&cluster, &namespace, "the resolve", resolved).await;
    operator.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_takes_rule_and_secret_from_the_cluster_and_says_what_the_provider_said() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("trial").await.unwrap();
    let slack = Target::answering("200 OK", "ok");
    let secret = format!("--from-literal=url={}planted/secret/path", slack.url());
    cluster.kubectl(&namespace, &["create", "secret", "generic", "hook", &secret]).await;
    let webhook = json!({"secret": [{"name": "hook", "key": "url"}]});
    apply_rule(&cluster, &namespace, json!({"checks": ["web"], "slack": {"webhook": webhook}})).await;
    let test = |rule: String| {
        let mut command = program();
        command
            .args(["notify-test", &rule, "--log-level", "trace"])
            .env("KUBECONFIG", cluster.plane.admin_kubeconfig());
        let output = command.output().unwrap();
        let all = [output.stdout.clone(), output.stderr].concat();
        let all = String::from_utf8_lossy(&all).into_owned();
        assert!(!all.contains("planted"), "{all}");
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap(), all)
    };
    let (code, said, all) = test(format!("{namespace}/tell"));
    assert_eq!((code, said.as_str()), (0, "slack (hook/url): accepted (200 OK: ok)\n"), "{all}");
    assert!(slack.requests()[0].contains("planted/secret/path"), "the secret is in use");
    assert!(slack.requests()[0].contains("this is a test"), "{:?}", slack.requests());
    slack.answer("404 Not Found", "no_service");
    let (code, said, all) = test(format!("{namespace}/tell"));
    assert_eq!((code, said.as_str()), (1, "slack (hook/url): refused: answered 404 Not Found: no_service\n"), "{all}");
    let (code, _, all) = test(format!("{namespace}/nobody"));
    assert_eq!(code, 2, "{all}");
    assert!(all.contains(&format!("there is no NotificationRule {namespace}/nobody")), "{all}");
    cluster.kubectl(&namespace, &["delete", "secret", "hook"]).await;
    let (code, _, all) = test(format!("{namespace}/tell"));
    assert_eq!(code, 2, "{all}");
    assert!(all.contains("hook"), "{all}");
}

fn no_ledger(status: &Value) -> bool {
    status["ledger"].as_array().is_none_or(Vec::is_empty)
}
