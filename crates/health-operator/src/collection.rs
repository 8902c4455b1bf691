//! What several texts hold together: one definition per name, references read from among them, and all that is wrong.
//!
//! Pure: the folder, `validate` and `probe` read files in their own ways and meet here.

use std::collections::{BTreeMap, btree_map::Entry};

use health_manifests::{
    FolderMaterials, HealthCheckManifest, IgnoredObject, Manifest, NotificationRuleManifest, ParsedText, Place,
    Problem, refuse_cycles,
};
use health_model::{CheckDefinition, ObjectId, Reason, RuleDefinition, SpecProblem};

/// What several texts hold together.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    /// Every check that names itself, understood or not, ordered by name; of twins only the first.
    pub(crate) checks: Vec<CheckDefinition>,
    /// Every rule that names itself, understood or not, ordered by name; of twins only the first.
    pub(crate) rules: Vec<RuleDefinition>,
    /// What is wrong: documents, and what only shows when they are seen together.
    pub(crate) problems: Vec<Problem>,
    /// References that nothing here answers.
    pub(crate) missing: Vec<Problem>,
    /// Objects of other kinds.
    pub(crate) ignored: Vec<IgnoredObject>,
    /// Secrets and ConfigMaps.
    pub(crate) materials: usize,
}

/// Puts together what the texts hold, in their order.
pub(crate) fn collect<'a>(texts: impl Iterator<Item = &'a ParsedText>) -> Collection {
    let mut gathered = Gathered::default();
    for text in texts {
        gathered.problems.extend(text.problems.iter().cloned());
        text.manifests.iter().for_each(|manifest| gathered.take(manifest));
    }
    let Gathered { checks, rules, materials, material_count, problems, ignored } = gathered;
    let mut collection = Collection { problems, ignored, materials: material_count, ..Collection::default() };
    let places: BTreeMap<ObjectId, &Place> =
        checks.iter().map(|(id, manifest)| (id.clone(), manifest.place())).collect();
    for manifest in checks.into_values() {
        let definition = manifest.resolve(&materials);
        let object = format!("HealthCheck {}", manifest.meta.id);
        collection.missing.extend(unanswered(object, manifest.place(), definition.spec.as_ref().err()));
        collection.checks.push(definition);
    }
    for manifest in rules.into_values() {
        let definition = manifest.resolve(&materials);
        let object = format!("NotificationRule {}", manifest.id);
        collection.missing.extend(unanswered(object, manifest.place(), definition.spec.as_ref().err()));
        collection.rules.push(definition);
    }
    for id in refuse_cycles(&mut collection.checks) {
        if let Some(place) = places.get(&id) {
            collection.problems.push(in_a_circle(&id, place));
        }
    }
    collection
}

#[derive(Default)]
struct Gathered<'a> {
    checks: BTreeMap<ObjectId, &'a HealthCheckManifest>,
    rules: BTreeMap<ObjectId, &'a NotificationRuleManifest>,
    materials: FolderMaterials,
    material_count: usize,
    problems: Vec<Problem>,
    ignored: Vec<IgnoredObject>,
}

impl<'a> Gathered<'a> {
    fn take(&mut self, manifest: &'a Manifest) {
        match manifest {
            Manifest::HealthCheck(check) => match self.checks.entry(check.meta.id.clone()) {
                Entry::Vacant(place) => {
                    place.insert(check);
                }
                Entry::Occupied(first) => {
                    self.problems.push(twin(
                        &format!("HealthCheck {}", check.meta.id),
                        check.place(),
                        first.get().place(),
                    ));
                }
            },
            Manifest::NotificationRule(rule) => match self.rules.entry(rule.id.clone()) {
                Entry::Vacant(place) => {
                    place.insert(rule);
                }
                Entry::Occupied(first) => {
                    let object = format!("NotificationRule {}", rule.id);
                    self.problems.push(twin(&object, rule.place(), first.get().place()));
                }
            },
            Manifest::Material(material) => {
                self.material_count += 1;
                self.materials.add(material);
            }
            Manifest::Ignored(object) => self.ignored.push(object.clone()),
        }
    }
}

fn twin(object: &str, second: &Place, first: &Place) -> Problem {
    Problem {
        source: second.source.to_string(),
        line: (second.line > 0).then_some(second.line),
        object: Some(object.to_owned()),
        field: Some("metadata.name".to_owned()),
        value: None,
        message: format!("is declared already in {}:{}", first.source, first.line),
        remedy: "this one is passed over: rename it, remove it, or give it another namespace".to_owned(),
    }
}

fn unanswered(object: String, place: &Place, problem: Option<&SpecProblem>) -> Option<Problem> {
    let problem = problem.filter(|problem| problem.reason == Reason::CredentialsUnavailable)?;
    Some(Problem {
        source: place.source.to_string(),
        line: (place.line > 0).then_some(place.line),
        object: Some(object),
        field: None,
        value: None,
        message: problem.message.clone(),
        remedy: "add it in the same namespace".to_owned(),
    })
}

fn in_a_circle(id: &ObjectId, place: &Place) -> Problem {
    Problem {
        source: place.source.to_string(),
        line: (place.line > 0).then_some(place.line),
        object: Some(format!("HealthCheck {id}")),
        field: Some("spec.dependsOn".to_owned()),
        value: None,
        message: "is part of a circle".to_owned(),
        remedy: "remove one of its links".to_owned(),
    }
}
