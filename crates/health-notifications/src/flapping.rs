//! Flapping: how often a check has turned lately, and when only that is told instead of every turn. Pure.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use health_model::{CheckId, Transition, Verdict};
use jiff::Timestamp;

use crate::{
    ledger::{Entry, Phase},
    settings::Flapping,
    step::later,
};

/// Turns left in the window at which a flapping check is calm again.
const CALM: usize = 2;
/// Turns of one check that are remembered.
const MOST_TURNS: usize = 256;

/// The turns of every check within the window.
#[derive(Debug)]
pub(crate) struct Turns {
    window: Duration,
    of_checks: HashMap<CheckId, VecDeque<Timestamp>>,
}

impl Turns {
    /// None yet; those older than `window` do not count.
    pub(crate) fn new(window: Duration) -> Self {
        Self { window, of_checks: HashMap::new() }
    }

    /// One more. The first word of a check is no turn, unless it is bad news.
    pub(crate) fn count(&mut self, check: &CheckId, transition: &Transition, now: Timestamp) {
        if transition.from == Verdict::Unknown && transition.to != Verdict::Failing {
            return;
        }
        let turns = self.of_checks.entry(check.clone()).or_default();
        turns.push_back(transition.at.min(now));
        while turns.len() > MOST_TURNS {
            turns.pop_front();
        }
    }

    /// How many there were within the window.
    pub(crate) fn recent(&mut self, check: &CheckId, now: Timestamp) -> usize {
        let Some(turns) = self.of_checks.get_mut(check) else { return 0 };
        while turns.front().is_some_and(|turn| later(*turn, self.window) < now) {
            turns.pop_front();
        }
        let count = turns.len();
        if count == 0 {
            self.of_checks.remove(check);
        }
        count
    }

    /// Those that an entry kept over a restart.
    pub(crate) fn remember(&mut self, check: &CheckId, kept: &[Timestamp]) {
        if kept.len() > self.of_checks.get(check).map_or(0, VecDeque::len) {
            self.of_checks.insert(check.clone(), kept.iter().copied().collect());
        }
    }

    /// The last ones, oldest first: as many as decide whether it is calm.
    pub(crate) fn last(&self, check: &CheckId) -> Vec<Timestamp> {
        let turns = self.of_checks.get(check);
        turns.map_or_else(Vec::new, |turns| turns.iter().skip(turns.len().saturating_sub(CALM + 1)).copied().collect())
    }

    /// The check is gone.
    pub(crate) fn forget(&mut self, check: &CheckId) {
        self.of_checks.remove(check);
    }
}

impl Entry {
    /// Enters or leaves flapping by the number of turns in the window; says whether it left.
    pub(crate) fn turn_of_flapping(&mut self, turns: usize, flapping: Flapping, now: Timestamp) -> bool {
        let told_of = matches!(self.phase, Phase::Owed | Phase::Told) && !self.silent && !self.unwatched;
        if !self.flapping && told_of && turns >= flapping.turns {
            self.flapping = true;
            self.flapping_told = false;
            self.ended = None;
            self.attempt = None;
            self.owed_at = Some(now);
            return false;
        }
        if self.flapping && turns <= CALM {
            self.flapping = false;
            self.flapping_told = false;
            self.owed_at = (self.phase == Phase::Owed).then_some(now);
            return true;
        }
        false
    }
}
