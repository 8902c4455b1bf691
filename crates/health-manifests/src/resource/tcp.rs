//! `tcp`, and the dialogue it may hold.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::tls::{SslCheck, Tls};

/// A TCP connection: exactly one of `host` and `ipv4`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.host) != has(self.ipv4)").message("needs exactly one target; give host or ipv4"))]
#[x_kube(validation = Rule::new("!(has(self.expectRefused) && self.expectRefused && (has(self.dialogue) || has(self.tls) || has(self.sslCheck)))").message("cannot both be refused and talk; drop expectRefused, or dialogue, tls and sslCheck"))]
#[x_kube(validation = Rule::new("!has(self.sslCheck) || (has(self.tls) && (has(self.tls.startTls) || (has(self.tls.enabled) && self.tls.enabled)))").message("has sslCheck without TLS; add tls: {enabled: true}"))]
pub struct Tcp {
    /// Name or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.contains('/') && !self.matches('^[^:]*:[^:]*$')").message("is no host; write a DNS name or an address, without scheme, port or path"))]
    pub host: Option<String>,
    /// IPv4 address; `host` takes one as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("self.matches('^ *[0-9]{1,3}([.][0-9]{1,3}){3} *$')").message("is no IPv4 address; write one like 127.0.0.1, or use host for names and IPv6"))]
    pub ipv4: Option<String>,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,
    /// What to send and to expect once connected, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub dialogue: Vec<DialogueStepSpec>,
    /// Healthy when nobody listens there (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect_refused: Option<bool>,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the certificate must satisfy beyond being valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_check: Option<SslCheck>,
}

/// One step: `send` first, then wait until `expect` matches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.send) || has(self.expect)").message("does nothing; give send, expect, or both"))]
pub struct DialogueStepSpec {
    /// Text to send, with the escapes `\r`, `\n`, `\t`, `\0`, `\\` and `\xNN`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 65536))]
    pub send: Option<String>,
    /// Regular expression, multi-line, searched in what came since the last match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expect: Option<String>,
}
