//! NotificationRules in a cluster: what was told is in the rule's status, so that the next start goes on from there.

use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};

use super::{Cluster, condition, shared};
use crate::{operator::PATIENCE, target::Target};

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

fn no_ledger(status: &Value) -> bool {
    status["ledger"].as_array().is_none_or(Vec::is_empty)
}
