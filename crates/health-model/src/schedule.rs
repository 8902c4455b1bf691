//! Phases in time: when a check is due, as pure arithmetic on spans since an epoch.
//!
//! A check keeps its place in its interval: hash(identity) mod interval. Load is even, nothing herds, and a restart
//! changes nothing.

use std::{
    hash::{Hash, Hasher},
    time::Duration,
};

use siphasher::sip::SipHasher13;

use crate::CheckId;

/// The first probes after a start are spread over at most this.
pub const FIRST_PROBE_SPREAD: Duration = Duration::from_secs(5);
/// Hash keys, fixed so that phases survive restarts. Never reuse them for sharding, or phases pack.
const PHASE_KEYS: (u64, u64) = (0x6865_616c_7468_2d70, 0x6861_7365_2d76_3100);

fn hash(id: &CheckId) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(PHASE_KEYS.0, PHASE_KEYS.1);
    id.hash(&mut hasher);
    hasher.finish()
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Where in its interval a check stands: less than `interval`, the same for the same identity always.
pub fn phase_offset(id: &CheckId, interval: Duration) -> Duration {
    Duration::from_nanos(hash(id) % nanos(interval).max(1))
}

/// The first moment strictly after `elapsed` (a span since the epoch that all phases share) at which the check is due.
pub fn next_slot(id: &CheckId, interval: Duration, elapsed: Duration) -> Duration {
    let interval = nanos(interval).max(1);
    let phase = hash(id) % interval;
    let elapsed = nanos(elapsed);
    let round = if elapsed < phase { 0 } else { (elapsed - phase) / interval + 1 };
    Duration::from_nanos(phase.saturating_add(round.saturating_mul(interval)))
}

/// How long after a start or an edit the first probe comes: spread over at most `min(interval, 5 s)`.
pub fn first_delay(id: &CheckId, interval: Duration) -> Duration {
    // The high half of the hash: independent of the phase, which is the remainder.
    let spread = nanos(interval.min(FIRST_PROBE_SPREAD));
    let fraction = hash(id) >> 32;
    Duration::from_nanos((spread >> 16).saturating_mul(fraction) >> 16)
}

/// After how long without a completed probe a check is stale: three intervals and its deadline, at least 10 s.
pub fn overdue_after(interval: Duration, timeout: Duration) -> Duration {
    interval.saturating_mul(3).saturating_add(timeout).max(Duration::from_secs(10))
}
