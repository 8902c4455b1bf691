//! How many files this process may have open: every probe under way is one.

use crate::settings::EngineBounds;

/// Files open besides probes: listeners, their connections, the API server, the log.
const BESIDES_PROBES: u64 = 2048;

/// Asks the system for as many as it allows, and warns when they are too few for the bounds that were set.
pub(crate) fn allow_enough(bounds: &EngineBounds) {
    let needed = u64::from(bounds.max_in_flight) + u64::from(bounds.max_hung) + BESIDES_PROBES;
    match rlimit::increase_nofile_limit(needed) {
        Ok(allowed) if allowed < needed => tracing::warn!(
            allowed,
            needed,
            "too few files may be open for as many probes as are allowed; raise ulimit -n, or lower --max-in-flight and \
             --max-hung"
        ),
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, needed, "the system does not say how many files may be open"),
    }
}
