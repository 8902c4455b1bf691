//! The checks there are, each in a slot of its own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use health_model::{CheckDefinition, CheckId, CheckSpec, Probe, Standing};
use tokio::{task::JoinHandle, time::Instant};

use crate::{
    Tally,
    pauses::PauseMark,
    places::{HostKey, Place},
};

/// A check's place in the registry; used again after it is gone, so what points to one carries a number besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Slot(u32);

impl Slot {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

#[cfg(test)]
impl Slot {
    pub(crate) fn for_test(index: u32) -> Self {
        Self(index)
    }
}

/// A probe under way.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) number: u64,
    pub(crate) started: Instant,
    pub(crate) deadline: Instant,
    pub(crate) place: Place,
    pub(crate) pauses_before: PauseMark,
    pub(crate) task: JoinHandle<()>,
}

/// What a check is doing. It never does two things at once.
#[derive(Debug, Default)]
pub(crate) enum Activity {
    /// Nothing until it is due.
    #[default]
    Idle,
    /// It was due and waits for a place.
    Waiting { due: Instant, number: u64 },
    /// It is being asked.
    Flying(Flight),
    /// Its outcome waits for what the witnesses say.
    Held { number: u64 },
}

/// All that the engine knows of a check.
#[derive(Debug)]
pub(crate) struct Check {
    pub(crate) definition: Arc<CheckDefinition>,
    pub(crate) standing: Standing,
    pub(crate) tally: Tally,
    pub(crate) host: HostKey,
    pub(crate) activity: Activity,
    /// When it is due next, and the number of the timetable's entry that says so.
    pub(crate) due: Option<(Instant, u64)>,
    /// Its last probe hung.
    pub(crate) suspect: bool,
    /// Awake time since which nothing was heard.
    pub(crate) silent_since: Duration,
    /// Outcomes in a row that were set aside because our process was starved.
    pub(crate) starved: u32,
    /// A fault of the prober was logged and nothing good has come since.
    pub(crate) fault_logged: bool,
    /// Its run was put off after a pause of ours; it is not to be put off twice.
    pub(crate) respread: bool,
    /// How often a missing heartbeat was given more time since the last report.
    pub(crate) reprieves: u32,
}

impl Check {
    /// The spec, when it is one that is to be probed or reported to.
    pub(crate) fn active_spec(&self) -> Option<&Arc<CheckSpec>> {
        self.definition.spec.as_ref().ok().filter(|spec| !spec.suspend)
    }

    pub(crate) fn is_heartbeat(&self) -> bool {
        self.definition.spec.as_ref().is_ok_and(|spec| matches!(spec.probe, Probe::Heartbeat(_)))
    }

    /// The flight of this number, if it is still this check's.
    pub(crate) fn flight(&self, number: u64) -> Option<&Flight> {
        match &self.activity {
            Activity::Flying(flight) if flight.number == number => Some(flight),
            _ => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Registry {
    slots: Vec<Option<Box<Check>>>,
    vacant: Vec<Slot>,
    by_id: HashMap<CheckId, Slot>,
}

impl Registry {
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(crate) fn find(&self, id: &CheckId) -> Option<Slot> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn get(&self, slot: Slot) -> Option<&Check> {
        self.slots.get(slot.index())?.as_deref()
    }

    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut Check> {
        self.slots.get_mut(slot.index())?.as_deref_mut()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = &CheckId> {
        self.by_id.keys()
    }

    pub(crate) fn slots(&self) -> Vec<Slot> {
        self.by_id.values().copied().collect()
    }

    pub(crate) fn insert(&mut self, check: Check) -> Slot {
        let id = check.definition.meta.id.clone();
        let slot = self.vacant.pop().unwrap_or_else(|| {
            self.slots.push(None);
            Slot(u32::try_from(self.slots.len() - 1).unwrap_or(u32::MAX))
        });
        self.slots[slot.index()] = Some(Box::new(check));
        self.by_id.insert(id, slot);
        slot
    }

    pub(crate) fn remove(&mut self, slot: Slot) -> Option<Check> {
        let check = self.slots.get_mut(slot.index())?.take()?;
        self.by_id.remove(&check.definition.meta.id);
        self.vacant.push(slot);
        Some(*check)
    }
}
