//! `heartbeat`.

use std::time::Duration;

use health_model::HeartbeatProbe;

use super::{Conversion, duration::Bounds, tcp::transpose, value::Read};
use crate::{path::FieldPath, resource::heartbeat::Heartbeat};

/// The part of the interval that a report may come late, when no `grace` is given.
const DEFAULT_GRACE_PARTS: u32 = 10;
/// The least default `grace`.
const LEAST_DEFAULT_GRACE: Duration = Duration::from_secs(1);

impl Conversion<'_> {
    /// Reads the section of a check with this interval.
    pub(crate) fn heartbeat(
        &mut self,
        path: &FieldPath<'_>,
        heartbeat: &Heartbeat,
        interval: Duration,
    ) -> Option<HeartbeatProbe> {
        let Heartbeat { grace, token } = heartbeat;
        let grace = self.optional_duration(&path.key("grace"), grace.as_ref(), Bounds::ANY);
        let token = token.as_ref().map(|token| {
            let path = path.key("token");
            let read = self.value(&path, token)?;
            if matches!(&read, Read::Known(text) if text.expose().is_empty()) {
                self.fault(path, "is empty", "give it a value, or remove token to ask for none");
            }
            Some(read.into_sensitive())
        });
        let default_grace = (interval / DEFAULT_GRACE_PARTS).max(LEAST_DEFAULT_GRACE);
        Some(HeartbeatProbe { grace: grace?.unwrap_or(default_grace), token: transpose(token)? })
    }
}
