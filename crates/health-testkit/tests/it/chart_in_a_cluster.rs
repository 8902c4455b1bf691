//! The chart installed by the real Helm into a real API server: what its account may do, what survives an uninstall,
//! how an installation of the Cloudders chart becomes one of ours. Must not run the operator: its own tests do that,
//! with a token of this chart's account.

use std::fs;
use std::path::PathBuf;

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

const OWN_RESOURCES: [&str; 9] = [
    "get healthchecks",
    "list healthchecks",
    "watch healthchecks",
    "patch healthchecks/status",
    "get notificationrules",
    "list notificationrules",
    "watch notificationrules",
    "patch notificationrules/status",
    "create events.events.k8s.io",
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

/// A definition as loose as the API server takes it.
fn definition(group: &str, version: &str, kind: &str, plural: &str) -> String {
    let singular = kind.to_lowercase();
    format!(
        "---\napiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: {plural}.{group}}}\n\
         spec:\n  group: {group}\n  scope: Namespaced\n  names: {{kind: {kind}, plural: {plural}, singular: {singular}}}\n\
         \x20 versions:\n  - name: {version}\n    served: true\n    storage: true\n\
         \x20   schema: {{openAPIV3Schema: {{type: object, x-kubernetes-preserve-unknown-fields: true}}}}\n"
    )
}

/// Resources of the Prometheus operator, as far as the API server must know them to store one.
fn monitoring_crds() -> String {
    [("ServiceMonitor", "servicemonitors"), ("PodMonitor", "podmonitors"), ("PrometheusRule", "prometheusrules")]
        .map(|(kind, plural)| definition("monitoring.coreos.com", "v1", kind, plural))
        .concat()
}

const CHECK: &str = "apiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {name: kept}\n\
                     spec: {testInterval: 60, url: \"https://example.org\", searchFor: {expression: \".*K\"}}\n";

const CRDS: [&str; 2] = ["crd/healthchecks.check.cloudders.com", "crd/notificationrules.check.cloudders.com"];

async fn wait_for_crds(plane: &ControlPlane) {
    let arguments = ["wait", "--for=condition=Established", "--timeout=60s", CRDS[0], CRDS[1]];
    plane.kubectl(&arguments).await.unwrap().succeeded().unwrap();
}

/// An object of the cluster.
async fn object(plane: &ControlPlane, arguments: &[&str]) -> Value {
    let text = plane.kubectl(&[&["get", "-o", "json"], arguments].concat()).await.unwrap().succeeded().unwrap();
    serde_json::from_str(&text).unwrap()
}

/// A chart with the objects, names and selectors of an installation by the Cloudders chart, as far as they matter to an
/// upgrade: definitions that an uninstall would take along, and a Deployment that rolls.
fn chart_of_old(plane: &ControlPlane) -> PathBuf {
    let folder = plane.home().join("chart-of-old");
    fs::create_dir_all(folder.join("templates")).unwrap();
    fs::write(folder.join("Chart.yaml"), "apiVersion: v2\nname: health-check-operator\nversion: 0.2.0\n").unwrap();
    let definitions = [("HealthCheck", "healthchecks"), ("NotificationRule", "notificationrules")]
        .map(|(kind, plural)| definition("check.cloudders.com", "v1alpha1", kind, plural))
        .concat();
    fs::write(folder.join("templates/crds.yaml"), definitions).unwrap();
    let labels = "{control-plane: controller-manager, app.kubernetes.io/name: health-check-operator, \
                  app.kubernetes.io/instance: health-check-operator}";
    fs::write(
        folder.join("templates/deployment.yaml"),
        format!(
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: health-check-operator-controller-manager}}\n\
             spec:\n  replicas: 1\n  selector: {{matchLabels: {labels}}}\n  template:\n    metadata: {{labels: {labels}}}\n\
             \x20   spec:\n      containers:\n      - {{name: kube-rbac-proxy, image: proxy}}\n\
             \x20     - {{name: manager, image: old, command: [/manager], args: [--leader-elect]}}\n"
        ),
    )
    .unwrap();
    folder
}

#[tokio::test]
async fn an_installation_of_the_cloudders_chart_is_upgraded_in_place() {
    let plane = ControlPlane::start().await.unwrap();
    let (release, old) = ("health-check-operator", chart_of_old(&plane).display().to_string());
    let new = chart().display().to_string();
    plane.kubectl(&["create", "namespace", "monitor"]).await.unwrap().succeeded().unwrap();
    plane.helm(&["install", release, &old, "-n", "monitor"]).await.unwrap().succeeded().unwrap();
    wait_for_crds(&plane).await;
    plane.apply("monitor", CHECK).await.unwrap().succeeded().unwrap();

    plane.helm(&["upgrade", release, &new, "-n", "monitor"]).await.unwrap().succeeded().unwrap();

    let deployment = object(&plane, &["deployment", "health-check-operator-controller-manager", "-n", "monitor"]).await;
    assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
    let containers = deployment["spec"]["template"]["spec"]["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1, "the old proxy is gone: {containers:?}");
    assert!(containers[0].get("command").is_none(), "the old command is gone");
    for crd in CRDS {
        let definition = object(&plane, &[crd]).await;
        assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep", "{crd}");
        assert!(definition["spec"]["versions"][0]["additionalPrinterColumns"].is_array(), "{crd} was not upgraded");
    }
    object(&plane, &["healthcheck", "kept", "-n", "monitor"]).await;
}

#[tokio::test]
async fn checks_survive_an_uninstall_and_are_found_again() {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl(&["create", "namespace", "monitor"]).await.unwrap().succeeded().unwrap();
    plane.kubectl(&["create", "namespace", "other"]).await.unwrap().succeeded().unwrap();
    install(&plane, "monitor", "monitor", &[]).await;
    wait_for_crds(&plane).await;
    plane.apply("monitor", CHECK).await.unwrap().succeeded().unwrap();

    plane.helm(&["uninstall", "monitor", "--namespace", "monitor"]).await.unwrap().succeeded().unwrap();
    object(&plane, &["healthcheck", "kept", "-n", "monitor"]).await;
    let left = ["get", "deployments,clusterroles,clusterrolebindings,services,serviceaccounts", "-A", "-o", "name"];
    let left = plane.kubectl(&left).await.unwrap().succeeded().unwrap();
    assert!(!left.contains("monitor-"), "left behind: {left}");

    // Under another name the definitions belong to somebody else, until one says otherwise.
    let path = chart().display().to_string();
    let other = ["install", "other", &path, "--namespace", "other"];
    let refused = plane.helm(&other).await.unwrap().refused().unwrap();
    assert!(refused.contains("invalid ownership metadata"), "{refused}");
    plane.helm(&[&other[..], &["--take-ownership"]].concat()).await.unwrap().succeeded().unwrap();
    object(&plane, &["healthcheck", "kept", "-n", "monitor"]).await;
}

#[tokio::test]
async fn everything_that_can_be_turned_on_is_accepted_by_the_api_server() {
    let plane = ControlPlane::start().await.unwrap();
    plane.kubectl(&["create", "namespace", "monitor"]).await.unwrap().succeeded().unwrap();
    plane.apply("monitor", &monitoring_crds()).await.unwrap().succeeded().unwrap();
    install(&plane, "checks", "monitor", &[]).await;
    wait_for_crds(&plane).await;

    let values = chart().join("ci/everything-values.yaml").display().to_string();
    let path = chart().display().to_string();
    let all = ["upgrade", "checks", &path, "-n", "monitor", "--values", &values, "--set", "crds.install=true"];
    plane.helm(&all).await.unwrap().succeeded().unwrap();

    for kind in
        ["servicemonitor", "podmonitor", "prometheusrule", "networkpolicy", "poddisruptionbudget", "healthcheck"]
    {
        let found = object(&plane, &[kind, "-n", "monitor"]).await;
        assert_eq!(found["items"].as_array().map(Vec::len), Some(1), "{kind}");
    }
}

#[tokio::test]
async fn an_install_without_helm_is_one_command_plain_or_by_kustomize() {
    let plane = ControlPlane::start().await.unwrap();
    let deploy = crate::project::root().join("deploy");
    let file = deploy.join("install.yaml").display().to_string();
    plane.kubectl(&["apply", "--server-side", "-f", &file]).await.unwrap().succeeded().unwrap();
    wait_for_crds(&plane).await;
    let deployment = ["deployment", "health-check-operator-controller-manager", "-n", "health-check-operator"];
    object(&plane, &deployment).await;

    let said = plane.kubectl(&["diff", "--server-side", "-k", &deploy.display().to_string()]).await.unwrap();
    said.succeeded().unwrap();
}
