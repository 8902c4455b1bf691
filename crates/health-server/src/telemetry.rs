//! What this crate counts of itself: connections, answers, streams, heartbeats. Counted at the event, read at scrape.
//!
//! Label values are closed sets; nothing that a client sends becomes a label.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The three listeners, by the word that labels them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// `--rest-bind-address`
    Rest,
    /// `--metrics-bind-address`
    Metrics,
    /// `--health-probe-bind-address`
    Health,
}

impl Listener {
    /// Every listener there is.
    pub(crate) const ALL: [Self; 3] = [Self::Rest, Self::Metrics, Self::Health];

    /// The word in metrics and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Metrics => "metrics",
            Self::Health => "health",
        }
    }

    /// Where its open connections are counted.
    pub(crate) const fn level(self) -> fn(&Telemetry) -> &Level {
        match self {
            Self::Rest => |telemetry| &telemetry.listener(Self::Rest).connections,
            Self::Metrics => |telemetry| &telemetry.listener(Self::Metrics).connections,
            Self::Health => |telemetry| &telemetry.listener(Self::Health).connections,
        }
    }

    /// Connections that may be open at once. What comes beyond waits in the kernel's queue.
    pub(crate) const fn most_connections(self) -> usize {
        match self {
            Self::Rest => 1024,
            Self::Metrics | Self::Health => 64,
        }
    }
}

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something exist right now.
#[derive(Debug, Default)]
pub(crate) struct Level(AtomicUsize);

impl Level {
    pub(crate) fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Counts one more, unless there are `most` already. Who was counted must leave.
    fn enter(&self, most: usize) -> bool {
        let more = |level: usize| (level < most).then_some(level + 1);
        self.0.fetch_update(Ordering::AcqRel, Ordering::Relaxed, more).is_ok()
    }

    fn leave(&self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// One of those that a [`Level`] counts, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Present {
    telemetry: Arc<Telemetry>,
    level: fn(&Telemetry) -> &Level,
}

impl Present {
    /// Takes a place among at most `most`.
    pub(crate) fn among(telemetry: &Arc<Telemetry>, most: usize, level: fn(&Telemetry) -> &Level) -> Option<Self> {
        level(telemetry).enter(most).then(|| Self { telemetry: Arc::clone(telemetry), level })
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        (self.level)(&self.telemetry).leave();
    }
}

/// Answers by class of status.
pub(crate) const CODE_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// What is counted per listener.
#[derive(Debug, Default)]
pub(crate) struct ListenerCounts {
    /// Connections open.
    pub(crate) connections: Level,
    /// How often all places were taken when another was asked for.
    pub(crate) limit_hits: Count,
    /// Connections that were cut: too slow to send, too slow to read, broken.
    pub(crate) cut: Count,
    /// Answers, by [`CODE_CLASSES`].
    pub(crate) answers: [Count; CODE_CLASSES.len()],
    /// Handlers that panicked.
    pub(crate) panics: Count,
}

/// What came of a heartbeat's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReportFate {
    /// 202
    Accepted,
    /// 401
    Unauthorized,
    /// 400, 404, 503
    Refused,
}

impl ReportFate {
    pub(crate) const ALL: [Self; 3] = [Self::Accepted, Self::Unauthorized, Self::Refused];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Unauthorized => "unauthorized",
            Self::Refused => "refused",
        }
    }
}

/// What the servers count. One for the process, shared by the three routers and [`crate::serve()`].
#[derive(Debug, Default)]
pub struct Telemetry {
    listeners: [ListenerCounts; Listener::ALL.len()],
    reports: [Count; ReportFate::ALL.len()],
    /// Event streams open.
    pub(crate) streams: Level,
    /// Event streams refused because there were too many.
    pub(crate) streams_refused: Count,
    /// Fresh snapshots for readers that fell behind.
    pub(crate) streams_restarted: Count,
}

impl Telemetry {
    pub(crate) fn listener(&self, listener: Listener) -> &ListenerCounts {
        let [rest, metrics, health] = &self.listeners;
        match listener {
            Listener::Rest => rest,
            Listener::Metrics => metrics,
            Listener::Health => health,
        }
    }

    pub(crate) fn reports(&self, fate: ReportFate) -> &Count {
        let [accepted, unauthorized, refused] = &self.reports;
        match fate {
            ReportFate::Accepted => accepted,
            ReportFate::Unauthorized => unauthorized,
            ReportFate::Refused => refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_admits_no_more_than_its_most_and_counts_down_when_one_leaves() {
        let telemetry = Arc::new(Telemetry::default());
        let enter = || Present::among(&telemetry, 1, |telemetry| &telemetry.streams);
        let first = enter();
        assert!(first.is_some());
        assert!(enter().is_none());
        assert_eq!(telemetry.streams.get(), 1);
        drop(first);
        assert_eq!(telemetry.streams.get(), 0);
        assert!(enter().is_some());
    }
}
