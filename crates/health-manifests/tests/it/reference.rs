//! The field references in `docs/`, made from the CRDs' schemas: what the types say is what people read.

use std::fmt::Write as _;

use health_manifests::custom_resource_definitions;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

const CHECKS: &str = "# HealthCheck: every field

A HealthCheck says what is asked, how, how often, and when it counts as healthy. This page is generated from the types
that also make the CustomResourceDefinition, so it cannot lag behind.

```yaml
apiVersion: check.cloudders.com/v1alpha1
kind: HealthCheck
metadata:
  name: web
spec:
  testInterval: 30
  http:
    url: https://example.org/health
    searchFor: {string: ready}
    sslCheck: {expiration: 14}
```

There is an example of every probe in [`examples/`](../examples).
";

const RULES: &str = "# NotificationRule: every field

A NotificationRule says whom to tell, of which checks, and when. This page is generated from the types that also make
the CustomResourceDefinition, so it cannot lag behind.

```yaml
apiVersion: check.cloudders.com/v1alpha1
kind: NotificationRule
metadata:
  name: operations
spec:
  checks: [web]
  waitBeforeSend: 1
  repeatAfter: 4h
  slack:
    webhook: {secret: [{name: slack, key: webhook}]}
```

There is an example of every channel in [`examples/`](../examples). `message` and `resolveMessage` take
`%check%`, `%namespace%`, `%status%`, `%reason%`, `%response%`, `%response_time%`, `%response_code%`, `%search_type%`,
`%search_used%`, `%target%`, `%triggerTime%`, `%failing_since%`, `%duration%`, `%runbook%` and `%count%`.
";

const COMMON: &str = "
## Durations

A duration is a whole number (seconds, unless the field says minutes) or a text of numbers and units: `500ms`, `90s`,
`1m30s`, `4h`, `7d`.

## Values

Whatever may be secret is a *value*: `{value: …}`, or `{valueFrom: …}` with exactly one of

```yaml
valueFrom:
  secretKeyRef: {name: my-secret, key: password}
  # or
  configMapKeyRef: {name: my-config, key: greeting}
```

Secrets and ConfigMaps are read from the namespace of the object itself, only when something refers to them, and are
followed when they change. One trailing newline of the value is dropped. One that cannot be read is
`CredentialsUnavailable`: it never counts as an outage of the target. No secret is shown in a status, log, event,
metric, error or page.

## What is refused

An unknown field is refused with the nearest known name. What a rule can express is refused at `kubectl apply`; what
only the operator can see (an invalid regular expression) makes the object `InvalidConfiguration`, with field and remedy
in its status. `health-check-operator validate PATH…` says all of it beforehand, with file and line.
";

/// Fields that are the same wherever they stand get one section of their own.
struct Page {
    text: String,
    tls: Option<JSONSchemaProps>,
}

/// The page of a kind.
pub(crate) fn page(kind: &str) -> String {
    let crd = custom_resource_definitions().into_iter().find(|crd| crd.spec.names.kind == kind).unwrap();
    let schema = crd.spec.versions[0].schema.as_ref().unwrap().open_api_v3_schema.as_ref().unwrap();
    let properties = schema.properties.as_ref().unwrap();
    let mut page = Page { text: if kind == "HealthCheck" { CHECKS } else { RULES }.to_owned(), tls: None };
    page.section("spec", "", &properties["spec"]);
    if let Some(tls) = page.tls.take() {
        page.section("tls", "", &tls);
    }
    page.text.push_str(COMMON);
    page.section("status", "", &properties["status"]);
    page.text
}

impl Page {
    fn section(&mut self, title: &str, field: &str, schema: &JSONSchemaProps) {
        let _ = write!(self.text, "\n## `{title}`\n");
        let description = schema.description.as_deref().unwrap_or_default();
        if field.is_empty() || !description.is_empty() {
            let _ = write!(self.text, "\n{description}\n");
        }
        if schema.x_kubernetes_validations.is_some() {
            self.text.push_str("\nRefused with these words:\n\n");
        }
        for rule in schema.x_kubernetes_validations.iter().flatten() {
            let _ = writeln!(self.text, "- {}", rule.message.as_deref().unwrap());
        }
        self.text.push_str("\n| field | takes | meaning |\n|---|---|---|\n");
        let required = schema.required.clone().unwrap_or_default();
        let mut below = Vec::new();
        for (name, field) in schema.properties.iter().flatten() {
            let mut takes = self.takes(field, &format!("{title}.{name}"), &mut below);
            if required.contains(name) {
                takes.push_str(", required");
            }
            let description = field.description.as_deref().unwrap_or_default().replace('|', "\\|").replace('\n', " ");
            let _ = writeln!(self.text, "| `{name}` | {takes} | {description} |");
        }
        for (title, schema) in below {
            self.section(&title, "field", &schema);
        }
    }

    fn takes(&mut self, schema: &JSONSchemaProps, title: &str, below: &mut Vec<(String, JSONSchemaProps)>) -> String {
        let has = |name: &str| schema.properties.as_ref().is_some_and(|fields| fields.contains_key(name));
        if schema.x_kubernetes_int_or_string == Some(true) {
            let is_duration = schema.x_kubernetes_validations.is_some();
            return if is_duration { "[duration](#durations)" } else { "number or text" }.to_owned();
        }
        match schema.type_.as_deref() {
            Some("boolean") => "true or false".to_owned(),
            Some("integer") => match (schema.minimum, schema.maximum) {
                (Some(low), Some(high)) => format!("{low} to {high}"),
                _ => "whole number".to_owned(),
            },
            Some("string") => text(schema),
            Some("array") => match schema.items.as_ref() {
                Some(JSONSchemaPropsOrArray::Schema(item)) => {
                    format!("list of {}", self.takes(item, &format!("{title}[]"), below))
                }
                _ => "list".to_owned(),
            },
            Some("object") if has("valueFrom") && has("name") => "name and [value](#values)".to_owned(),
            Some("object") if has("valueFrom") => "[value](#values)".to_owned(),
            Some("object") if has("secretKeyRef") => "[`secretKeyRef` or `configMapKeyRef`](#values)".to_owned(),
            Some("object") if has("startTls") => {
                self.tls = Some(schema.clone());
                "[tls](#tls)".to_owned()
            }
            Some("object") if has("expiration") => "`{expiration: days}`".to_owned(),
            Some("object") if has("lastTransitionTime") => "condition".to_owned(),
            Some("object") if has("key") && has("name") && !has("operator") => "`{name, key}`".to_owned(),
            Some("object") if schema.properties.is_some() => {
                below.push((title.to_owned(), schema.clone()));
                format!("[object](#{})", anchor(title))
            }
            Some("object") => match &schema.additional_properties {
                Some(JSONSchemaPropsOrBool::Schema(values)) if values.type_.as_deref() == Some("boolean") => {
                    "names and true or false".to_owned()
                }
                _ => "names and texts".to_owned(),
            },
            _ => "any JSON".to_owned(),
        }
    }
}

fn text(schema: &JSONSchemaProps) -> String {
    match &schema.enum_ {
        Some(words) => words
            .iter()
            .filter_map(|word| word.0.as_str())
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", "),
        None if schema.format.as_deref() == Some("date-time") => "time".to_owned(),
        None => "text".to_owned(),
    }
}

/// The anchor that a Markdown heading of this title gets.
fn anchor(title: &str) -> String {
    title.chars().filter(|c| c.is_ascii_alphanumeric()).collect::<String>().to_lowercase()
}
