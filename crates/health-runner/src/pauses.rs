//! Notices that our own process stood still, or got too little of the processor: what a probe missed then says nothing
//! about its target.
//!
//! Pure: both clocks are arguments. The engine sleeps until a moment it chose; waking up later than that is a gap.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// Gaps shorter than this are the scheduler's everyday jitter.
const JITTER: Duration = Duration::from_millis(20);
/// A single gap from this length on spoils what was in flight.
const LONG: Duration = Duration::from_millis(250);
/// Outcomes set aside in a row after which only starvation that took most of the probe's time counts.
pub(crate) const PATIENCE: u32 = 3;

/// The state of the pauses when a probe started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PauseMark {
    total: Duration,
    long: u64,
}

/// Every pause so far, added up.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pauses {
    total: Duration,
    long: u64,
    clocks: Option<(Instant, Timestamp)>,
}

impl Pauses {
    pub(crate) fn count(&self) -> u64 {
        self.long
    }

    pub(crate) fn total(&self) -> Duration {
        self.total
    }

    pub(crate) fn mark(&self) -> PauseMark {
        PauseMark { total: self.total, long: self.long }
    }

    /// The engine woke up at `now` and had wanted to at `planned` or before. Returns the length of a long pause.
    ///
    /// A machine that sleeps stops the monotonic clock, too: it shows as a wall clock that ran ahead of it. So does a
    /// wall clock that is set forward, and being asked once more costs nothing.
    pub(crate) fn woke(&mut self, planned: Instant, now: Instant, wall: Timestamp) -> Option<Duration> {
        let gap = now.saturating_duration_since(planned).max(self.asleep(now, wall));
        self.clocks = Some((now, wall));
        if gap < JITTER {
            return None;
        }
        self.total += gap;
        if gap < LONG {
            return None;
        }
        self.long += 1;
        Some(gap)
    }

    fn asleep(&self, now: Instant, wall: Timestamp) -> Duration {
        let Some((then, wall_then)) = self.clocks else { return Duration::ZERO };
        let wall_went = Duration::try_from(wall.duration_since(wall_then)).unwrap_or_default();
        let ahead = wall_went.saturating_sub(now.saturating_duration_since(then));
        if ahead >= LONG { ahead } else { Duration::ZERO }
    }

    /// Whether our own pauses spoiled a probe that began at `mark`: by one long pause, or by taking a quarter of its
    /// time together. After [`PATIENCE`] such probes in a row they must have taken half of it, so that a target which
    /// is really down cannot hide behind a process that merely limps.
    pub(crate) fn spoiled(&self, mark: PauseMark, timeout: Duration, in_a_row: u32) -> bool {
        let lost = self.total.saturating_sub(mark.total);
        if in_a_row >= PATIENCE {
            return lost >= timeout / 2;
        }
        self.long > mark.long || (lost >= JITTER && lost >= timeout / 4)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn wall(at: Duration) -> Timestamp {
        Timestamp::UNIX_EPOCH + jiff::SignedDuration::try_from(at).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn one_long_gap_spoils_what_was_in_flight_and_nothing_later() {
        let begun = Instant::now();
        let mut pauses = Pauses::default();
        let before = pauses.mark();
        assert_eq!(pauses.woke(begun, begun + 3 * SECOND, wall(3 * SECOND)), Some(3 * SECOND));
        assert!(pauses.spoiled(before, 10 * SECOND, 0));
        assert!(!pauses.spoiled(pauses.mark(), 10 * SECOND, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn many_short_gaps_spoil_a_probe_when_they_take_a_quarter_of_its_time() {
        let mut now = Instant::now();
        let begun = now;
        let mut pauses = Pauses::default();
        let before = pauses.mark();
        for _ in 0..3 {
            let planned = now + Duration::from_millis(25);
            now = planned + Duration::from_millis(90);
            assert_eq!(pauses.woke(planned, now, wall(now - begun)), None);
        }
        assert!(pauses.spoiled(before, SECOND, 0), "270 ms of a second");
        assert!(!pauses.spoiled(before, 10 * SECOND, 0), "270 ms of ten seconds");
    }

    #[tokio::test(start_paused = true)]
    async fn a_limping_process_hides_an_outage_only_for_a_while() {
        let begun = Instant::now();
        let mut pauses = Pauses::default();
        let before = pauses.mark();
        pauses.woke(begun, begun + Duration::from_millis(300), wall(Duration::from_millis(300)));
        assert!(pauses.spoiled(before, SECOND, PATIENCE - 1));
        assert!(!pauses.spoiled(before, SECOND, PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn a_machine_that_slept_is_noticed_by_its_wall_clock() {
        let begun = Instant::now();
        let mut pauses = Pauses::default();
        assert_eq!(pauses.woke(begun, begun, wall(Duration::ZERO)), None);
        let planned = begun + SECOND;
        assert_eq!(pauses.woke(planned, planned, wall(3601 * SECOND)), Some(3600 * SECOND));
        assert_eq!(pauses.woke(planned, planned, wall(SECOND)), None, "a clock set back is no pause");
    }

    #[tokio::test(start_paused = true)]
    async fn everyday_jitter_is_no_pause() {
        let begun = Instant::now();
        let mut pauses = Pauses::default();
        let late = begun + Duration::from_millis(19);
        assert_eq!(pauses.woke(begun, late, wall(Duration::from_millis(19))), None);
        assert_eq!(pauses.total(), Duration::ZERO);
    }
}
