//! Match, on the side of rules: which there are, and one lane for each destination of each.

use std::collections::{BTreeMap, BTreeSet};

use health_model::{ChannelKind, CheckId, RuleDefinition, RuleId};
use jiff::Timestamp;

use super::Machine;
use crate::{destination::Destination, lane::LaneId, ledger::DestinationKey};

impl Machine {
    pub(super) fn set_rules(&mut self, definitions: Vec<RuleDefinition>) {
        let mut named = BTreeSet::new();
        for RuleDefinition { id, generation: _, uid: _, spec } in definitions {
            named.insert(id.clone());
            match spec {
                Ok(spec) => {
                    self.broken.remove(&id);
                    self.rules.insert(id, spec);
                }
                // The last good version of a rule goes on; one that never was good keeps what it had opened.
                Err(_) => {
                    self.broken.insert(id);
                }
            }
        }
        if self.synced {
            self.rules.retain(|id, _| named.contains(id));
            self.broken.retain(|id| named.contains(id));
        }
        self.by_namespace.clear();
        for id in self.rules.keys() {
            self.by_namespace.entry(id.namespace().into()).or_default().push(id.clone());
        }
    }

    /// Opens a lane for every destination of every rule and retires those that no rule has any more.
    pub(super) fn open_lanes(&mut self, now: Timestamp) {
        let mut wanted = BTreeMap::new();
        for (rule, spec) in &self.rules {
            for (key, destination) in Destination::of(spec) {
                wanted.insert(LaneId { rule: rule.clone(), destination: key }, destination);
            }
        }
        for (id, lane) in &mut self.lanes {
            let unknown = self.broken.contains(&id.rule) && !self.rules.contains_key(&id.rule);
            if !wanted.contains_key(id) && !unknown && self.synced {
                lane.retired.get_or_insert(now);
            }
        }
        for (id, destination) in wanted {
            let lane = self.lanes.entry(id).or_default();
            lane.retired = None;
            if lane.destination.as_ref().is_none_or(|before| !before.same_address(&destination)) {
                // It was mended, perhaps: try at once.
                lane.retry_at = None;
            }
            lane.destination = Some(destination);
        }
    }

    /// Looks at every check for every rule: after rules have changed, and once everything is known.
    pub(super) fn look_at_all(&mut self, now: Timestamp) {
        let ids: Vec<CheckId> = self.checks.keys().cloned().collect();
        let mut dirty = BTreeSet::new();
        for id in ids {
            self.look_at(&id, now, &mut dirty);
        }
    }

    pub(super) fn lanes_of(&self, rule: &RuleId) -> Vec<LaneId> {
        // The least of all keys: lanes are ordered by rule, then by destination.
        let first = DestinationKey { channel: ChannelKind::Slack, label: "".into() };
        let from = LaneId { rule: rule.clone(), destination: first };
        let mine = self.lanes.range(from..).take_while(|(id, _)| id.rule == *rule);
        mine.filter(|(_, lane)| lane.retired.is_none()).map(|(id, _)| id.clone()).collect()
    }
}
