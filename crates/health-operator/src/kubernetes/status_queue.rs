//! Which status is written next: turns at once, everything else within a budget. Pure: time is an argument.
//!
//! The queue holds identities and urgencies only; what is written is read from the board at the moment of writing, so
//! however far the API server falls behind, each check waits at most once and the newest word is the one written.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::{Duration, Instant},
};

use health_model::CheckId;

/// The longest pause after writes failed in a row.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// The pause after the first failed write; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Turns are never held back, but they are charged: the debt they may run up, in seconds of budget.
const MOST_DEBT_SECONDS: f64 = 10.0;

/// How much a change matters to whoever reads the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Urgency {
    /// The same word again, newer.
    Refresh,
    /// Another state, reason or generation; `healthy` is as it was.
    Word,
    /// `healthy` turned.
    Turn,
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Written {
    /// It is in the object, or will never be (the object is gone, the status was refused).
    Settled,
    /// The API server is away, busy or throttles; the same check is written again.
    TryAgain {
        /// How long the server asked us to stay away.
        after: Option<Duration>,
    },
}

/// Everything that waits to be written.
#[derive(Debug)]
pub(super) struct StatusQueue {
    budget: f64,
    tokens: f64,
    filled_at: Instant,
    refresh_gap: Duration,
    waiting: HashMap<CheckId, Urgency>,
    in_flight: HashMap<CheckId, Option<Urgency>>,
    turns: VecDeque<CheckId>,
    words: VecDeque<CheckId>,
    refreshes: BTreeSet<(Instant, CheckId)>,
    refresh_due: HashMap<CheckId, Instant>,
    refreshed: HashMap<CheckId, Instant>,
    pause: Option<Instant>,
    failures: u32,
    coalesced: u64,
}

impl StatusQueue {
    /// A queue that gives out at most `budget` writes a second on average (turns are charged but never held back), and
    /// refreshes the same check no more often than every `refresh_gap`.
    pub(super) fn new(budget: f64, refresh_gap: Duration, now: Instant) -> Self {
        Self {
            budget,
            tokens: budget.max(1.0),
            filled_at: now,
            refresh_gap,
            waiting: HashMap::new(),
            in_flight: HashMap::new(),
            turns: VecDeque::new(),
            words: VecDeque::new(),
            refreshes: BTreeSet::new(),
            refresh_due: HashMap::new(),
            refreshed: HashMap::new(),
            pause: None,
            failures: 0,
            coalesced: 0,
        }
    }

    /// A check has something new to say.
    pub(super) fn note(&mut self, id: &CheckId, urgency: Urgency, now: Instant) {
        if let Some(again) = self.in_flight.get_mut(id) {
            self.coalesced += u64::from(again.is_some());
            *again = Some(again.map_or(urgency, |before| before.max(urgency)));
            return;
        }
        match self.waiting.get(id) {
            Some(before) if *before >= urgency => self.coalesced += 1,
            Some(_) => {
                self.coalesced += 1;
                self.drop_refresh(id);
                self.enqueue(id.clone(), urgency, now);
            }
            None => self.enqueue(id.clone(), urgency, now),
        }
    }

    /// A check is gone: nothing of it is written any more.
    pub(super) fn forget(&mut self, id: &CheckId) {
        self.waiting.remove(id);
        self.drop_refresh(id);
        self.refreshed.remove(id);
        if let Some(again) = self.in_flight.get_mut(id) {
            *again = None;
        }
    }

    /// The next check to write, if one may be written now. [`StatusQueue::done`] must follow.
    pub(super) fn take(&mut self, now: Instant) -> Option<CheckId> {
        if self.pause.is_some_and(|until| now < until) {
            return None;
        }
        self.fill(now);
        let id = self.pop(Urgency::Turn).or_else(|| {
            (self.tokens >= 1.0).then(|| self.pop(Urgency::Word).or_else(|| self.pop_refresh(now))).flatten()
        })?;
        self.tokens = (self.tokens - 1.0).max(-MOST_DEBT_SECONDS * self.budget);
        self.waiting.remove(&id);
        self.in_flight.insert(id.clone(), None);
        self.refreshed.insert(id.clone(), now);
        Some(id)
    }

    /// What became of a write that [`StatusQueue::take`] had given out.
    pub(super) fn done(&mut self, id: &CheckId, written: Written, now: Instant) {
        let again = self.in_flight.remove(id).flatten();
        match written {
            Written::Settled => {
                self.failures = 0;
                if let Some(urgency) = again {
                    self.enqueue(id.clone(), urgency, now);
                }
            }
            Written::TryAgain { after } => {
                // Whatever it was, it is not in the object: the next attempt must not wait behind refreshes.
                self.waiting.insert(id.clone(), Urgency::Turn);
                self.turns.push_front(id.clone());
                let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(10)).min(LONGEST_PAUSE);
                self.failures = self.failures.saturating_add(1);
                self.pause = Some(now + after.map_or(pause, |asked| asked.clamp(pause, LONGEST_PAUSE)));
            }
        }
    }

    /// When [`StatusQueue::take`] may have something to give, at the earliest; `None` until something is noted.
    pub(super) fn wake_at(&self, now: Instant) -> Option<Instant> {
        let pause = self.pause.filter(|until| *until > now);
        let due = if self.has(Urgency::Turn) {
            now
        } else {
            let first = if self.has(Urgency::Word) { Some(now) } else { self.refreshes.first().map(|(due, _)| *due) }?;
            first.max(self.token_at(now))
        };
        Some(pause.map_or(due, |until| until.max(due)))
    }

    /// Checks that wait to be written.
    pub(super) fn depth(&self) -> usize {
        self.waiting.len() + self.in_flight.len()
    }

    /// Changes that went into a write that was waiting already.
    pub(super) const fn coalesced(&self) -> u64 {
        self.coalesced
    }

    fn enqueue(&mut self, id: CheckId, urgency: Urgency, now: Instant) {
        self.waiting.insert(id.clone(), urgency);
        match urgency {
            Urgency::Turn => self.turns.push_back(id),
            Urgency::Word => self.words.push_back(id),
            Urgency::Refresh => {
                let due = self.refreshed.get(&id).map_or(now, |last| (*last + self.refresh_gap).max(now));
                self.refresh_due.insert(id.clone(), due);
                self.refreshes.insert((due, id));
            }
        }
    }

    fn has(&self, urgency: Urgency) -> bool {
        let line = if urgency == Urgency::Turn { &self.turns } else { &self.words };
        line.iter().any(|id| self.waiting.get(id) == Some(&urgency))
    }

    /// Takes the first of a line that still waits with that urgency; those that were raised since are passed over.
    fn pop(&mut self, urgency: Urgency) -> Option<CheckId> {
        let line = if urgency == Urgency::Turn { &mut self.turns } else { &mut self.words };
        while let Some(id) = line.pop_front() {
            if self.waiting.get(&id) == Some(&urgency) {
                return Some(id);
            }
        }
        None
    }

    fn pop_refresh(&mut self, now: Instant) -> Option<CheckId> {
        let (due, id) = self.refreshes.first()?.clone();
        if due > now {
            return None;
        }
        self.drop_refresh(&id);
        Some(id)
    }

    fn drop_refresh(&mut self, id: &CheckId) {
        if let Some(due) = self.refresh_due.remove(id) {
            self.refreshes.remove(&(due, id.clone()));
        }
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.tokens = (self.tokens + passed * self.budget).min(self.budget.max(1.0));
    }

    fn token_at(&self, now: Instant) -> Instant {
        let missing = 1.0 - self.tokens;
        if missing <= 0.0 {
            return now;
        }
        self.filled_at + Duration::from_secs_f64(missing / self.budget)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAP: Duration = Duration::from_secs(30);

    fn id(name: &str) -> CheckId {
        CheckId::new("default", name)
    }

    fn drain(queue: &mut StatusQueue, now: Instant) -> Vec<CheckId> {
        std::iter::from_fn(|| queue.take(now).inspect(|id| queue.done(id, Written::Settled, now))).collect()
    }

    #[test]
    fn turns_are_written_at_once_however_many_there_are() {
        let now = Instant::now();
        let mut queue = StatusQueue::new(5.0, GAP, now);
        for index in 0..1000 {
            queue.note(&id(&format!("check-{index}")), Urgency::Turn, now);
        }
        assert_eq!(drain(&mut queue, now).len(), 1000);
    }

    #[test]
    fn refreshes_keep_to_the_budget_and_to_the_gap() {
        let start = Instant::now();
        let mut queue = StatusQueue::new(5.0, GAP, start);
        let mut written = 0;
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            for index in 0..1000 {
                queue.note(&id(&format!("check-{index}")), Urgency::Refresh, now);
            }
            written += drain(&mut queue, now).len();
        }
        assert!((495..=505).contains(&written), "{written}");

        let mut one = StatusQueue::new(5.0, GAP, start);
        let written: usize = (0..300)
            .map(|second| {
                let now = start + Duration::from_secs(second);
                one.note(&id("alone"), Urgency::Refresh, now);
                drain(&mut one, now).len()
            })
            .sum();
        assert_eq!(written, 10, "every 30 s in 300 s");
    }

    #[test]
    fn a_turn_overtakes_the_refresh_that_waits_and_is_written_once() {
        let now = Instant::now();
        let mut queue = StatusQueue::new(1.0, GAP, now);
        queue.note(&id("a"), Urgency::Refresh, now);
        queue.note(&id("b"), Urgency::Refresh, now);
        queue.note(&id("b"), Urgency::Turn, now);
        assert_eq!(drain(&mut queue, now), [id("b")]);
        assert_eq!(drain(&mut queue, now + Duration::from_secs(5)), [id("a")]);
        assert_eq!(queue.depth(), 0);
    }

    #[test]
    fn what_changes_while_it_is_written_is_written_again_and_never_twice_at_a_time() {
        let now = Instant::now();
        let mut queue = StatusQueue::new(5.0, GAP, now);
        queue.note(&id("a"), Urgency::Turn, now);
        assert_eq!(queue.take(now), Some(id("a")));
        queue.note(&id("a"), Urgency::Turn, now);
        assert_eq!(queue.take(now), None);
        queue.done(&id("a"), Written::Settled, now);
        assert_eq!(queue.take(now), Some(id("a")));
    }

    #[test]
    fn a_server_that_is_away_is_asked_again_with_growing_pauses_and_loses_nothing() {
        let start = Instant::now();
        let mut queue = StatusQueue::new(5.0, GAP, start);
        queue.note(&id("a"), Urgency::Turn, start);
        queue.note(&id("b"), Urgency::Turn, start);
        let mut now = start;
        for _ in 0..20 {
            let taken = queue.take(now).expect("something waits");
            assert_eq!(taken, id("a"), "in order");
            queue.done(&taken, Written::TryAgain { after: None }, now);
            assert_eq!(queue.take(now), None, "not while paused");
            now = queue.wake_at(now).expect("a wake-up is due");
        }
        assert!(now - start > Duration::from_secs(30) && now - start < Duration::from_secs(100));
        assert_eq!(drain(&mut queue, now), [id("a"), id("b")]);
    }

    #[test]
    fn a_check_that_is_gone_is_not_written() {
        let now = Instant::now();
        let mut queue = StatusQueue::new(5.0, GAP, now);
        queue.note(&id("a"), Urgency::Turn, now);
        queue.note(&id("b"), Urgency::Refresh, now);
        queue.forget(&id("a"));
        queue.forget(&id("b"));
        assert_eq!(drain(&mut queue, now), []);
        assert_eq!(queue.wake_at(now), None);
    }

    #[test]
    fn it_wakes_when_the_next_token_is_there() {
        let now = Instant::now();
        let mut queue = StatusQueue::new(2.0, GAP, now);
        for name in ["a", "b", "c"] {
            queue.note(&id(name), Urgency::Word, now);
        }
        assert_eq!(drain(&mut queue, now).len(), 2);
        let wake = queue.wake_at(now).expect("c waits");
        assert_eq!(wake - now, Duration::from_millis(500));
        assert_eq!(drain(&mut queue, wake), [id("c")]);
    }
}
