//! How the schedule itself is doing.

use std::time::Duration;

/// Upper bounds of the lag histogram's buckets, in seconds.
pub const LAG_BOUNDARIES: [f64; 10] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0];

/// How late probes started: from due to start.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LagHistogram {
    /// How many starts fell into each bucket, not cumulated: one per boundary, then those beyond the last.
    pub buckets: [u64; LAG_BOUNDARIES.len() + 1],
    /// Seconds of lag, added up.
    pub sum_seconds: f64,
    /// Starts.
    pub count: u64,
}

impl LagHistogram {
    pub(crate) fn record(&mut self, lag: Duration) {
        let seconds = lag.as_secs_f64();
        let bucket = LAG_BOUNDARIES.partition_point(|boundary| *boundary < seconds);
        if let Some(count) = self.buckets.get_mut(bucket) {
            *count += 1;
        }
        self.sum_seconds += seconds;
        self.count += 1;
    }
}

/// How the schedule is doing. Counters count since the start of the process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Pulse {
    /// Checks registered.
    pub checks: usize,
    /// Probes in flight, those that hang included.
    pub in_flight: usize,
    /// Probes in flight that have waited longer than a second.
    pub hung: usize,
    /// Runs that are due and wait for a place.
    pub waiting: usize,
    /// From due to start.
    pub lag: LagHistogram,
    /// Probes started.
    pub started: u64,
    /// Probes that ended with an outcome that was taken in.
    pub completed: u64,
    /// Runs that were due while the same check's run before was still going on or waiting.
    pub skipped: u64,
    /// Runs that started more than 100 ms after they were due.
    pub late: u64,
    /// Outcomes that nobody wanted any more: the check was edited, suspended or removed in mid-flight.
    pub discarded: u64,
    /// Runs that had to wait because the process was at its bound.
    pub process_bound_hits: u64,
    /// Runs that had to wait because their host was at its bound.
    pub host_bound_hits: u64,
    /// Runs that had to wait because too many probes hang.
    pub hung_bound_hits: u64,
    /// Probers that panicked.
    pub panics: u64,
    /// Probers that ignored their deadline and were cut.
    pub overruns: u64,
    /// Outcomes set aside because our process was paused or starved while the probe was in flight.
    pub starved: u64,
    /// Pauses of our process that were noticed.
    pub pauses: u64,
    /// Time lost in them.
    pub paused: Duration,
    /// Outcomes set aside because our own network was lost.
    pub network_lost: u64,
    /// Whether our own network is lost, as far as the witnesses say.
    pub network_is_lost: bool,
    /// Checks that could not be judged several times in a row because our process is starved.
    pub starving_checks: usize,
    /// Awake time since the engine last looked at its timetable.
    pub since_last_tick: Duration,
    /// Awake time since a probe last ended; `None` before the first.
    pub since_last_probe: Option<Duration>,
    /// Whether the schedule stands still: the engine no longer looks at its timetable, or every check is overdue, or
    /// our process is too starved to judge.
    pub stands_still: bool,
}
