//! The objects of the cluster as the watches tell them: complete lists replace, changes amend, and what is unchanged
//! is noticed. Pure; no client inside.
//!
//! Our own status writes come back as changes that change nothing here.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use health_manifests::{
    HealthCheckManifest, Manifest, NotificationRuleManifest, Reference, from_object,
    status::{HealthCheckStatus, NotificationRuleStatus},
};
use health_model::{ObjectId, Standing};
use kube::{ResourceExt, api::DynamicObject, runtime::watcher::Event};

use serde::Deserialize;

use super::watch::{Kind, Scope};

/// What identifies a version of an object as far as we act on it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Version {
    uid: Option<String>,
    generation: Option<i64>,
    labels: BTreeMap<String, String>,
}

impl Version {
    fn of(object: &DynamicObject) -> Self {
        Self { uid: object.uid(), generation: object.metadata.generation, labels: object.labels().clone() }
    }
}

/// An object as understood.
#[derive(Debug)]
pub(super) enum Understood {
    /// A HealthCheck, with what its status last said.
    Check(Box<HealthCheckManifest>, Option<Box<Standing>>),
    /// A NotificationRule, with what its status last said.
    Rule(Box<NotificationRuleManifest>, Option<Box<NotificationRuleStatus>>),
}

impl Understood {
    /// The Secrets and ConfigMaps it refers to.
    pub(super) fn references(&self) -> &BTreeSet<Reference> {
        match self {
            Self::Check(check, _) => check.references(),
            Self::Rule(rule, _) => rule.references(),
        }
    }
}

#[derive(Debug)]
struct Entry {
    version: Version,
    understood: Understood,
}

/// Kind, namespace and name.
pub(super) type Key = (Kind, ObjectId);

/// Everything the watches have told.
#[derive(Debug)]
pub(super) struct Catalogue {
    entries: HashMap<Key, Entry>,
    lists: HashMap<Scope, Listing>,
}

/// How far the list of a scope has come.
#[derive(Debug, Default)]
struct Listing {
    complete: bool,
    arriving: Option<HashSet<Key>>,
}

impl Catalogue {
    /// Knows nothing yet; it is complete once each of these scopes was listed.
    pub(super) fn new(scopes: &[Scope]) -> Self {
        Self {
            entries: HashMap::new(),
            lists: scopes.iter().map(|scope| (scope.clone(), Listing::default())).collect(),
        }
    }

    /// Whether every scope of a kind was listed completely at least once.
    pub(super) fn complete(&self, kind: Kind) -> bool {
        self.lists.iter().filter(|(scope, _)| scope.kind == kind).all(|(_, listing)| listing.complete)
    }

    /// How many objects are known.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// An object.
    pub(super) fn get(&self, key: &Key) -> Option<&Understood> {
        self.entries.get(key).map(|entry| &entry.understood)
    }

    /// Every object of a kind, in no order.
    pub(super) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = (&Key, &Understood)> {
        self.entries.iter().filter(move |((of, _), _)| *of == kind).map(|(key, entry)| (key, &entry.understood))
    }

    /// Takes in what a watch told and adds the keys of whatever is different now to `changed`.
    pub(super) fn hear(&mut self, scope: &Scope, event: Event<DynamicObject>, changed: &mut HashSet<Key>) {
        match event {
            Event::Init => self.listing(scope).arriving = Some(HashSet::new()),
            Event::InitApply(object) => {
                let key = key(scope.kind, &object);
                if let Some(arriving) = &mut self.listing(scope).arriving {
                    arriving.insert(key.clone());
                }
                self.apply(key, &object, changed);
            }
            Event::InitDone => self.finish_list(scope, changed),
            Event::Apply(object) => self.apply(key(scope.kind, &object), &object, changed),
            Event::Delete(object) => self.remove(key(scope.kind, &object), changed),
        }
    }

    fn listing(&mut self, scope: &Scope) -> &mut Listing {
        self.lists.entry(scope.clone()).or_default()
    }

    /// What is of this scope and was not in the list is gone.
    fn finish_list(&mut self, scope: &Scope, changed: &mut HashSet<Key>) {
        let listing = self.listing(scope);
        listing.complete = true;
        let Some(arrived) = listing.arriving.take() else { return };
        let in_scope = |(kind, id): &Key| {
            *kind == scope.kind && scope.namespace.as_deref().is_none_or(|namespace| namespace == id.namespace())
        };
        let gone: Vec<Key> =
            self.entries.keys().filter(|key| in_scope(key) && !arrived.contains(*key)).cloned().collect();
        gone.into_iter().for_each(|key| self.remove(key, changed));
    }

    fn apply(&mut self, key: Key, object: &DynamicObject, changed: &mut HashSet<Key>) {
        let version = Version::of(object);
        if self.entries.get(&key).is_some_and(|entry| entry.version == version) {
            return;
        }
        match understand(object) {
            Some(understood) => {
                self.entries.insert(key.clone(), Entry { version, understood });
                changed.insert(key);
            }
            None => self.remove(key, changed),
        }
    }

    fn remove(&mut self, key: Key, changed: &mut HashSet<Key>) {
        if self.entries.remove(&key).is_some() {
            changed.insert(key);
        }
    }
}

fn key(kind: Kind, object: &DynamicObject) -> Key {
    (kind, ObjectId::new(object.namespace().unwrap_or_default(), object.name_any()))
}

/// Reads an object; every problem it has is inside what comes back, or it cannot even be named and is none of ours.
fn understand(object: &DynamicObject) -> Option<Understood> {
    let value = serde_json::to_value(object).ok()?;
    let status = value.get("status");
    from_object(&value).manifests.into_iter().find_map(|manifest| match manifest {
        Manifest::HealthCheck(check) => Some(Understood::Check(check, status.and_then(standing).map(Box::new))),
        Manifest::NotificationRule(rule) => {
            let status = status.and_then(|status| NotificationRuleStatus::deserialize(status).ok());
            Some(Understood::Rule(rule, status.map(Box::new)))
        }
        Manifest::Material(_) | Manifest::Ignored(_) => None,
    })
}

/// What the status last said; a status that somebody else broke says nothing.
fn standing(status: &serde_json::Value) -> Option<Standing> {
    HealthCheckStatus::deserialize(status).ok()?.to_standing()
}
