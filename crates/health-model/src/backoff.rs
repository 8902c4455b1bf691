//! How long to stay away from a target that answered 429.

use std::time::Duration;

/// `--max-backoff` when none is given: one hour.
pub const DEFAULT_MAX_BACKOFF: Duration = Duration::from_secs(3600);
/// Doublings after which the delay no longer grows, whatever the cap.
const MOST_DOUBLINGS: u32 = 20;

/// The delay before the next probe of a target that is rate limiting us.
///
/// With `retry_after` it is that, capped. Without, it doubles with each `attempt` (counted from 1) starting at twice
/// the interval, capped, then jittered down to between half and all of it by `jitter` (0.0 to 1.0).
pub fn backoff_delay(
    interval: Duration,
    attempt: u32,
    retry_after: Option<Duration>,
    max_backoff: Duration,
    jitter: f64,
) -> Duration {
    if let Some(asked) = retry_after {
        return asked.min(max_backoff);
    }
    let factor = 1_u32 << attempt.clamp(1, MOST_DOUBLINGS);
    let full = interval.saturating_mul(factor).min(max_backoff);
    full.mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0))
}
