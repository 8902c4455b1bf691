//! A clock that stands still while our process does, so that our own pauses never make a check look neglected.

use std::{
    sync::Weak,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// How often the clock is wound.
const WINDING: Duration = Duration::from_millis(250);
/// The most that one winding may advance it: what is beyond was a pause of ours.
const MOST_PER_WINDING: Duration = Duration::from_millis(500);

/// Time during which this process was able to run, as a span since the clock was made.
#[derive(Debug)]
pub(crate) struct AwakeClock {
    made: Instant,
    wound_at: AtomicU64,
    awake: AtomicU64,
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

impl AwakeClock {
    /// A clock that starts now, and that [`AwakeClock::keep_wound`] must keep going.
    pub(crate) fn new() -> Self {
        Self { made: Instant::now(), wound_at: AtomicU64::new(0), awake: AtomicU64::new(0) }
    }

    /// Time awake until now.
    pub(crate) fn now(&self) -> Duration {
        let since = nanos(self.made.elapsed()).saturating_sub(self.wound_at.load(Ordering::Acquire));
        Duration::from_nanos(self.awake.load(Ordering::Acquire) + since.min(nanos(MOST_PER_WINDING)))
    }

    fn wind(&self) {
        let awake = nanos(self.now());
        self.wound_at.store(nanos(self.made.elapsed()), Ordering::Release);
        self.awake.store(awake, Ordering::Release);
    }

    /// Winds a clock as long as anybody holds it; to be run as a task of its own.
    pub(crate) async fn keep_wound(clock: Weak<Self>) {
        while let Some(clock) = clock.upgrade() {
            clock.wind();
            drop(clock);
            tokio::time::sleep(WINDING).await;
        }
    }
}
