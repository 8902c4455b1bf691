//! Windows in time in which nobody is to be told: recurring by cron, or once between two instants.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use croner::Cron;
use jiff::{Timestamp, tz::TimeZone};

/// Why a window was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The cron expression is wrong.
    #[error("schedule {0:?} is no cron expression of five fields: {1}")]
    Schedule(String, String),
    /// The time zone is unknown.
    #[error("timeZone {0:?} is not in the time zone database: write one like \"Europe/Zurich\" or \"UTC\"")]
    TimeZone(String),
    /// The end is not after the start.
    #[error("end must be after start")]
    Order,
    /// The duration is zero.
    #[error("duration must be positive")]
    Duration,
}

/// A window that comes again and again.
#[derive(Clone)]
pub struct RecurringWindow {
    schedule: Arc<str>,
    cron: Arc<Cron>,
    duration: Duration,
    time_zone: TimeZone,
}

/// When messages are held back.
#[derive(Clone, Debug, PartialEq)]
pub enum MaintenanceWindow {
    /// Opens at every match of a cron expression and stays open for a duration.
    Recurring(RecurringWindow),
    /// Open once, from `start` (inclusive) to `end` (exclusive).
    Once {
        /// First instant.
        start: Timestamp,
        /// First instant after it.
        end: Timestamp,
    },
}

impl RecurringWindow {
    /// A window that opens at `schedule` (five cron fields) in `time_zone` (IANA name; UTC when absent).
    ///
    /// # Errors
    /// When the cron expression, the zone or the duration makes no sense.
    pub fn new(schedule: &str, duration: Duration, time_zone: Option<&str>) -> Result<Self, WindowError> {
        if duration.is_zero() {
            return Err(WindowError::Duration);
        }
        let cron =
            Cron::from_str(schedule).map_err(|error| WindowError::Schedule(schedule.to_owned(), error.to_string()))?;
        let zone = time_zone.unwrap_or("UTC");
        let time_zone = TimeZone::get(zone).map_err(|_| WindowError::TimeZone(zone.to_owned()))?;
        Ok(Self { schedule: schedule.into(), cron: Arc::new(cron), duration, time_zone })
    }

    fn contains(&self, now: Timestamp) -> bool {
        self.opened_at(now).is_some_and(|opened| now.duration_since(opened).unsigned_abs() < self.duration)
    }

    /// The last opening at or before `now`.
    fn opened_at(&self, now: Timestamp) -> Option<Timestamp> {
        let zoned = now.to_zoned(self.time_zone.clone());
        self.cron.find_previous_occurrence(&zoned, true).ok().map(|opening| opening.timestamp())
    }
}

impl MaintenanceWindow {
    /// A window that is open once.
    ///
    /// # Errors
    /// When `end` is not after `start`.
    pub fn once(start: Timestamp, end: Timestamp) -> Result<Self, WindowError> {
        if end > start { Ok(Self::Once { start, end }) } else { Err(WindowError::Order) }
    }

    /// Whether the window is open at this moment.
    pub fn contains(&self, now: Timestamp) -> bool {
        match self {
            Self::Recurring(window) => window.contains(now),
            Self::Once { start, end } => (*start..*end).contains(&now),
        }
    }
}

impl PartialEq for RecurringWindow {
    fn eq(&self, other: &Self) -> bool {
        self.schedule == other.schedule && self.duration == other.duration && self.time_zone == other.time_zone
    }
}

impl fmt::Debug for RecurringWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {:?} in {:?}", self.schedule, self.duration, self.time_zone.iana_name())
    }
}
