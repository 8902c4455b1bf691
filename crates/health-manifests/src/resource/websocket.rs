//! `websocket`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{http::UrlText, tls::Tls, value::NamedValueOrRef};

/// A WebSocket: the upgrade must succeed, and `expect` must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.tls.enabled)").message("has no effect here; remove it: the address says whether TLS is spoken").field_path(".tls.enabled"))]
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.tls.startTls)").message("works in tcp only; remove it").field_path(".tls.startTls"))]
pub struct WebSocket {
    /// Target, `ws://` or `wss://`. User info in it is sent as basic auth and shown nowhere.
    #[x_kube(validation = Rule::new("self.matches('^[wW][sS][sS]?://[^/]')").message("is no ws or wss address; write one like wss://example.org/path"))]
    pub url: UrlText,
    /// Headers to send with the upgrade.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub headers: Vec<NamedValueOrRef>,
    /// Text message to send, with the escapes `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub send: Option<String>,
    /// Regular expression, multi-line, that must match what comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expect: Option<String>,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}
