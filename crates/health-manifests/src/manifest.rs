//! Documents as manifests: what object it is, what it says, what is wrong with it.
//!
//! One path serves the folder, the command line and the cluster: a tree is compared with the CRD's schema, then read
//! into the resource's type, then converted. Nothing here opens a file or a connection.

use std::{collections::BTreeSet, fmt, sync::Arc};

use health_model::{CheckDefinition, CheckMeta, CheckSpec, ObjectId, Reason, SpecProblem};
use serde_json::Value;

use crate::{
    convert::{Conversion, check::outline, duration},
    material::{MaterialManifest, Materials, Reference},
    metadata::{self, Metadata},
    path::FieldPath,
    problem::{Fault, Problem},
    resource::{health_check::HealthCheckSpec, value::NumberOrText},
    schema, structure,
    tree::{Content, Node},
    yaml,
};

/// The API group of our resources.
pub const GROUP: &str = "check.cloudders.com";
/// The version of our resources.
pub const VERSION: &str = "v1alpha1";
/// The namespace of a manifest that names none.
pub const DEFAULT_NAMESPACE: &str = "default";

/// Where a document was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, `cluster` or `command line`.
    pub source: Arc<str>,
    /// The document's first line, from 1; 0 where there are no lines.
    pub line: u32,
}

/// One understood document (understood enough to know what it is about).
#[derive(Clone, Debug)]
pub enum Manifest {
    /// A HealthCheck, valid or not.
    HealthCheck(Box<HealthCheckManifest>),
    /// A Secret or a ConfigMap.
    Material(MaterialManifest),
    /// An object of a kind that is not ours.
    Ignored(IgnoredObject),
}

/// An object of a kind that is not ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IgnoredObject {
    /// Where it stands.
    pub place: Place,
    /// `apiVersion`, empty when absent.
    pub api_version: String,
    /// `kind`, empty when absent.
    pub kind: String,
    /// `metadata.name`, empty when absent.
    pub name: String,
}

/// What a text held, in its order. The problems of a manifest are in the list too.
#[derive(Clone, Debug, Default)]
pub struct ParsedText {
    /// What was understood.
    pub manifests: Vec<Manifest>,
    /// What is wrong, in the order of the lines.
    pub problems: Vec<Problem>,
    /// Documents that are no YAML, or no objects: nobody can say what they held, or were meant to hold.
    pub illegible: usize,
}

/// A HealthCheck as it was written.
#[derive(Clone)]
pub struct HealthCheckManifest {
    /// What is known of the object.
    pub meta: CheckMeta,
    /// Where it stands.
    pub place: Place,
    spec: Option<Arc<HealthCheckSpec>>,
    problems: Vec<Problem>,
    references: BTreeSet<Reference>,
    lines: Arc<Lines>,
}

/// The tree of a document, kept to find lines; never shown.
struct Lines(Option<Node>);

impl fmt::Debug for HealthCheckManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HealthCheck {} ({} problems)", self.meta.id, self.problems.len())
    }
}

impl HealthCheckManifest {
    /// What is wrong with it, whatever Secrets and ConfigMaps hold.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The Secrets and ConfigMaps it needs.
    pub fn references(&self) -> &BTreeSet<Reference> {
        &self.references
    }

    /// The definition, with every reference read. An invalid manifest is `InvalidConfiguration`, an unreadable
    /// reference `CredentialsUnavailable`.
    pub fn resolve(&self, materials: &dyn Materials) -> CheckDefinition {
        let spec = match (&self.spec, self.problems.first()) {
            (Some(spec), None) => self.convert(spec, materials),
            (_, Some(problem)) => Err(self.refusal(Reason::InvalidConfiguration, problem.sentence())),
            (None, None) => Err(self.refusal(Reason::InvalidConfiguration, "spec: is missing; add it".to_owned())),
        };
        CheckDefinition { meta: self.meta.clone(), spec }
    }

    fn convert(&self, spec: &HealthCheckSpec, materials: &dyn Materials) -> Result<Arc<CheckSpec>, SpecProblem> {
        let mut conversion = Conversion::new(self.meta.id.namespace(), Some(materials));
        let converted = conversion.check(self.meta.id.name(), spec);
        if let Some(fault) = conversion.faults.into_iter().next() {
            let sentence = self.problem(fault).sentence();
            return Err(self.refusal(Reason::InvalidConfiguration, sentence));
        }
        if let Some(line) = conversion.unavailable.into_iter().next() {
            return Err(self.refusal(Reason::CredentialsUnavailable, line));
        }
        let fallback = || self.refusal(Reason::InvalidConfiguration, "spec: cannot be understood; mend it".to_owned());
        converted.map(Arc::new).ok_or_else(fallback)
    }

    fn refusal(&self, reason: Reason, message: String) -> SpecProblem {
        let (target, kind) = self.spec.as_deref().map(outline).unwrap_or_default();
        let interval = self.spec.as_deref().and_then(|spec| match &spec.test_interval {
            NumberOrText::Number(seconds) => u64::try_from(*seconds).ok().map(std::time::Duration::from_secs),
            NumberOrText::Text(text) => duration::parse(text),
        });
        SpecProblem { reason, message, target, kind, interval }
    }

    fn problem(&self, fault: Fault) -> Problem {
        located(fault, &self.place, self.lines.0.as_ref(), Some(format!("HealthCheck {}", self.meta.id)))
    }
}

/// Reads every document of a text. `source` is its name for people: a file's path.
pub fn parse_documents(text: &str, source: &str) -> ParsedText {
    let source: Arc<str> = source.into();
    let mut parsed = ParsedText::default();
    for document in yaml::documents(text) {
        match document {
            Ok(node) => parsed.add(&source, node, 0),
            Err((line, fault)) => {
                let place = Place { source: Arc::clone(&source), line };
                parsed.problems.push(located(fault, &place, None, None));
                parsed.illegible += 1;
            }
        }
    }
    parsed
}

/// Reads one object of the cluster.
pub fn from_object(object: &Value) -> ParsedText {
    let mut parsed = ParsedText::default();
    parsed.add(&"cluster".into(), Node::from(object), 0);
    parsed
}

/// How deep lists of lists are followed.
const MAX_LIST_DEPTH: u32 = 4;

impl ParsedText {
    fn add(&mut self, source: &Arc<str>, node: Node, depth: u32) {
        let place = Place { source: Arc::clone(source), line: node.line };
        if node.as_map().is_none() {
            let fault = Fault::new("", format!("is {}, not an object", node.kind_word()), "write a Kubernetes object");
            self.problems.push(located(fault, &place, None, None));
            self.illegible += 1;
            return;
        }
        let text = |key| node.get(key).and_then(Node::as_text).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        match (api_version.as_str(), kind.as_str()) {
            ("v1", "List") if depth < MAX_LIST_DEPTH => self.add_list(source, node, depth),
            ("v1", "Secret" | "ConfigMap") => self.add_material(place, &node, &kind),
            (_, "HealthCheck") if ours(&api_version) => self.add_check(place, node, &api_version),
            _ if kind.is_empty() => {
                let fault = Fault::new("kind", "is missing", "write kind: HealthCheck (and apiVersion)");
                self.problems.push(located(fault, &place, Some(&node), None));
            }
            _ => {
                let name = node.get("metadata").and_then(|metadata| metadata.get("name")).and_then(Node::as_text);
                let name = name.unwrap_or_default().to_owned();
                self.manifests.push(Manifest::Ignored(IgnoredObject { place, api_version, kind, name }));
            }
        }
    }

    fn add_list(&mut self, source: &Arc<str>, node: Node, depth: u32) {
        let Content::Map(entries) = node.content else { return };
        let items = entries.into_iter().find(|entry| entry.key == "items");
        if let Some(Content::List(items)) = items.map(|entry| entry.node.content) {
            items.into_iter().for_each(|item| self.add(source, item, depth + 1));
        }
    }

    fn add_material(&mut self, place: Place, node: &Node, kind: &str) {
        let mut faults = Vec::new();
        let metadata = metadata::read(node, &mut faults);
        let manifest = metadata.and_then(|metadata| metadata::material(node, kind, metadata.id, &mut faults));
        let object = manifest.as_ref().map(|manifest| format!("{kind} {}", manifest.id));
        self.problems.extend(faults.into_iter().map(|fault| located(fault, &place, Some(node), object.clone())));
        self.manifests.extend(manifest.map(Manifest::Material));
    }

    fn add_check(&mut self, place: Place, node: Node, api_version: &str) {
        let mut faults = Vec::new();
        let metadata = metadata::read(&node, &mut faults);
        check_version(api_version, &mut faults);
        let Some(Metadata { id, labels, created, generation, uid }) = metadata else {
            self.problems.extend(faults.into_iter().map(|fault| located(fault, &place, Some(&node), None)));
            return;
        };
        let spec = structured(&node, schema::health_check(), &mut faults);
        let mut conversion = Conversion::new(id.namespace(), None);
        if let Some(spec) = spec.as_ref().filter(|_| faults.is_empty()) {
            conversion.check(id.name(), spec);
            faults.append(&mut conversion.faults);
        }
        let references = std::mem::take(&mut conversion.references);
        drop(conversion);
        let object = Some(format!("HealthCheck {id}"));
        let located = |fault| located(fault, &place, Some(&node), object.clone());
        let problems: Vec<Problem> = faults.into_iter().map(located).collect();
        self.problems.extend(problems.iter().cloned());
        let meta = CheckMeta { id, labels, created, generation, uid };
        let lines = Arc::new(Lines((place.line > 0 && !references.is_empty()).then_some(node)));
        let spec = spec.map(Arc::new);
        let manifest = HealthCheckManifest { meta, place, spec, problems, references, lines };
        self.manifests.push(Manifest::HealthCheck(Box::new(manifest)));
    }
}

/// Whether it is (or was meant to be) an object of our group.
fn ours(api_version: &str) -> bool {
    api_version.is_empty() || !api_version.contains('/') || api_version.starts_with(GROUP)
}

fn check_version(api_version: &str, faults: &mut Vec<Fault>) {
    let wanted = format!("{GROUP}/{VERSION}");
    if api_version.is_empty() {
        faults.push(Fault::new("apiVersion", "is missing", format!("write {wanted}")));
    } else if api_version != wanted {
        let fault = Fault::new("apiVersion", "is not known", format!("write {wanted}"));
        faults.push(fault.showing(format_args!("{api_version:?}")));
    }
}

/// Compares a document with the schema and reads its spec; `None` when that is not possible.
fn structured<T: serde::de::DeserializeOwned>(
    node: &Node,
    schema: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps,
    faults: &mut Vec<Fault>,
) -> Option<T> {
    structure::check_document(node, schema, &FieldPath::root(""), faults);
    let spec = node.get("spec")?;
    match serde_json::from_value(spec.to_json()) {
        Ok(spec) => Some(spec),
        // Only where the schema's faults already say why.
        Err(_) if !faults.is_empty() => None,
        Err(_) => {
            faults.push(Fault::new("spec", "cannot be understood", "compare it with the field reference"));
            None
        }
    }
}

fn located(fault: Fault, place: &Place, node: Option<&Node>, object: Option<String>) -> Problem {
    let Fault { field, value, message, remedy } = fault;
    let line = node.and_then(|node| node.line_of(&field)).or((place.line > 0).then_some(place.line));
    let field = Some(field).filter(|field| !field.is_empty());
    Problem { source: place.source.to_string(), line, object, field, value, message, remedy }
}

/// The identity of an object from its namespace and name.
pub(crate) fn object_id(namespace: Option<&str>, name: &str) -> ObjectId {
    ObjectId::new(namespace.unwrap_or(DEFAULT_NAMESPACE), name)
}
