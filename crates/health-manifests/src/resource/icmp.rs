//! `icmp`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// ICMP echo requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Icmp {
    /// Name or address.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.contains('/') && !self.matches('^[^:]*:[^:]*$')").message("is no host; write a DNS name or an address, without scheme, port or path"))]
    pub host: String,
    /// Echo requests per probe (default 3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub count: Option<i64>,
    /// Per cent of them that may be lost (default 0).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 99))]
    pub max_loss_percent: Option<i64>,
    /// Bytes of payload (default 56).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65000))]
    pub payload_bytes: Option<i64>,
}
