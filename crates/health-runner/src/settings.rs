//! What the engine can be told at its start. Plain values; flags and files are read elsewhere.

use std::{fmt, sync::Arc, time::Duration};

use health_model::DEFAULT_MAX_BACKOFF;
use jiff::Timestamp;

use crate::Witness;

/// Reads the wall clock. Only what is shown to people and kept over restarts uses it; the schedule is monotonic.
pub type WallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Bounds and habits of the engine.
#[derive(Clone)]
pub struct EngineSettings {
    /// Probes in flight in the process, those that hang not counted. Default 4096.
    pub max_in_flight: usize,
    /// Probes in flight per target host, those that hang not counted. Default 256.
    pub max_in_flight_per_host: usize,
    /// Probes that have waited longer than a second for an answer. Default 4096.
    pub max_hung: usize,
    /// The longest a target that answers 429 is left alone. Default 1 h.
    pub max_backoff: Duration,
    /// How long a shutdown waits for probes in flight before it cuts them. Default 5 s.
    pub shutdown_grace: Duration,
    /// Asked whether our own network is lost when a probe could not be carried out. Default: nobody.
    pub witness: Option<Arc<dyn Witness>>,
    /// The wall clock. Default: the system's.
    pub wall_clock: WallClock,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            max_in_flight: 4096,
            max_in_flight_per_host: 256,
            max_hung: 4096,
            max_backoff: DEFAULT_MAX_BACKOFF,
            shutdown_grace: Duration::from_secs(5),
            witness: None,
            wall_clock: Arc::new(Timestamp::now),
        }
    }
}

impl fmt::Debug for EngineSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            max_in_flight,
            max_in_flight_per_host,
            max_hung,
            max_backoff,
            shutdown_grace,
            witness,
            wall_clock: _,
        } = self;
        f.debug_struct("EngineSettings")
            .field("max_in_flight", max_in_flight)
            .field("max_in_flight_per_host", max_in_flight_per_host)
            .field("max_hung", max_hung)
            .field("max_backoff", max_backoff)
            .field("shutdown_grace", shutdown_grace)
            .field("witness", &witness.is_some())
            .finish_non_exhaustive()
    }
}
