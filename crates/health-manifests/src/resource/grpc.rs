//! `grpc`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::{
    tls::{SslCheck, Tls},
    value::NamedValueOrRef,
};

/// `grpc.health.v1`: the service must say SERVING.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Grpc {
    /// Name or address.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.contains('/')").message("is no host; write a DNS name or an address, without scheme, port or path"))]
    pub host: String,
    /// Port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i64,
    /// Service to ask for (default "": the server as a whole).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 255))]
    pub service: Option<String>,
    /// Metadata to send.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub metadata: Vec<NamedValueOrRef>,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the certificate must satisfy beyond being valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_check: Option<SslCheck>,
}
