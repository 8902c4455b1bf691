//! What can be tuned, with defaults that need no tuning.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;

/// Where the wall time comes from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// When a check's turns are told as flapping instead of one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flapping {
    /// Turns within `window` from which on it flaps.
    pub turns: usize,
    /// The span in which turns are counted. It is calm again when at most two are left in it.
    pub window: Duration,
}

/// How delivery is retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retrying {
    /// The delay after the first failure; it doubles.
    pub first: Duration,
    /// The longest delay of our own.
    pub longest: Duration,
    /// The longest delay that a provider may ask for.
    pub longest_asked: Duration,
}

/// Settings of the pipeline.
#[derive(Clone)]
pub struct NotificationSettings {
    /// Deadline of one delivery.
    pub timeout: Duration,
    /// Deliveries under way at once.
    pub most_in_flight: usize,
    /// How long shutdown waits for deliveries under way.
    pub grace: Duration,
    /// Flapping.
    pub flapping: Flapping,
    /// Retries.
    pub retrying: Retrying,
    /// Whether the rate limits of destinations are kept.
    pub rate_limited: bool,
    /// Roots of trust beside the system's, PEM.
    pub extra_roots: Option<Arc<[u8]>>,
    /// The wall clock.
    pub clock: Clock,
}

impl Default for NotificationSettings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            most_in_flight: 64,
            grace: Duration::from_secs(5),
            flapping: Flapping { turns: 6, window: Duration::from_secs(600) },
            retrying: Retrying {
                first: Duration::from_secs(1),
                longest: Duration::from_secs(60),
                longest_asked: Duration::from_secs(3600),
            },
            rate_limited: true,
            extra_roots: None,
            clock: Arc::new(Timestamp::now),
        }
    }
}
