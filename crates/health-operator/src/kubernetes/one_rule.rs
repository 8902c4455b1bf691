//! One NotificationRule of the cluster, asked for once, with the Secrets and ConfigMaps it refers to: for `notify-test`.
//! Nothing is watched and nothing is written.

use std::time::Duration;

use anyhow::{Context, bail};
use health_manifests::{Manifest, NotificationRuleManifest, from_object};
use health_model::RuleDefinition;
use kube::{Api, Client, api::DynamicObject};

use super::{
    materials::{ClusterMaterials, read_once},
    watch::Kind,
};

/// How long the API server may take for all of it.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a rule: `name` in the kubeconfig's own namespace, or `namespace/name`.
///
/// # Errors
/// When the API server cannot be asked, or there is no such rule. No error quotes a Secret.
pub(crate) async fn rule(client: Client, asked: &str) -> anyhow::Result<RuleDefinition> {
    let read = tokio::time::timeout(PATIENCE, read(client, asked));
    read.await.unwrap_or_else(|_| bail!("the API server does not answer within {PATIENCE:?}"))
}

async fn read(client: Client, asked: &str) -> anyhow::Result<RuleDefinition> {
    let (namespace, name) = match asked.split_once('/') {
        Some((namespace, name)) => (namespace.to_owned(), name),
        None => (client.default_namespace().to_owned(), asked),
    };
    let resource = Kind::NotificationRule.resource();
    let api = Api::<DynamicObject>::namespaced_with(client.clone(), &namespace, &resource);
    let found =
        api.get_opt(name).await.with_context(|| format!("NotificationRule {namespace}/{name} cannot be read"))?;
    let Some(object) = found else {
        bail!("there is no NotificationRule {namespace}/{name}; write namespace/name for one of another namespace");
    };
    let manifest = understood(&object).with_context(|| format!("{namespace}/{name} is no NotificationRule"))?;
    let materials = ClusterMaterials::default();
    for reference in manifest.references() {
        materials.take(reference, read_once(&client, reference).await);
    }
    Ok(manifest.resolve(&materials))
}

fn understood(object: &DynamicObject) -> Option<Box<NotificationRuleManifest>> {
    let value = serde_json::to_value(object).ok()?;
    from_object(&value).manifests.into_iter().find_map(|manifest| match manifest {
        Manifest::NotificationRule(rule) => Some(rule),
        Manifest::HealthCheck(_) | Manifest::Material(_) | Manifest::Ignored(_) => None,
    })
}
