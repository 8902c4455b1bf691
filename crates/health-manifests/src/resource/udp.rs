//! `udp`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// A UDP datagram, and an answer to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Udp {
    /// Name or address.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.contains('/') && !self.matches('^[^:]*:[^:]*$')").message("is no host; write a DNS name or an address, without scheme, port or path"))]
    pub host: String,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,
    /// Datagram to send, with the escapes `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`.
    #[schemars(length(min = 1, max = 65000))]
    pub send: String,
    /// Regular expression, multi-line, that must match an answer (default: any answer will do).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expect: Option<String>,
}
