//! Secrets and ConfigMaps: from the check's own namespace alone, followed, and never mistaken for an outage.

use serde_json::json;

use super::{condition, shared};
use crate::target::Target;

fn with_token(url: &str) -> serde_json::Value {
    let from = json!({"valueFrom": {"secretKeyRef": {"name": "token", "key": "token"}}});
    json!({"testInterval": "200ms", "http": {"url": url, "bearerToken": from}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_our_fault_and_is_taken_up_when_it_comes_and_when_it_changes() {
    let cluster = shared().await;
    let namespace = cluster.plane.namespace("secret").await.unwrap();
    let elsewhere = cluster.plane.namespace("secret-elsewhere").await.unwrap();
    let secret = ["create", "secret", "generic", "token", "--from-literal=token=planted-elsewhere"];
    cluster.kubectl(&elsewhere, &secret).await;
    let target = Target::answering("200 OK", "");
    cluster.apply(&namespace, "web", with_token(&target.url())).await;
    let operator = cluster.operator(&namespace);

    let unavailable = |status: &serde_json::Value| status["reason"] == "CredentialsUnavailable";
    let (status, _) = cluster.status_until((&namespace, "web"), "the missing Secret", unavailable).await;
    assert_eq!(status["state"], "Errored");
    assert_eq!(condition(&status, "Healthy"), "Unknown/CredentialsUnavailable");
    assert_eq!(condition(&status, "Ready"), "False/CredentialsUnavailable");
    assert!(target.requests().is_empty(), "nothing is sent without the credential");

    cluster.kubectl(&namespace, &["create", "secret", "generic", "token", "--from-literal=token=planted-first"]).await;
    cluster.status_until((&namespace, "web"), "the Secret", |status| status["healthy"] == true).await;
    assert!(sent(&target).ends_with("Bearer planted-first"), "{}", sent(&target));

    let patch = r#"{"stringData":{"token":"planted-second"}}"#;
    cluster.kubectl(&namespace, &["patch", "secret", "token", "-p", patch]).await;
    let mut seen = target.requests().len();
    while !sent(&target).ends_with("Bearer planted-second") {
        seen += 1;
        target.wait_for_requests(seen);
    }

    cluster.kubectl(&namespace, &["delete", "secret", "token"]).await;
    let (status, _) = cluster.status_until((&namespace, "web"), "the loss of the Secret", unavailable).await;
    assert_eq!(status["healthy"], true, "it keeps its last known value");
    let everything = format!("{status} {}", cluster.kubectl(&namespace, &["get", "events", "-o", "yaml"]).await);
    let (_, shown) = operator.rest(&format!("/api/v1/checks/{namespace}/web"));
    let log = operator.stop().join("\n");
    for place in [everything, shown, log] {
        assert!(!place.contains("planted"), "{place}");
    }
}

/// The last `Authorization` header the target was sent.
fn sent(target: &Target) -> String {
    let requests = target.requests();
    let last = requests.last().cloned().unwrap_or_default();
    let header = last.lines().find(|line| line.to_ascii_lowercase().starts_with("authorization:"));
    header.unwrap_or_default().trim().to_owned()
}
