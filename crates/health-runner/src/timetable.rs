//! When each check is due next: a heap of due times, and the mapping of phases onto the monotonic clock.
//!
//! Pure: the present is an argument. Phases are counted from 1970 by the wall clock as it stood at the start, so that
//! they survive a restart; from then on only the monotonic clock counts, and a wall clock that jumps moves nothing.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use health_model::{CheckId, next_slot};
use tokio::time::Instant;

use crate::registry::Slot;

/// Entries that may be outdated before the heap is swept.
const SLACK: usize = 1024;

/// A run within this part of the interval before its moment stands for it.
const JUST_BEFORE: u32 = 10;

/// Farther than this nothing is ever due: a manifest may name any span, and clocks overflow.
const FAR: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The moment a span after another, at most ten years.
pub(crate) fn after(now: Instant, span: Duration) -> Instant {
    now.checked_add(span.min(FAR)).unwrap_or(now)
}

/// An entry: when, who, and the number that says whether it still holds.
pub(crate) type Due = (Instant, Slot, u64);

#[derive(Debug)]
pub(crate) struct Timetable {
    heap: BinaryHeap<Reverse<Due>>,
    started: Instant,
    started_since_1970: Duration,
}

impl Timetable {
    pub(crate) fn new(started: Instant, started_since_1970: Duration) -> Self {
        Self { heap: BinaryHeap::new(), started, started_since_1970 }
    }

    /// The check's next moment in its phase after a run at `now`. A run out of phase (the first, a retry, the end of a
    /// backoff) that comes just before its moment stands for it: asking twice in a row says nothing new.
    pub(crate) fn next_in_phase(&self, id: &CheckId, interval: Duration, now: Instant) -> Instant {
        let elapsed = self.started_since_1970 + now.saturating_duration_since(self.started);
        let next = after(now, next_slot(id, interval, elapsed).saturating_sub(elapsed));
        if next.saturating_duration_since(now) < interval / JUST_BEFORE { after(next, interval) } else { next }
    }

    pub(crate) fn enter(&mut self, due: Due) {
        self.heap.push(Reverse(due));
    }

    /// The earliest entry's time; it may be outdated, and then waking up for it finds nothing to do.
    pub(crate) fn earliest(&self) -> Option<Instant> {
        self.heap.peek().map(|Reverse((due, _, _))| *due)
    }

    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<Due> {
        self.heap.peek().filter(|Reverse((due, _, _))| *due <= now)?;
        self.heap.pop().map(|Reverse(due)| due)
    }

    /// Drops outdated entries when there are many: edits and retries leave them behind.
    pub(crate) fn sweep(&mut self, checks: usize, holds: impl Fn(&Due) -> bool) {
        if self.heap.len() > 2 * checks + SLACK {
            self.heap.retain(|Reverse(due)| holds(due));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn phases_are_the_same_after_a_restart() {
        let id = CheckId::new("default", "steady");
        let interval = Duration::from_secs(60);
        let since_1970 = Duration::from_secs(1_800_000_000);
        let begun = Instant::now();
        let before = Timetable::new(begun, since_1970);
        let restart = begun + Duration::from_millis(86_400_123);
        let after = Timetable::new(restart, since_1970 + Duration::from_millis(86_400_123));
        let now = restart + Duration::from_secs(7);
        assert_eq!(before.next_in_phase(&id, interval, now), after.next_in_phase(&id, interval, now));
    }

    #[tokio::test(start_paused = true)]
    async fn no_span_is_too_long_for_the_clock() {
        let now = Instant::now();
        assert_eq!(after(now, Duration::MAX), now + FAR);
        let timetable = Timetable::new(now, Duration::from_secs(1_800_000_000));
        assert!(timetable.next_in_phase(&CheckId::new("default", "rare"), Duration::MAX, now) > now);
    }

    #[tokio::test(start_paused = true)]
    async fn outdated_entries_are_swept_before_they_pile_up() {
        let begun = Instant::now();
        let mut timetable = Timetable::new(begun, Duration::ZERO);
        for number in 0..5000 {
            timetable.enter((begun, Slot::for_test(0), number));
            timetable.sweep(1, |(_, _, held)| *held == number);
        }
        assert!(timetable.heap.len() <= SLACK + 3, "{} entries for one check", timetable.heap.len());
        let mut last = None;
        while let Some((_, _, number)) = timetable.pop_due(begun) {
            last = last.max(Some(number));
        }
        assert_eq!(last, Some(4999));
    }
}
