//! Documents as manifests: what object it is, what it says, what is wrong with it.
//!
//! One path serves the folder, the command line and the cluster: a tree is compared with the CRD's schema, then read
//! into the resource's type, then converted. Nothing here opens a file or a connection.

use std::{collections::BTreeSet, fmt, sync::Arc};

use health_model::{CheckDefinition, CheckMeta, ObjectId, Reason, RuleDefinition, RuleId, SpecProblem};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps;
use serde_json::Value;

use crate::{
    convert::{Conversion, check::outline, duration},
    material::{MaterialManifest, Materials, Reference},
    metadata::{self, Metadata},
    path::FieldPath,
    problem::{Fault, Problem, one_line},
    resource::{health_check::HealthCheckSpec, notification_rule::NotificationRuleSpec, value::NumberOrText},
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
    /// A NotificationRule, valid or not.
    NotificationRule(Box<NotificationRuleManifest>),
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

/// What both of our resources have in common.
#[derive(Clone)]
struct Written<S> {
    place: Place,
    object: String,
    spec: Option<Arc<S>>,
    problems: Vec<Problem>,
    references: BTreeSet<Reference>,
    lines: Arc<Lines>,
}

/// The tree of a document, kept to find lines; never shown.
struct Lines(Option<Node>);

/// Why a spec cannot be used: the reason, and one line.
type Refusal = (Reason, String);

impl<S> Written<S> {
    /// Converts the spec with every reference read.
    fn convert<T>(
        &self,
        namespace: &str,
        materials: &dyn Materials,
        convert: impl FnOnce(&mut Conversion<'_>, &S) -> Option<T>,
    ) -> Result<Arc<T>, Refusal> {
        if let Some(problem) = self.problems.first() {
            return Err((Reason::InvalidConfiguration, problem.sentence()));
        }
        let fallback = || (Reason::InvalidConfiguration, "spec: cannot be understood; mend it".to_owned());
        let spec = self.spec.as_ref().ok_or_else(fallback)?;
        let mut conversion = Conversion::new(namespace, Some(materials));
        let converted = convert(&mut conversion, spec);
        if let Some(fault) = conversion.faults.into_iter().next() {
            let problem = located(fault, &self.place, self.lines.0.as_ref(), Some(self.object.clone()));
            return Err((Reason::InvalidConfiguration, problem.sentence()));
        }
        if let Some(line) = conversion.unavailable.into_iter().next() {
            return Err((Reason::CredentialsUnavailable, line));
        }
        converted.map(Arc::new).ok_or_else(fallback)
    }
}

/// A HealthCheck as it was written.
#[derive(Clone)]
pub struct HealthCheckManifest {
    /// What is known of the object.
    pub meta: CheckMeta,
    written: Written<HealthCheckSpec>,
}

impl fmt::Debug for HealthCheckManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} problems)", self.written.object, self.written.problems.len())
    }
}

impl HealthCheckManifest {
    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.written.place
    }

    /// What is wrong with it, whatever Secrets and ConfigMaps hold.
    pub fn problems(&self) -> &[Problem] {
        &self.written.problems
    }

    /// The Secrets and ConfigMaps it needs.
    pub fn references(&self) -> &BTreeSet<Reference> {
        &self.written.references
    }

    /// The definition, with every reference read. An invalid manifest is `InvalidConfiguration`, an unreadable
    /// reference `CredentialsUnavailable`.
    pub fn resolve(&self, materials: &dyn Materials) -> CheckDefinition {
        let id = &self.meta.id;
        let converted =
            self.written.convert(id.namespace(), materials, |conversion, spec| conversion.check(id.name(), spec));
        CheckDefinition { meta: self.meta.clone(), spec: converted.map_err(|refusal| self.problem(refusal)) }
    }

    fn problem(&self, (reason, message): Refusal) -> SpecProblem {
        let spec = self.written.spec.as_deref();
        let (target, kind) = spec.map(outline).unwrap_or_default();
        let interval = spec.and_then(|spec| match &spec.test_interval {
            NumberOrText::Number(seconds) => u64::try_from(*seconds).ok().map(std::time::Duration::from_secs),
            NumberOrText::Text(text) => duration::parse(text),
        });
        SpecProblem { reason, message, target, kind, interval }
    }
}

/// A NotificationRule as it was written.
#[derive(Clone)]
pub struct NotificationRuleManifest {
    /// Namespace and name.
    pub id: RuleId,
    generation: i64,
    uid: Option<Arc<str>>,
    written: Written<NotificationRuleSpec>,
}

impl fmt::Debug for NotificationRuleManifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} problems)", self.written.object, self.written.problems.len())
    }
}

impl NotificationRuleManifest {
    /// Where it stands.
    pub fn place(&self) -> &Place {
        &self.written.place
    }

    /// What is wrong with it, whatever Secrets and ConfigMaps hold.
    pub fn problems(&self) -> &[Problem] {
        &self.written.problems
    }

    /// The Secrets and ConfigMaps it needs.
    pub fn references(&self) -> &BTreeSet<Reference> {
        &self.written.references
    }

    /// The rule, with every reference read; refusals are those of [`HealthCheckManifest::resolve`].
    pub fn resolve(&self, materials: &dyn Materials) -> RuleDefinition {
        let converted = self.written.convert(self.id.namespace(), materials, |conversion, spec| conversion.rule(spec));
        let problem = |(reason, message)| SpecProblem { reason, message, target: None, kind: None, interval: None };
        let spec = converted.map_err(problem);
        RuleDefinition { id: self.id.clone(), generation: self.generation, uid: self.uid.clone(), spec }
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
            ("v1", "List") | (_, "HealthCheckList" | "NotificationRuleList") if depth < MAX_LIST_DEPTH => {
                self.add_list(source, node, depth);
            }
            ("v1", "Secret" | "ConfigMap") => self.add_material(place, &node, &kind),
            (_, "HealthCheck" | "NotificationRule") if ours(&api_version) => {
                self.add_resource(place, node, &api_version, &kind);
            }
            _ if kind.is_empty() => {
                let fault = Fault::new("kind", "is missing", "write kind: HealthCheck (and apiVersion)");
                self.problems.push(located(fault, &place, Some(&node), None));
            }
            _ if api_version.split('/').next() == Some(GROUP) => {
                let remedy = structure::unknown_remedy(&kind, &["HealthCheck", "NotificationRule"]);
                let fault = Fault::new("kind", "is no known kind", remedy).showing(format_args!("{kind:?}"));
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
        let manifest =
            metadata.and_then(|metadata| metadata::material(node, kind, (metadata.id, place.clone()), &mut faults));
        let object = manifest.as_ref().map(|manifest| format!("{kind} {}", manifest.id));
        self.problems.extend(faults.into_iter().map(|fault| located(fault, &place, Some(node), object.clone())));
        self.manifests.extend(manifest.map(Manifest::Material));
    }

    fn add_resource(&mut self, place: Place, node: Node, api_version: &str, kind: &str) {
        let mut faults = Vec::new();
        let metadata = metadata::read(&node, &mut faults);
        check_version(api_version, &mut faults);
        let Some(Metadata { id, labels, created, generation, uid }) = metadata else {
            self.problems.extend(faults.into_iter().map(|fault| located(fault, &place, Some(&node), None)));
            return;
        };
        let document = Unread { place, node, faults, object: format!("{kind} {id}"), namespace: id.namespace() };
        if kind == "HealthCheck" {
            let written = self
                .read(document, schema::health_check(), |conversion, spec| conversion.check(id.name(), spec).is_some());
            let meta = CheckMeta { id, labels, created, generation, uid };
            self.manifests.push(Manifest::HealthCheck(Box::new(HealthCheckManifest { meta, written })));
        } else {
            let written =
                self.read(document, schema::notification_rule(), |conversion, spec| conversion.rule(spec).is_some());
            let manifest = NotificationRuleManifest { id, generation, uid, written };
            self.manifests.push(Manifest::NotificationRule(Box::new(manifest)));
        }
    }

    /// Compares a document with its schema and tries the conversion, so that every problem is known at once.
    fn read<S: serde::de::DeserializeOwned>(
        &mut self,
        document: Unread<'_>,
        schema: &JSONSchemaProps,
        convert: impl FnOnce(&mut Conversion<'_>, &S) -> bool,
    ) -> Written<S> {
        let Unread { place, node, mut faults, object, namespace } = document;
        let spec: Option<S> = structured(&node, schema, &mut faults);
        let mut conversion = Conversion::new(namespace, None);
        if let Some(spec) = spec.as_ref().filter(|_| faults.is_empty()) {
            let understood = convert(&mut conversion, spec);
            if !understood && conversion.faults.is_empty() {
                conversion.fault("spec", "cannot be understood", "compare it with the field reference");
            }
            faults.append(&mut conversion.faults);
        }
        let references = conversion.references;
        let located = |fault| located(fault, &place, Some(&node), Some(object.clone()));
        let problems: Vec<Problem> = faults.into_iter().map(located).collect();
        self.problems.extend(problems.iter().cloned());
        let lines = Arc::new(Lines((place.line > 0 && !references.is_empty()).then_some(node)));
        Written { place, object, spec: spec.map(Arc::new), problems, references, lines }
    }
}

/// A document of ours whose spec has not been read yet.
struct Unread<'a> {
    place: Place,
    node: Node,
    faults: Vec<Fault>,
    object: String,
    namespace: &'a str,
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
    schema: &JSONSchemaProps,
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
    let (message, remedy) = (one_line(&message), one_line(&remedy));
    let line = node.and_then(|node| node.line_of(&field)).or((place.line > 0).then_some(place.line));
    let field = Some(one_line(&field)).filter(|field| !field.is_empty());
    Problem { source: place.source.to_string(), line, object, field, value, message, remedy }
}

/// The identity of an object from its namespace and name.
pub(crate) fn object_id(namespace: Option<&str>, name: &str) -> ObjectId {
    ObjectId::new(namespace.unwrap_or(DEFAULT_NAMESPACE), name)
}
