//! What several texts hold together: one definition per name, references read from among them, and all that is wrong.
//!
//! Pure: the folder, `validate` and `probe` read files in their own ways and meet here.

use std::collections::{BTreeMap, btree_map::Entry};

use health_manifests::{FolderMaterials, HealthCheckManifest, IgnoredObject, Manifest, ParsedText, Place, Problem};
use health_model::{CheckDefinition, ObjectId, Reason};

/// What several texts hold together.
#[derive(Debug, Default)]
pub(crate) struct Collection {
    /// Every check that names itself, understood or not, ordered by name; of twins only the first.
    pub(crate) checks: Vec<CheckDefinition>,
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
    let Gathered { checks, materials, material_count, problems, ignored } = gathered;
    let mut collection = Collection { problems, ignored, materials: material_count, ..Collection::default() };
    for manifest in checks.into_values() {
        let definition = manifest.resolve(&materials);
        collection.missing.extend(unanswered(manifest, &definition));
        collection.checks.push(definition);
    }
    collection
}

#[derive(Default)]
struct Gathered<'a> {
    checks: BTreeMap<ObjectId, &'a HealthCheckManifest>,
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
                        &check.place,
                        &first.get().place,
                    ));
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

fn unanswered(manifest: &HealthCheckManifest, definition: &CheckDefinition) -> Option<Problem> {
    let problem = definition.spec.as_ref().err().filter(|problem| problem.reason == Reason::CredentialsUnavailable)?;
    Some(Problem {
        source: manifest.place.source.to_string(),
        line: (manifest.place.line > 0).then_some(manifest.place.line),
        object: Some(format!("HealthCheck {}", manifest.meta.id)),
        field: None,
        value: None,
        message: problem.message.clone(),
        remedy: "add it in the same namespace".to_owned(),
    })
}
