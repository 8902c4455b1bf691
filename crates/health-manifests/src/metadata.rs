//! `metadata`, and the contents of Secrets and ConfigMaps.

use std::{collections::BTreeMap, sync::Arc};

use health_model::ObjectId;
use jiff::Timestamp;
use k8s_openapi::ByteString;

use crate::{
    manifest::{Place, object_id},
    material::{KeyValues, MaterialKind, MaterialManifest},
    path::FieldPath,
    problem::Fault,
    tree::{Content, Node},
};

/// What is known of an object.
pub(crate) struct Metadata {
    pub(crate) id: ObjectId,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) created: Option<Timestamp>,
    pub(crate) generation: i64,
    pub(crate) uid: Option<Arc<str>>,
}

/// Reads `metadata`; `None` when the object does not say its name.
pub(crate) fn read(node: &Node, faults: &mut Vec<Fault>) -> Option<Metadata> {
    let metadata = node.get("metadata");
    let text = |key| metadata.and_then(|metadata| metadata.get(key)).and_then(Node::as_text);
    let Some(name) = text("name").filter(|name| is_object_name(name)) else {
        faults.push(no_name(metadata.and_then(|metadata| metadata.get("name"))));
        return None;
    };
    let namespace = text("namespace").filter(|namespace| !namespace.is_empty());
    if let Some(bad) = namespace.filter(|namespace| !is_object_name(namespace) || namespace.contains('.')) {
        let fault = Fault::new("metadata.namespace", "is no namespace", "write lower-case letters, digits and hyphens");
        faults.push(fault.showing(format_args!("{bad:?}")));
        return None;
    }
    Some(Metadata {
        id: object_id(namespace, name),
        labels: labels(metadata, faults),
        created: text("creationTimestamp").and_then(|text| text.parse().ok()),
        generation: metadata.and_then(|metadata| metadata.get("generation")).and_then(Node::as_int).unwrap_or(0),
        uid: text("uid").map(Arc::from),
    })
}

fn no_name(name: Option<&Node>) -> Fault {
    const REMEDY: &str = "write lower-case letters, digits, hyphens and dots, at most 253";
    match name.map(|node| (&node.content, node.kind_word())) {
        None | Some((Content::Null, _)) => Fault::new("metadata.name", "is missing", REMEDY),
        Some((Content::Text(text), _)) if text.is_empty() => Fault::new("metadata.name", "is empty", REMEDY),
        Some((Content::Text(text), _)) => {
            Fault::new("metadata.name", "is no object name", REMEDY).showing(format_args!("{text:?}"))
        }
        Some((_, word)) => Fault::new("metadata.name", format!("is {word}"), "write text, in quotes"),
    }
}

fn labels(metadata: Option<&Node>, faults: &mut Vec<Fault>) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    for entry in metadata.and_then(|metadata| metadata.get("labels")).and_then(Node::as_map).unwrap_or_default() {
        if let Content::Text(value) = &entry.node.content {
            labels.insert(entry.key.clone(), value.clone());
        } else {
            let field = format!("metadata.labels.{}", entry.key);
            faults.push(Fault::new(field, format!("is {}", entry.node.kind_word()), "write text, in quotes"));
        }
    }
    labels
}

/// A DNS subdomain (RFC 1123), as Kubernetes names objects.
fn is_object_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253 && name.chars().all(allowed) && name.starts_with(edge) && name.ends_with(edge)
}

/// Reads a Secret's `data` and `stringData`, or a ConfigMap's `data` and `binaryData`.
pub(crate) fn material(
    node: &Node,
    kind: &str,
    object: (ObjectId, Place),
    faults: &mut Vec<Fault>,
) -> Option<MaterialManifest> {
    let (id, place) = object;
    let before = faults.len();
    let mut contents = KeyValues::new();
    let kind = if kind == "Secret" { MaterialKind::Secret } else { MaterialKind::ConfigMap };
    let (encoded, plain) = match kind {
        MaterialKind::Secret => ("data", "stringData"),
        MaterialKind::ConfigMap => ("binaryData", "data"),
    };
    collect(node, encoded, true, &mut contents, faults);
    collect(node, plain, false, &mut contents, faults);
    (faults.len() == before).then_some(MaterialManifest { kind, id, place, contents })
}

fn collect(node: &Node, field: &str, encoded: bool, contents: &mut KeyValues, faults: &mut Vec<Fault>) {
    let root = FieldPath::root(field);
    let Some(section) = node.get(field).filter(|section| section.content != Content::Null) else { return };
    let Some(entries) = section.as_map() else {
        faults.push(Fault::new(root, format!("is {}", section.kind_word()), "write keys and values"));
        return;
    };
    for entry in entries {
        let path = root.key(&entry.key);
        let Content::Text(text) = &entry.node.content else {
            faults.push(Fault::new(path, format!("is {}", entry.node.kind_word()), "write text, in quotes"));
            continue;
        };
        match if encoded { decoded(text) } else { Some(text.clone().into_bytes()) } {
            Some(value) => {
                contents.insert(entry.key.clone(), value);
            }
            None => faults.push(Fault::new(path, "is no base64", "encode it, or use stringData for plain text")),
        }
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    let compact: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    serde_json::from_value::<ByteString>(serde_json::Value::String(compact)).ok().map(|bytes| bytes.0)
}
