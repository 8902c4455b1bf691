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
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.tls.startTls)").message("works in tcp only; remove it").field_path(".tls.startTls"))]
#[x_kube(validation = Rule::new("!has(self.sslCheck) || (has(self.tls) && has(self.tls.enabled) && self.tls.enabled)").message("has sslCheck without TLS; add tls: {enabled: true}"))]
pub struct Grpc {
    /// Name or address.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.contains('/') && !self.matches('^[^:]*:[^:]*$')").message("is no host; write a DNS name or an address, without scheme, port or path"))]
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
    #[x_kube(validation = Rule::new("self.all(one, !one.name.matches('^[gG][rR][pP][cC]-'))").message("has a name that belongs to gRPC; choose one without grpc- in front"))]
    pub metadata: Vec<NamedValueOrRef>,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the certificate must satisfy beyond being valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_check: Option<SslCheck>,
}
