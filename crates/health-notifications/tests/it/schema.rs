//! As much of JSON Schema as the providers' published formats need, so that payloads are checked against them.

use serde_json::Value;

/// Everything in `value` that a schema forbids, each with where it is.
pub fn violations(schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(schema, value, "$", &mut found);
    found
}

fn check(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(kind) = schema["type"].as_str() {
        let fits = match kind {
            "object" => value.is_object(),
            "array" => value.is_array(),
            "string" => value.is_string(),
            "number" => value.is_number(),
            "boolean" => value.is_boolean(),
            other => panic!("a schema of type {other}"),
        };
        if !fits {
            found.push(format!("{place} is no {kind}: {value}"));
            return;
        }
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        found.push(format!("{place} is {value}, none of {allowed:?}"));
    }
    if let Some(text) = value.as_str() {
        let length = text.chars().count() as u64;
        let bounds = schema["minLength"].as_u64().unwrap_or(0)..=schema["maxLength"].as_u64().unwrap_or(u64::MAX);
        if !bounds.contains(&length) {
            found.push(format!("{place} has {length} characters, not {bounds:?}"));
        }
    }
    check_parts(schema, value, place, found);
}

fn check_parts(schema: &Value, value: &Value, place: &str, found: &mut Vec<String>) {
    if let Some(items) = value.as_array() {
        if (items.len() as u64) < schema["minItems"].as_u64().unwrap_or(0) {
            found.push(format!("{place} has too few items"));
        }
        for (index, item) in items.iter().enumerate().filter(|_| schema["items"].is_object()) {
            check(&schema["items"], item, &format!("{place}[{index}]"), found);
        }
    }
    let Some(fields) = value.as_object() else { return };
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().unwrap()) {
            found.push(format!("{place} lacks {required}"));
        }
    }
    for (name, field) in fields {
        let known = schema["properties"].get(name);
        if known.is_none() && schema["additionalProperties"] == Value::Bool(false) {
            found.push(format!("{place}.{name} is unknown to the provider"));
        }
        if schema["strings"] == Value::Bool(true) && !field.is_string() {
            found.push(format!("{place}.{name} is no string"));
        }
        if let Some(known) = known {
            check(known, field, &format!("{place}.{name}"), found);
        }
    }
}

#[test]
fn a_payload_that_the_provider_would_refuse_is_found() {
    let schema = serde_json::json!({"type": "object", "required": ["a"], "additionalProperties": false,
        "properties": {"a": {"type": "string", "maxLength": 2}}});
    assert_eq!(violations(&schema, &serde_json::json!({"a": "ok"})), Vec::<String>::new());
    assert_eq!(violations(&schema, &serde_json::json!({"a": "long", "b": 1})).len(), 2);
    assert_eq!(violations(&schema, &serde_json::json!({})).len(), 1);
}
