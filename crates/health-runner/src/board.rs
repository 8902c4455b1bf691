//! What is known: one row per check, written by the engine alone, read by everybody.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use health_model::{CheckId, Transition};
use indexmap::IndexMap;

use crate::{Change, Pulse, Row, Subscription, awake::AwakeClock, registry::Slot, subscription::Mailbox};

/// Awake time without a look at the timetable after which the schedule stands still.
const LONGEST_SILENCE: Duration = Duration::from_secs(5);

/// The latest state of every check. Reading never waits for a probe, and no reader can hold the engine up for longer
/// than it takes to copy the rows' pointers.
#[derive(Debug)]
pub struct Board {
    state: Mutex<State>,
    clock: Arc<AwakeClock>,
}

#[derive(Debug, Default)]
struct State {
    /// Where each check's row is, in the order in which rows are read.
    order: BTreeMap<CheckId, Slot>,
    /// By slot: the engine writes a row for every probe, and must not have to search for its place.
    rows: Vec<Option<Arc<Row>>>,
    revision: u64,
    definitions_revision: u64,
    readers: Vec<Weak<Mailbox>>,
    pulse: Pulse,
    ticked: Duration,
    probed: Option<Duration>,
}

impl State {
    fn all(&self) -> Vec<Arc<Row>> {
        self.order.values().filter_map(|slot| self.rows.get(slot.index())?.clone()).collect()
    }

    fn get(&self, id: &CheckId) -> Option<Arc<Row>> {
        self.rows.get(self.order.get(id)?.index())?.clone()
    }
}

impl Board {
    pub(crate) fn new(clock: Arc<AwakeClock>) -> Self {
        Self { state: Mutex::default(), clock }
    }

    pub(crate) fn clock(&self) -> &Arc<AwakeClock> {
        &self.clock
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every row, ordered by [`CheckId`].
    pub fn rows(&self) -> Vec<Arc<Row>> {
        self.lock().all()
    }

    /// One check's row.
    pub fn get(&self, id: &CheckId) -> Option<Arc<Row>> {
        self.lock().get(id)
    }

    /// Grows with every change of any row.
    pub fn revision(&self) -> u64 {
        self.lock().revision
    }

    /// Grows when a check comes, goes, or is declared differently.
    pub fn definitions_revision(&self) -> u64 {
        self.lock().definitions_revision
    }

    /// Follows all changes from now on; begins with every row there is.
    pub fn subscribe(self: &Arc<Self>) -> Subscription {
        let mailbox = Arc::new(Mailbox::default());
        let mut state = self.lock();
        state.order.keys().for_each(|id| mailbox.mark(id, None));
        state.readers.retain(|reader| reader.strong_count() > 0);
        state.readers.push(Arc::downgrade(&mailbox));
        drop(state);
        Subscription::new(Arc::clone(self), mailbox)
    }

    /// How the schedule is doing.
    pub fn pulse(&self) -> Pulse {
        let now = self.clock.now();
        let state = self.lock();
        let mut pulse = state.pulse.clone();
        pulse.since_last_tick = now.saturating_sub(state.ticked);
        pulse.since_last_probe = state.probed.map(|probed| now.saturating_sub(probed));
        let rows = state.all();
        drop(state);
        let mut asked = rows.iter().filter(|row| row.next_check.is_some()).peekable();
        let nothing_answers = asked.peek().is_some() && asked.all(|row| row.overdue());
        pulse.stands_still = pulse.since_last_tick > LONGEST_SILENCE || nothing_answers || pulse.starving_checks > 0;
        pulse
    }

    pub(crate) fn fill_in(&self, taken: IndexMap<CheckId, Vec<Transition>>) -> Vec<Change> {
        let state = self.lock();
        taken.into_iter().map(|(id, transitions)| Change { row: state.get(&id), id, transitions }).collect()
    }

    /// Opens the board for writing; readers are woken when the pen is dropped. The engine alone may call this.
    pub(crate) fn write(&self) -> Pen<'_> {
        Pen { state: self.lock(), touched: false }
    }
}

/// The engine's access to the board for the length of one batch.
pub(crate) struct Pen<'a> {
    state: MutexGuard<'a, State>,
    touched: bool,
}

impl Pen<'_> {
    /// Puts up a row that nobody else holds yet.
    pub(crate) fn put(&mut self, slot: Slot, mut row: Arc<Row>, transition: Option<&Transition>, declared: bool) {
        self.state.revision += 1;
        Arc::make_mut(&mut row).revision = self.state.revision;
        if declared {
            self.state.definitions_revision += 1;
        }
        self.mark(&row.definition.meta.id, transition);
        if self.state.rows.len() <= slot.index() {
            self.state.rows.resize(slot.index() + 1, None);
        }
        let state = &mut *self.state;
        let place = &mut state.rows[slot.index()];
        if place.is_none() {
            state.order.insert(row.definition.meta.id.clone(), slot);
        }
        *place = Some(row);
    }

    pub(crate) fn erase(&mut self, slot: Slot, id: &CheckId) {
        self.state.revision += 1;
        self.state.definitions_revision += 1;
        self.state.order.remove(id);
        if let Some(place) = self.state.rows.get_mut(slot.index()) {
            *place = None;
        }
        self.touched = true;
        for reader in self.state.readers.iter().filter_map(Weak::upgrade) {
            reader.mark_erased(id);
        }
    }

    pub(crate) fn note(&mut self, pulse: &Pulse, ticked: Duration, probed: Option<Duration>) {
        self.state.pulse.clone_from(pulse);
        self.state.ticked = ticked;
        self.state.probed = probed;
    }

    fn mark(&mut self, id: &CheckId, transition: Option<&Transition>) {
        self.touched = true;
        for reader in self.state.readers.iter().filter_map(Weak::upgrade) {
            reader.mark(id, transition);
        }
    }
}

impl Drop for Pen<'_> {
    fn drop(&mut self) {
        if self.touched {
            self.state.readers.retain(|reader| reader.upgrade().inspect(|mailbox| mailbox.ring()).is_some());
        }
    }
}

/// Standings kept from before a restart, by check.
pub(crate) type Remembered = HashMap<CheckId, health_model::Standing>;
