//! From watches to the engine: objects become definitions, references are read, and each change is passed on once.
//!
//! Nothing is removed or judged before the first complete list; a dead API server changes nothing that is known.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use health_manifests::{Reference, refuse_cycles, status::NotificationRuleStatus};
use health_model::{CheckDefinition, CheckId, RuleDefinition, RuleId, Standing};
use health_runner::EngineHandle;
use kube::runtime::watcher::Event;
use tokio::sync::{mpsc, watch};

use super::{
    catalogue::{Catalogue, Key, Understood},
    materials::Reader,
    metrics::ClusterMetrics,
    watch::{Heard, Kind, Scope},
};
use crate::notifying::Rules;

/// How long changes are gathered before they are passed on together.
const GATHER: Duration = Duration::from_millis(20);
/// Most changes gathered at once.
const MOST_GATHERED: usize = 4096;

/// How far the source has come, for readiness and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SourceState {
    /// Whether every list was complete at least once.
    pub(crate) synced: bool,
    /// What is wrong between us and the API server, if anything; probing goes on regardless.
    pub(crate) trouble: Option<String>,
}

/// What the statuses of rules said when the rules were first listed; `None` before.
pub(super) type Statuses = Option<Arc<BTreeMap<RuleId, NotificationRuleStatus>>>;

/// The task that follows the watches.
pub(super) struct Source {
    pub(super) engine: EngineHandle,
    pub(super) rules: watch::Sender<Rules>,
    pub(super) statuses: watch::Sender<Statuses>,
    pub(super) reader: Reader,
    pub(super) heard: mpsc::Receiver<(Scope, Heard)>,
    pub(super) state: watch::Sender<SourceState>,
    pub(super) metrics: ClusterMetrics,
    pub(super) progress: Progress,
}

/// What the source remembers between events.
pub(super) struct Progress {
    catalogue: Catalogue,
    /// Changed, but not passed on yet.
    dirty: HashSet<Key>,
    /// What each check is on its own, circles of dependencies not considered.
    resolved: BTreeMap<CheckId, CheckDefinition>,
    /// What the engine was last told.
    told: HashMap<CheckId, CheckDefinition>,
    rules: HashMap<RuleId, RuleDefinition>,
    troubled: HashMap<Scope, String>,
    /// Whether the engine was told the first complete list.
    started: bool,
    rules_started: bool,
}

impl Progress {
    pub(super) fn new(scopes: &[Scope]) -> Self {
        Self {
            catalogue: Catalogue::new(scopes),
            dirty: HashSet::new(),
            resolved: BTreeMap::new(),
            told: HashMap::new(),
            rules: HashMap::new(),
            troubled: HashMap::new(),
            started: false,
            rules_started: false,
        }
    }
}

impl Source {
    /// Follows for ever.
    pub(super) async fn run(mut self) {
        loop {
            tokio::select! {
                heard = self.heard.recv() => match heard {
                    Some((scope, heard)) => {
                        self.hear(scope, heard);
                        self.gather().await;
                    }
                    None => return,
                },
                Some(reference) = self.reader.changed() => self.mark_dependants(&reference),
            }
            self.pass_on().await;
        }
    }

    /// Takes in what comes within a moment, so that a list of thousands is passed on in a few steps.
    async fn gather(&mut self) {
        let deadline = tokio::time::Instant::now() + GATHER;
        for _ in 0..MOST_GATHERED {
            match tokio::time::timeout_at(deadline, self.heard.recv()).await {
                Ok(Some((scope, heard))) => self.hear(scope, heard),
                Ok(None) | Err(_) => return,
            }
        }
    }

    fn hear(&mut self, scope: Scope, heard: Heard) {
        match heard {
            Heard::Event(event) => {
                if !matches!(*event, Event::Init) {
                    self.progress.troubled.remove(&scope);
                }
                self.progress.catalogue.hear(&scope, *event, &mut self.progress.dirty);
            }
            Heard::Trouble(trouble) => {
                if self.progress.troubled.get(&scope) != Some(&trouble) {
                    tracing::warn!(kind = ?scope.kind, namespace = scope.namespace.as_deref(), "{trouble}");
                }
                self.progress.troubled.insert(scope, trouble);
            }
        }
    }

    fn mark_dependants(&mut self, reference: &Reference) {
        for kind in Kind::ALL {
            let dependants = self.progress.catalogue.of_kind(kind);
            let dependants = dependants.filter(|(_, understood)| understood.references().contains(reference));
            self.progress.dirty.extend(dependants.map(|(key, _)| key.clone()));
        }
    }

    async fn pass_on(&mut self) {
        self.metrics.objects(self.progress.catalogue.len());
        self.want_references();
        if self.may_pass_on(Kind::HealthCheck, self.progress.started) {
            self.pass_checks_on().await;
        }
        if self.may_pass_on(Kind::NotificationRule, self.progress.rules_started) {
            self.pass_rules_on();
        }
        self.state.send_if_modified(|state| {
            let now = SourceState {
                synced: self.progress.started && self.progress.rules_started,
                trouble: self.progress.troubled.values().min().cloned(),
            };
            let differs = *state != now;
            *state = now;
            differs
        });
    }

    /// The first list is passed on whole: an object whose references are still being read must not be missing from it,
    /// or it would be taken for deleted and what was told of it for closed.
    fn may_pass_on(&self, kind: Kind, started: bool) -> bool {
        let catalogue = &self.progress.catalogue;
        catalogue.complete(kind) && (started || catalogue.of_kind(kind).all(|(_, object)| self.settled(object)))
    }

    fn want_references(&self) {
        let all = Kind::ALL.into_iter().flat_map(|kind| self.progress.catalogue.of_kind(kind));
        let wanted: BTreeSet<_> = all.flat_map(|(_, understood)| understood.references().iter().cloned()).collect();
        self.reader.want(wanted);
    }

    /// Whether every reference of an object has been read, well or not.
    fn settled(&self, understood: &Understood) -> bool {
        understood.references().iter().all(|reference| self.reader.materials.settled(reference))
    }

    async fn pass_checks_on(&mut self) {
        let fresh = self.resolve_dirty().await;
        // Before the first list has been passed on, even an empty one is news.
        if fresh.is_empty() && self.progress.started {
            return;
        }
        let resolved = &self.progress.resolved;
        let depends =
            |definition: &CheckDefinition| definition.spec.as_ref().is_ok_and(|spec| !spec.depends_on.is_empty());
        let definitions: Vec<CheckDefinition> = if resolved.values().any(depends) {
            // A circle concerns checks that did not change themselves.
            let mut all: Vec<CheckDefinition> = resolved.values().cloned().collect();
            refuse_cycles(&mut all);
            all
        } else {
            fresh.iter().filter_map(|id| resolved.get(id).cloned()).collect()
        };
        self.tell_engine(definitions).await;
    }

    /// Resolves what changed and says which; what is gone is removed from the engine. What waits for a reference to be
    /// read stays dirty.
    async fn resolve_dirty(&mut self) -> HashSet<CheckId> {
        let mut fresh = HashSet::new();
        for key in self.dirty(Kind::HealthCheck) {
            let (_, id) = &key;
            match self.progress.catalogue.get(&key) {
                None => {
                    self.progress.resolved.remove(id);
                    if self.progress.told.remove(id).is_some() {
                        self.engine.remove(id.clone()).await;
                    }
                    fresh.insert(id.clone());
                }
                Some(understood @ Understood::Check(check, _)) if self.settled(understood) => {
                    let definition = check.resolve(&self.reader.materials);
                    self.progress.resolved.insert(id.clone(), definition);
                    fresh.insert(id.clone());
                }
                Some(_) => continue,
            }
            self.progress.dirty.remove(&key);
        }
        fresh
    }

    fn dirty(&self, kind: Kind) -> Vec<Key> {
        self.progress.dirty.iter().filter(|(of, _)| *of == kind).cloned().collect()
    }

    async fn tell_engine(&mut self, definitions: Vec<CheckDefinition>) {
        let mut remembered = HashMap::new();
        let mut news = Vec::new();
        for definition in definitions {
            let id = definition.meta.id.clone();
            if self.progress.told.get(&id) == Some(&definition) {
                continue;
            }
            if let Some(standing) = self.standing_of(&id) {
                remembered.insert(id.clone(), standing);
            }
            self.progress.told.insert(id, definition.clone());
            news.push(definition);
        }
        if !remembered.is_empty() {
            self.engine.remember(remembered).await;
        }
        if self.progress.started {
            for definition in news {
                self.engine.apply(definition).await;
            }
        } else {
            self.progress.started = true;
            tracing::info!(checks = news.len(), "the first complete list is here");
            self.engine.replace_all(news).await;
        }
    }

    /// What the object's status said when it was first seen; only for checks that the engine has not met.
    fn standing_of(&self, id: &CheckId) -> Option<Standing> {
        if self.progress.told.contains_key(id) {
            return None;
        }
        match self.progress.catalogue.get(&(Kind::HealthCheck, id.clone()))? {
            Understood::Check(_, standing) => standing.as_deref().cloned(),
            Understood::Rule(..) => None,
        }
    }

    fn pass_rules_on(&mut self) {
        let mut changed = !self.progress.rules_started;
        for key in self.dirty(Kind::NotificationRule) {
            let (_, id) = &key;
            match self.progress.catalogue.get(&key) {
                None => changed |= self.progress.rules.remove(id).is_some(),
                Some(understood @ Understood::Rule(rule, _)) if self.settled(understood) => {
                    let definition = rule.resolve(&self.reader.materials);
                    changed |= self.progress.rules.get(id) != Some(&definition);
                    self.progress.rules.insert(id.clone(), definition);
                }
                Some(_) => continue,
            }
            self.progress.dirty.remove(&key);
        }
        if changed {
            self.progress.rules_started = true;
            let mut rules: Vec<RuleDefinition> = self.progress.rules.values().cloned().collect();
            rules.sort_by(|a, b| a.id.cmp(&b.id));
            self.keep_statuses();
            self.rules.send_replace(Some(rules));
        }
    }

    /// Keeps what the statuses of rules said at first: afterwards we are the ones who write them.
    fn keep_statuses(&self) {
        self.statuses.send_if_modified(|statuses| {
            if statuses.is_some() {
                return false;
            }
            let of_rule = |(key, understood): (&Key, &Understood)| match understood {
                Understood::Rule(_, status) => Some((key.1.clone(), status.as_deref()?.clone())),
                Understood::Check(..) => None,
            };
            let all = self.progress.catalogue.of_kind(Kind::NotificationRule).filter_map(of_rule).collect();
            *statuses = Some(Arc::new(all));
            true
        });
    }
}
