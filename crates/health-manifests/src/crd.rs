//! The CustomResourceDefinitions, generated from the types.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool, ValidationRule,
};
use kube::core::CustomResourceExt;

use crate::resource::{health_check::HealthCheck, notification_rule::NotificationRule};

/// Every CRD of ours, in the order of their names.
pub fn custom_resource_definitions() -> Vec<CustomResourceDefinition> {
    vec![health_check(), notification_rule()]
}

/// The CRDs as YAML documents, ready for `kubectl apply`.
pub fn crds() -> String {
    let render = |crd: &CustomResourceDefinition| serde_saphyr::to_string(crd).unwrap_or_default();
    custom_resource_definitions().iter().map(|crd| format!("---\n{}", render(crd))).collect()
}

/// The CRD of HealthCheck.
pub(crate) fn health_check() -> CustomResourceDefinition {
    let mut crd = finished(HealthCheck::crd());
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            schema.x_kubernetes_validations.get_or_insert_default().push(not_on_itself());
        }
    }
    crd
}

/// Only the whole object knows its own name.
fn not_on_itself() -> ValidationRule {
    ValidationRule {
        rule: "!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(one, one == self.metadata.name)".to_owned(),
        message: Some("is this check itself; remove it".to_owned()),
        field_path: Some(".spec.dependsOn".to_owned()),
        ..ValidationRule::default()
    }
}

/// The CRD of NotificationRule.
pub(crate) fn notification_rule() -> CustomResourceDefinition {
    finished(NotificationRule::crd())
}

fn finished(mut crd: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        if let Some(schema) = version.schema.as_mut().and_then(|schema| schema.open_api_v3_schema.as_mut()) {
            without_null(schema);
        }
    }
    crd
}

/// Without `nullable`, the API server drops a field that is null before any rule sees it, so that `has(…)` means the
/// same in a cluster as in a folder.
fn without_null(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    for field in schema.properties.iter_mut().flat_map(|fields| fields.values_mut()) {
        without_null(field);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(item)) => without_null(item),
        Some(JSONSchemaPropsOrArray::Schemas(items)) => items.iter_mut().for_each(without_null),
        None => {}
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        without_null(values);
    }
}
