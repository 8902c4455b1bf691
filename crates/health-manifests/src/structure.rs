//! Whether a document has the structure that the CRD's schema demands: the same refusals as the API server's, with
//! the nearest known name, for manifests that never meet one.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

use crate::{
    convert::url::without_user_info,
    path::FieldPath,
    problem::Fault,
    tree::{Content, Entry, Node},
};

/// Sections below which a value may be a credential, so that no value there is ever shown.
const SECRET_SECTIONS: &[&str] = &[
    "apiKey",
    "apiUrl",
    "basicAuth",
    "bearerToken",
    "body",
    "bodyFrom",
    "botToken",
    "ca",
    "chatId",
    "data",
    "headers",
    "hmacSecret",
    "metadata",
    "oauth2",
    "password",
    "proxyUrl",
    "routingKey",
    "send",
    "stringData",
    "token",
    "topic",
    "url",
    "urls",
    "username",
    "webhook",
];

/// Nearest names further away than this share of the name are no help.
const SIMILARITY: f64 = 0.75;

/// Compares a node with its schema and adds what does not fit.
pub(crate) fn check(node: &Node, schema: &JSONSchemaProps, path: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    if node.content == Content::Null || schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return;
    }
    if schema.x_kubernetes_int_or_string == Some(true) {
        return match &node.content {
            Content::Int(_) => {}
            Content::Text(text) => check_text(text, node, schema, path, faults),
            _ => faults.push(wrong_kind(node, "a whole number or text", path)),
        };
    }
    match schema.type_.as_deref() {
        Some("object") => check_object(node, schema, path, faults),
        Some("array") => check_list(node, schema, path, faults),
        Some(kind) => check_scalar(node, kind, schema, path, faults),
        None => {}
    }
}

fn wrong_kind(node: &Node, wanted: &str, path: &FieldPath<'_>) -> Fault {
    let fault = Fault::new(path, format!("is {}", node.kind_word()), format!("write {wanted}"));
    show(fault, node, path)
}

/// Shows a number or a switch, and text only where no credential can stand.
fn show(fault: Fault, node: &Node, path: &FieldPath<'_>) -> Fault {
    if path.passes(SECRET_SECTIONS) {
        return fault;
    }
    match &node.content {
        Content::Bool(value) => fault.showing(value),
        Content::Int(value) => fault.showing(value),
        Content::Float(value) => fault.showing(value),
        Content::Text(value) => fault.showing(format!("{:?}", without_user_info(value))),
        Content::Null | Content::List(_) | Content::Map(_) => fault,
    }
}

fn check_object(node: &Node, schema: &JSONSchemaProps, path: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    let Some(entries) = node.as_map() else {
        let fault = Fault::new(path, format!("is {}", node.kind_word()), object_remedy(schema));
        faults.push(fault);
        return;
    };
    for entry in entries {
        check_field(entry, schema, path, faults);
    }
    for name in schema.required.iter().flatten() {
        if node.get(name).is_none_or(|value| value.content == Content::Null) {
            faults.push(Fault::new(path.key(name), "is missing", "add it"));
        }
    }
}

fn object_remedy(schema: &JSONSchemaProps) -> String {
    let names: Vec<&str> = schema.properties.iter().flatten().map(|(name, _)| name.as_str()).collect();
    if names.is_empty() { "write an object".to_owned() } else { format!("write an object with {}", names.join(", ")) }
}

fn check_field(entry: &Entry, schema: &JSONSchemaProps, path: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    let path = path.key(&entry.key);
    let properties = schema.properties.as_ref();
    match (properties.and_then(|properties| properties.get(&entry.key)), &schema.additional_properties) {
        (Some(field), _) => check(&entry.node, field, &path, faults),
        (None, Some(JSONSchemaPropsOrBool::Schema(field))) => check(&entry.node, field, &path, faults),
        (None, Some(JSONSchemaPropsOrBool::Bool(true))) => {}
        (None, _) => {
            let names: Vec<&str> = properties.into_iter().flatten().map(|(name, _)| name.as_str()).collect();
            faults.push(Fault::new(path, "is no known field", unknown_remedy(&entry.key, &names)));
        }
    }
}

/// The nearest known name, or all of them when nothing is near.
pub(crate) fn unknown_remedy(name: &str, known: &[&str]) -> String {
    match nearest(name, known) {
        Some(nearest) => format!("did you mean {nearest}?"),
        None if known.is_empty() => "remove it".to_owned(),
        None => format!("known here: {}", known.join(", ")),
    }
}

fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let lower = name.to_lowercase();
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(&lower, &candidate.to_lowercase()), *candidate))
        .filter(|(similarity, _)| *similarity >= SIMILARITY)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

fn check_list(node: &Node, schema: &JSONSchemaProps, path: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    let Some(elements) = node.as_list() else {
        faults.push(wrong_kind(node, "a list", path));
        return;
    };
    let count = i64::try_from(elements.len()).unwrap_or(i64::MAX);
    if let Some(most) = schema.max_items.filter(|most| count > *most) {
        faults.push(Fault::new(path, format!("has {count} elements"), format!("give at most {most}")));
        return;
    }
    if let Some(least) = schema.min_items.filter(|least| count < *least) {
        faults.push(Fault::new(path, format!("has {count} elements"), format!("give at least {least}")));
    }
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else { return };
    for (index, element) in elements.iter().enumerate() {
        let path = path.index(index);
        if element.content == Content::Null {
            faults.push(Fault::new(path, "is empty", "give it a value or remove it"));
        } else {
            check(element, item, &path, faults);
        }
    }
}

fn check_scalar(node: &Node, kind: &str, schema: &JSONSchemaProps, path: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    match (kind, &node.content) {
        ("string", Content::Text(text)) => check_text(text, node, schema, path, faults),
        ("integer", Content::Int(number)) => check_number(*number, node, schema, path, faults),
        ("boolean", Content::Bool(_)) | ("number", Content::Int(_) | Content::Float(_)) => {}
        ("string", _) => faults.push(wrong_kind(node, "text, in quotes", path)),
        ("integer", _) => faults.push(wrong_kind(node, "a whole number", path)),
        ("boolean", _) => faults.push(wrong_kind(node, "true or false", path)),
        _ => faults.push(wrong_kind(node, "a number", path)),
    }
}

fn check_text(text: &str, node: &Node, schema: &JSONSchemaProps, path: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    if let Some(words) = &schema.enum_ {
        let words: Vec<&str> = words.iter().filter_map(|word| word.0.as_str()).collect();
        if !words.contains(&text) {
            let remedy = format!("write one of {}", words.join(", "));
            faults.push(show(Fault::new(path, "is no known word", remedy), node, path));
        }
        return;
    }
    let length = i64::try_from(text.chars().count()).unwrap_or(i64::MAX);
    if let Some(most) = schema.max_length.filter(|most| length > *most) {
        faults.push(Fault::new(path, format!("has {length} characters"), format!("write at most {most}")));
    }
    if let Some(least) = schema.min_length.filter(|least| length < *least) {
        let message = if length == 0 { "is empty".to_owned() } else { format!("has {length} characters") };
        let remedy =
            if least == 1 { "give it a value or remove it".to_owned() } else { format!("write at least {least}") };
        faults.push(Fault::new(path, message, remedy));
    }
}

#[expect(clippy::cast_precision_loss, reason = "bounds of the schema are far below 2^53")]
fn check_number(number: i64, node: &Node, schema: &JSONSchemaProps, path: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    let (low, high) = (schema.minimum, schema.maximum);
    let below = low.is_some_and(|low| (number as f64) < low);
    let above = high.is_some_and(|high| (number as f64) > high);
    if below || above {
        let remedy = match (low, high) {
            (Some(low), Some(high)) => format!("write a number from {low} to {high}"),
            (Some(low), None) => format!("write at least {low}"),
            (None, Some(high)) => format!("write at most {high}"),
            (None, None) => return,
        };
        faults.push(show(Fault::new(path, "is out of range", remedy), node, path));
    }
}

/// Fields of every object, which are read elsewhere or not at all.
const OBJECT_FIELDS: [&str; 4] = ["apiVersion", "kind", "metadata", "status"];

/// Compares a whole document with its schema; metadata and status are no concern here.
pub(crate) fn check_document(node: &Node, schema: &JSONSchemaProps, root: &FieldPath<'_>, faults: &mut Vec<Fault>) {
    for entry in node.as_map().unwrap_or_default() {
        if entry.key == "spec" || !OBJECT_FIELDS.contains(&entry.key.as_str()) {
            check_field(entry, schema, root, faults);
        }
    }
    if node.get("spec").is_none_or(|spec| spec.content == Content::Null) {
        faults.push(Fault::new("spec", "is missing", "add it"));
    }
}
