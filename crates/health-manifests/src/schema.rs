//! The CRDs' schemas, made once from the types.

use std::sync::LazyLock;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{CustomResourceDefinition, JSONSchemaProps};

use crate::crd;

static HEALTH_CHECK: LazyLock<JSONSchemaProps> = LazyLock::new(|| document_schema(crd::health_check()));
static NOTIFICATION_RULE: LazyLock<JSONSchemaProps> = LazyLock::new(|| document_schema(crd::notification_rule()));

/// The schema of a whole HealthCheck.
pub(crate) fn health_check() -> &'static JSONSchemaProps {
    &HEALTH_CHECK
}

/// The schema of a whole NotificationRule.
pub(crate) fn notification_rule() -> &'static JSONSchemaProps {
    &NOTIFICATION_RULE
}

fn document_schema(crd: CustomResourceDefinition) -> JSONSchemaProps {
    let version = crd.spec.versions.into_iter().next();
    version.and_then(|version| version.schema?.open_api_v3_schema).unwrap_or_default()
}
