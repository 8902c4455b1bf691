//! `icmp`.

use health_model::IcmpProbe;

use super::Conversion;
use crate::{path::FieldPath, resource::icmp::Icmp};

/// `count` when none is given.
const DEFAULT_COUNT: u16 = 3;
/// `payloadBytes` when none is given, as `ping` does.
const DEFAULT_PAYLOAD_BYTES: u16 = 56;

impl Conversion<'_> {
    /// Reads the section.
    pub(crate) fn icmp(&mut self, path: &FieldPath<'_>, icmp: &Icmp) -> Option<IcmpProbe> {
        let Icmp { host, count, max_loss_percent, payload_bytes } = icmp;
        Some(IcmpProbe {
            host: self.host(&path.key("host"), host)?,
            count: count.and_then(|count| u16::try_from(count).ok()).unwrap_or(DEFAULT_COUNT),
            max_loss_percent: max_loss_percent.and_then(|percent| u8::try_from(percent).ok()).unwrap_or(0),
            payload_bytes: payload_bytes.and_then(|size| u16::try_from(size).ok()).unwrap_or(DEFAULT_PAYLOAD_BYTES),
        })
    }
}
