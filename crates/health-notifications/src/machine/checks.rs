//! Match and hold: a check's turns, one by one, move its entry in every lane whose rule watches it.

use std::{collections::BTreeSet, sync::Arc};

use health_model::{CheckId, RuleSpec};
use jiff::Timestamp;

use super::Machine;
use crate::{
    certificate,
    input::Observation,
    lane::LaneId,
    ledger::{Entry, Phase},
    situation::{Situation, situation, watches},
    step::{Fate, Policy},
};

impl Machine {
    pub(super) fn observe(&mut self, observation: Observation, now: Timestamp, dirty: &mut BTreeSet<LaneId>) {
        let Observation { id, check, transitions } = observation;
        let Some(check) = check else {
            self.checks.remove(&id);
            self.turns.forget(&id);
            let holding = self.lanes.iter().filter(|(_, lane)| lane.entries.contains_key(&id));
            dirty.extend(holding.map(|(lane, _)| lane.clone()));
            return;
        };
        for transition in &transitions {
            self.turns.count(&id, transition, now);
            // Turns that came together are taken one by one, so that none is lost between two looks.
            self.checks.insert(id.clone(), Arc::new(check.as_of(transition)));
            self.look_at(&id, now, dirty);
        }
        self.checks.insert(id.clone(), check);
        self.look_at(&id, now, dirty);
    }

    /// Steps the entries of a check, and begins those that are missing, wherever a rule watches it.
    pub(super) fn look_at(&mut self, id: &CheckId, now: Timestamp, dirty: &mut BTreeSet<LaneId>) {
        let rules = self.by_namespace.get(id.namespace()).cloned().unwrap_or_default();
        for rule in rules {
            let Some(spec) = self.rules.get(&rule).map(Arc::clone) else { continue };
            let watched = self.checks.get(id).is_some_and(|check| watches(&spec, check));
            let situation = situation(&self.checks, &spec, id, self.synced, now);
            let range = self.lanes_of(&rule);
            for lane in range {
                let held = self.lanes.get(&lane).is_some_and(|lane| lane.entries.contains_key(id));
                if held || (watched && matches!(situation, Situation::Failing { .. })) {
                    let moved = self.step(&lane, id, &spec, (situation, now));
                    // A lane is looked at as a whole only when there may be something to say: thousands of checks that
                    // go on failing must not each cost a look at all the others.
                    if moved || self.lanes.get(&lane).is_some_and(|lane| lane.unknown > 0) {
                        dirty.insert(lane);
                    }
                }
            }
        }
    }

    /// Moves one entry; begins it when the check fails and there is none. Says whether anything about it has changed.
    pub(super) fn step(
        &mut self,
        lane_id: &LaneId,
        check: &CheckId,
        spec: &RuleSpec,
        (situation, now): (Situation, Timestamp),
    ) -> bool {
        let turns = self.turns.recent(check, now);
        let snapshot = self.checks.get(check).map(Arc::clone);
        let flapping = self.flapping;
        let Some(lane) = self.lanes.get_mut(lane_id) else { return false };
        let policy = Policy::of(lane, spec, check);
        let before = lane.entries.get(check).cloned();
        let mut entry = match (&before, situation) {
            (Some(entry), Situation::Failing { since, .. }) if entry.phase == Phase::Past => {
                Entry { certificate: entry.certificate.clone(), ..Entry::beginning(since) }
            }
            (Some(entry), _) => entry.clone(),
            (None, Situation::Failing { since, .. }) => Entry::beginning(since),
            (None, _) => return false,
        };
        if matches!(situation, Situation::Failing { .. }) {
            if let Some(snapshot) = &snapshot {
                entry.notice(snapshot);
            }
            certificate::silence_twin(lane, check, &mut entry, before.as_ref());
        }
        let mut fate = entry.step(situation, &policy, now);
        if fate == Fate::Kept && entry.turn_of_flapping(turns, flapping, now) {
            fate = entry.step(situation, &policy, now);
        }
        if before.is_none() && fate == Fate::Forgotten {
            return false;
        }
        entry.turns = if entry.flapping { self.turns.last(check) } else { Vec::new() };
        let after = (fate == Fate::Kept).then_some(entry);
        let moved = before != after;
        if moved {
            self.changes.keep(lane_id, check, after.clone());
        }
        match after {
            Some(entry) => lane.entries.insert(check.clone(), entry),
            None => lane.entries.remove(check),
        };
        moved
    }
}
