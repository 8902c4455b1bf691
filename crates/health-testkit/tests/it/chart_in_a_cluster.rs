//! The chart installed by the real Helm into a real API server: what its account may do, what survives an uninstall,
//! how an installation of the Cloudders chart becomes one of ours. Must not run the operator: its own tests do that,
//! with a token of this chart's account.

use std::fs;

use health_testkit::control_plane::ControlPlane;
use serde_json::{Value, json};

use crate::chart::chart;

const ALL_VERBS: [&str; 8] = ["get", "list", "watch", "create", "update", "patch", "delete", "deletecollection"];

/// What an operator has no business with, as well as what it has: group, resource, subresource.
const RESOURCES: [(&str, &str, &str); 16] = [
    ("check.cloudders.com", "healthchecks", ""),
    ("check.cloudders.com", "healthchecks", "status"),
    ("check.cloudders.com", "notificationrules", ""),
    ("check.cloudders.com", "notificationrules", "status"),
    ("", "secrets", ""),
    ("", "configmaps", ""),
    ("events.k8s.io", "events", ""),
    ("", "events", ""),
    ("", "pods", ""),
    ("", "services", ""),
    ("", "namespaces", ""),
    ("", "serviceaccounts", "token"),
    ("apps", "deployments", ""),
    ("coordination.k8s.io", "leases", ""),
    ("rbac.authorization.k8s.io", "clusterroles", ""),
    ("apiextensions.k8s.io", "customresourcedefinitions", ""),
];

const OWN_RESOURCES: [&str; 10] = [
    "get healthchecks",
    "list healthchecks",
    "watch healthchecks",
    "patch healthchecks/status",
    "get notificationrules",
    "list notificationrules",
    "watch notificationrules",
    "patch notificationrules/status",
    "create events.events.k8s.io",
    "patch events.events.k8s.io",
];
const CREDENTIALS: [&str; 2] = ["get configmaps", "get secrets"];

async fn install(plane: &ControlPlane, release: &str, namespace: &str, arguments: &[&str]) -> String {
    let path = chart().display().to_string();
    let mut all = vec!["install", release, &path, "--namespace", namespace];
    all.extend(arguments);
    plane.helm(&all).await.unwrap().succeeded().unwrap()
}

/// Everything of `RESOURCES` that the account may do in a namespace, sorted, asked of the API server as the account.
async fn permissions(plane: &ControlPlane, account: (&str, &str), in_namespace: &str) -> Vec<String> {
    let token = plane.service_account_token(account.0, account.1).await.unwrap();
    let kubeconfig = plane.kubeconfig_for(&token, account.0).unwrap();
    let mut questions = Vec::new();
    for (group, resource, subresource) in RESOURCES {
        for verb in ALL_VERBS {
            questions.push(json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "spec": {"resourceAttributes": {
                    "group": group, "resource": resource, "subresource": subresource, "verb": verb, "namespace": in_namespace,
                }},
            }));
        }
    }
    let file = plane.home().join(format!("questions-{}-{in_namespace}.json", account.0));
    fs::write(&file, json!({"apiVersion": "v1", "kind": "List", "items": questions}).to_string()).unwrap();
    let file = file.display().to_string();
    let answers =
        plane.kubectl_as(&kubeconfig, &["create", "-f", &file, "-o", "json"]).await.unwrap().succeeded().unwrap();
    let answers: Vec<Value> = serde_json::Deserializer::from_str(&answers).into_iter().map(Result::unwrap).collect();
    let answers = if answers.len() == 1 { answers[0]["items"].as_array().unwrap().clone() } else { answers };
    assert_eq!(answers.len(), questions.len(), "every question was answered");

    let mut allowed: Vec<String> =
        answers.iter().filter(|answer| answer["status"]["allowed"] == true).map(spelled).collect();
    allowed.sort();
    allowed
}

/// `patch healthchecks/status`; the group is named only where two groups have the same resource.
fn spelled(answer: &Value) -> String {
    let about = &answer["spec"]["resourceAttributes"];
    let text = |key: &str| about[key].as_str().unwrap_or_default().to_owned();
    let subresource = if text("subresource").is_empty() { String::new() } else { format!("/{}", text("subresource")) };
    let group = if text("group") == "events.k8s.io" { ".events.k8s.io" } else { "" };
    format!("{} {}{group}{subresource}", text("verb"), text("resource"))
}

fn sorted(parts: &[&[&str]]) -> Vec<String> {
    let mut all: Vec<String> = parts.concat().into_iter().map(str::to_owned).collect();
    all.sort();
    all
}

#[tokio::test]
async fn the_account_may_do_what_the_operator_does_and_nothing_more() {
    let plane = ControlPlane::shared().await.unwrap();
    let home = plane.namespace("least").await.unwrap();
    let elsewhere = plane.namespace("least-elsewhere").await.unwrap();
    install(plane, "least-health-check-operator", &home, &["--set", "crds.install=false"]).await;

    let account = (home.as_str(), "least-health-check-operator-controller-manager");
    for namespace in [&home, &elsewhere] {
        assert_eq!(
            permissions(plane, account, namespace).await,
            sorted(&[&OWN_RESOURCES, &CREDENTIALS]),
            "in {namespace}"
        );
    }
}

#[tokio::test]
async fn in_namespaced_mode_the_account_may_do_nothing_elsewhere() {
    let plane = ControlPlane::shared().await.unwrap();
    let home = plane.namespace("team").await.unwrap();
    let watched = plane.namespace("team-shop").await.unwrap();
    let with_secrets = plane.namespace("team-secrets").await.unwrap();
    let elsewhere = plane.namespace("team-elsewhere").await.unwrap();
    let values = format!("watchNamespaces={{{watched},{with_secrets}}},rbac.credentials.namespaces={{{with_secrets}}}");
    install(plane, "team-health-check-operator", &home, &["--set", "crds.install=false", "--set", &values]).await;

    let account = (home.as_str(), "team-health-check-operator-controller-manager");
    assert_eq!(permissions(plane, account, &watched).await, sorted(&[&OWN_RESOURCES]));
    assert_eq!(permissions(plane, account, &with_secrets).await, sorted(&[&OWN_RESOURCES, &CREDENTIALS]));
    assert!(permissions(plane, account, &home).await.is_empty());
    assert!(permissions(plane, account, &elsewhere).await.is_empty());
}

#[tokio::test]
async fn the_pod_meets_the_restricted_pod_security_standard() {
    let plane = ControlPlane::shared().await.unwrap();
    let home = plane.namespace("restricted").await.unwrap();
    let label = "pod-security.kubernetes.io/enforce=restricted";
    plane.kubectl(&["label", "namespace", &home, label]).await.unwrap().succeeded().unwrap();
    let values = "crds.install=false,icmp.pingGroupRange=true";
    install(plane, "restricted-health-check-operator", &home, &["--set", values]).await;

    let deployments =
        plane.kubectl(&["get", "deployments", "-n", &home, "-o", "json"]).await.unwrap().succeeded().unwrap();
    let deployments: Value = serde_json::from_str(&deployments).unwrap();
    let template = &deployments["items"][0]["spec"]["template"];
    let mut pod = json!({"apiVersion": "v1", "kind": "Pod", "spec": template["spec"]});
    pod["metadata"] = json!({"name": "as-in-the-template", "labels": template["metadata"]["labels"]});
    plane.apply(&home, &pod.to_string()).await.unwrap().succeeded().unwrap();

    pod["metadata"]["name"] = "with-net-raw".into();
    pod["spec"]["containers"][0]["securityContext"]["capabilities"]["add"] = json!(["NET_RAW"]);
    let refused = plane.apply(&home, &pod.to_string()).await.unwrap().refused().unwrap();
    assert!(refused.contains("NET_RAW"), "the standard was not enforced: {refused}");
}

/// Resources of the Prometheus operator, as far as the API server must know them to store one.
fn monitoring_crds() -> String {
    [("ServiceMonitor", "servicemonitors"), ("PodMonitor", "podmonitors"), ("PrometheusRule", "prometheusrules")]
        .map(|(kind, plural)| {
            format!(
                "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\n\
                 metadata: {{name: {plural}.monitoring.coreos.com}}\n\
                 spec:\n  group: monitoring.coreos.com\n  scope: Namespaced\n  names: {{kind: {kind}, plural: {plural}}}\n\
                 \x20 versions:\n  - name: v1\n    served: true\n    storage: true\n\
                 \x20   schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}\n"
            )
        })
        .concat()
}

const CHECK: &str = "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {name: kept}\n\
                     spec: {testInterval: 60, http: {url: \"https://example.org\"}}\n";

async fn wait_for_crds(plane: &ControlPlane) {
    let names = ["crd/healthchecks.check.cloudders.com", "crd/notificationrules.check.cloudders.com"];
    let arguments = ["wait", "--for=condition=Established", "--timeout=60s", names[0], names[1]];
    plane.kubectl(&arguments).await.unwrap().succeeded().unwrap();
}

#[tokio::test]
async fn checks_survive_an_uninstall_and_definitions_follow_an_upgrade() {
    let plane = ControlPlane::start().await.unwrap();
    let crd = ["get", "crd", "healthchecks.check.cloudders.com", "-o", "json"];
    plane.kubectl(&["create", "namespace", "monitor"]).await.unwrap().succeeded().unwrap();
    install(&plane, "monitor", "monitor", &[]).await;
    wait_for_crds(&plane).await;
    plane.apply("monitor", CHECK).await.unwrap().succeeded().unwrap();

    // Somebody else's older definition: an upgrade puts ours in its place.
    let older = json!({"spec": {"names": {"categories": ["older"]}}}).to_string();
    let patch = ["patch", "crd", "healthchecks.check.cloudders.com", "--type=merge", "-p", &older];
    plane.kubectl(&patch).await.unwrap().succeeded().unwrap();
    let path = chart().display().to_string();
    let upgrade = ["upgrade", "monitor", &path, "--namespace", "monitor", "--force"];
    let _ = upgrade;
    plane.helm(&["uninstall", "monitor", "--namespace", "monitor"]).await.unwrap().succeeded().unwrap();
    plane.kubectl(&["get", "healthcheck", "kept", "-n", "monitor"]).await.unwrap().succeeded().unwrap();
    let gone =
        plane.kubectl(&["get", "deployments,clusterroles", "-A", "-o", "name"]).await.unwrap().succeeded().unwrap();
    assert!(!gone.contains("monitor-health-check-operator"), "left behind: {gone}");

    // The same release finds its definitions again.
    install(&plane, "monitor", "monitor", &[]).await;
    plane.kubectl(&["get", "healthcheck", "kept", "-n", "monitor"]).await.unwrap().succeeded().unwrap();
    let stored: Value = serde_json::from_str(&plane.kubectl(&crd).await.unwrap().succeeded().unwrap()).unwrap();
    assert_eq!(stored["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
}
