//! The operator in a real cluster: a real API server with a real etcd, the chart's own account, the real binary.

mod credentials;
mod documents;
mod outage;
mod rules;
mod rules_of_the_crd;
mod scale;
mod status;
mod twins;

use std::{
    collections::HashMap,
    path::PathBuf,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use health_testkit::control_plane::ControlPlane;
use kube::{
    Api, Client, Config,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
    runtime::wait::await_condition,
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::operator::{Operator, PATIENCE, program};

/// Where the chart is installed.
const HOME: &str = "health-system";
/// The account that the chart makes.
const ACCOUNT: &str = "hco-health-check-operator-controller-manager";

/// A cluster with the chart's CRDs, account and rights in it.
pub(crate) struct Cluster<'a> {
    pub(crate) plane: &'a ControlPlane,
    pub(crate) client: Client,
    account: PathBuf,
}

static SHARED: OnceCell<PathBuf> = OnceCell::const_new();

/// The cluster that tests share; they keep apart by namespaces.
pub(crate) async fn shared() -> Cluster<'static> {
    let plane = ControlPlane::shared().await.unwrap();
    let account = SHARED.get_or_init(|| async { install(plane).await }).await.clone();
    Cluster { plane, client: client(plane).await, account }
}

/// A cluster of its own, for tests that break it.
pub(crate) async fn own(plane: &ControlPlane) -> Cluster<'_> {
    let account = install(plane).await;
    Cluster { plane, client: client(plane).await, account }
}

/// Installs the chart by Helm and returns a kubeconfig that carries its account's token.
async fn install(plane: &ControlPlane) -> PathBuf {
    plane.kubectl(&["create", "namespace", HOME]).await.unwrap().succeeded().unwrap();
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/health-check-operator");
    plane.helm(&["install", "hco", chart, "--namespace", HOME]).await.unwrap().succeeded().unwrap();
    for name in ["healthchecks", "notificationrules"] {
        let crd = format!("crd/{name}.check.cloudders.com");
        let wait = ["wait", "--for=condition=Established", "--timeout=60s", &crd];
        plane.kubectl(&wait).await.unwrap().succeeded().unwrap();
    }
    let token = plane.service_account_token(HOME, ACCOUNT).await.unwrap();
    plane.kubeconfig_for(&token, HOME).unwrap()
}

async fn client(plane: &ControlPlane) -> Client {
    // Two providers are compiled in by way of other crates; the product uses this one. Another test may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let kubeconfig = Kubeconfig::read_from(plane.admin_kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

impl Cluster<'_> {
    /// Starts the operator with the chart's account, watching one namespace.
    pub(crate) fn operator(&self, namespace: &str) -> Operator {
        self.operator_with(&["--namespaces", namespace])
    }

    /// Starts the operator with the chart's account.
    pub(crate) fn operator_with(&self, arguments: &[&str]) -> Operator {
        let mut command = program();
        command.env("KUBECONFIG", &self.account).args(arguments);
        Operator::launch(command)
    }

    /// Starts the operator as the administrator, whose rights survive the loss of everything.
    pub(crate) fn operator_of_the_administrator(&self) -> Operator {
        let mut command = program();
        command.env("KUBECONFIG", self.plane.admin_kubeconfig());
        Operator::launch(command)
    }

    /// The HealthChecks of a namespace.
    pub(crate) fn checks(&self, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource())
    }

    /// Applies a HealthCheck.
    pub(crate) async fn apply(&self, namespace: &str, name: &str, spec: Value) {
        let object = object(name, spec);
        let parameters = PatchParams::apply("test").force();
        self.checks(namespace).patch(name, &parameters, &Patch::Apply(&object)).await.unwrap();
    }

    /// Creates many HealthChecks.
    pub(crate) async fn create_many(&self, namespace: &str, checks: impl Iterator<Item = (String, Value)>) {
        let api = self.checks(namespace);
        let parameters = PostParams::default();
        stream::iter(checks)
            .for_each_concurrent(32, |(name, spec)| {
                let (api, parameters) = (api.clone(), &parameters);
                async move {
                    let object: DynamicObject = serde_json::from_value(object(&name, spec)).unwrap();
                    api.create(parameters, &object).await.unwrap();
                }
            })
            .await;
    }

    /// Deletes a HealthCheck.
    pub(crate) async fn delete(&self, namespace: &str, name: &str) {
        self.checks(namespace).delete(name, &DeleteParams::default()).await.unwrap();
    }

    /// The status of a HealthCheck; null when there is none yet.
    pub(crate) async fn status(&self, namespace: &str, name: &str) -> Value {
        let object = self.checks(namespace).get(name).await.unwrap();
        object.data.get("status").cloned().unwrap_or_default()
    }

    /// Asks for the status until it is as wanted; returns it and how long that took.
    pub(crate) async fn status_until(
        &self,
        (namespace, name): (&str, &str),
        what: &str,
        wanted: impl Fn(&Value) -> bool + Send + Sync,
    ) -> (Value, Duration) {
        let begun = Instant::now();
        let api = self.checks(namespace);
        let wanted =
            |object: Option<&DynamicObject>| object.and_then(|object| object.data.get("status")).is_some_and(&wanted);
        let reached = tokio::time::timeout(PATIENCE, await_condition(api, name, wanted)).await;
        let took = begun.elapsed();
        match reached {
            Ok(Ok(Some(object))) => (object.data["status"].clone(), took),
            other => panic!(
                "waited in vain for {what} ({other:?}); the last status was {:#}",
                self.status(namespace, name).await
            ),
        }
    }

    /// Runs kubectl as the administrator in a namespace.
    pub(crate) async fn kubectl(&self, namespace: &str, arguments: &[&str]) -> String {
        let arguments = [&["-n", namespace], arguments].concat();
        self.plane.kubectl(&arguments).await.unwrap().succeeded().unwrap()
    }
}

/// How the API server names HealthChecks.
pub(crate) fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("check.cloudders.com", "v1alpha1", "HealthCheck"),
        "healthchecks",
    )
}

fn object(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": "check.cloudders.com/v1alpha1",
        "kind": "HealthCheck",
        "metadata": {"name": name},
        "spec": spec,
    })
}

/// The condition of a type, as `status/reason`.
pub(crate) fn condition(status: &Value, kind: &str) -> String {
    let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
    let of_kind: HashMap<String, Value> =
        conditions.into_iter().map(|one| (one["type"].as_str().unwrap_or_default().to_owned(), one)).collect();
    let one = of_kind.get(kind).cloned().unwrap_or_default();
    format!("{}/{}", one["status"].as_str().unwrap_or("-"), one["reason"].as_str().unwrap_or("-"))
}
