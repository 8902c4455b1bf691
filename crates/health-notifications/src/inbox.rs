//! What has been said to the pipeline and not been taken in yet: level-triggered, one slot per check, never blocking.

use std::sync::{Mutex, PoisonError};

use health_model::{CheckId, RuleDefinition};
use indexmap::IndexMap;
use tokio::sync::Notify;

use crate::{input::Observation, machine::Input};

/// Turns of one check that are kept until they are taken in. Beyond, a pair in the middle goes: what is left still
/// alternates, and the first and the last are kept.
const MOST_TURNS: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    waiting: Mutex<Waiting>,
    pub(crate) filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    rules: Option<Vec<RuleDefinition>>,
    observations: IndexMap<CheckId, Observation>,
    synced: bool,
}

impl Inbox {
    pub(crate) fn observe(&self, observation: Observation) {
        self.with(|waiting| match waiting.observations.get_mut(&observation.id) {
            None => {
                waiting.observations.insert(observation.id.clone(), observation);
            }
            Some(before) => {
                before.check = observation.check;
                before.transitions.extend(observation.transitions);
                while before.transitions.len() > MOST_TURNS {
                    before.transitions.drain(1..3);
                }
            }
        });
    }

    pub(crate) fn set_rules(&self, rules: Vec<RuleDefinition>) {
        self.with(|waiting| waiting.rules = Some(rules));
    }

    pub(crate) fn synced(&self) {
        self.with(|waiting| waiting.synced = true);
    }

    fn with(&self, change: impl FnOnce(&mut Waiting)) {
        change(&mut self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        self.filled.notify_one();
    }

    /// Everything that waits, or `None`.
    pub(crate) fn take(&self) -> Option<Input> {
        let Waiting { rules, observations, synced } =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let anything = rules.is_some() || !observations.is_empty() || synced;
        anything.then(|| Input { rules, observations: observations.into_values().collect(), synced })
    }
}
