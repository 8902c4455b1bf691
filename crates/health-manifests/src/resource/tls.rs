//! `tls` and `sslCheck`, wherever a probe can speak TLS.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::ValueOrRef;

/// How TLS is spoken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.startTls) && has(self.enabled) && !self.enabled)").message("is false although startTls asks for TLS; remove one of the two"))]
#[x_kube(validation = Rule::new("!has(self.ca) || !has(self.ca.value) || self.ca.value.contains('-----BEGIN CERTIFICATE-----')").message("holds no certificate in PEM; give text with -----BEGIN CERTIFICATE-----").field_path(".ca"))]
pub struct Tls {
    /// Whether TLS is spoken, in `tcp` and `grpc` (default false). Elsewhere the URL's scheme says it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The name to ask for (SNI) and to verify, in place of the host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub server_name: Option<String>,
    /// Certificates of authorities to trust, PEM, in place of the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<ValueOrRef>,
    /// A certificate of our own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
    /// Accept any certificate (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub insecure_skip_verify: Option<bool>,
    /// The oldest version accepted (default "1.2").
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_version: Option<TlsVersion>,
    /// The protocol that turns a plain connection into TLS, in `tcp` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_tls: Option<StartTls>,
}

/// A Secret of type `kubernetes.io/tls` with the keys `tls.crt` and `tls.key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClientCertificate {
    /// The Secret's name, in the namespace of this object.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// The oldest version accepted (default "1.2").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V1_3,
}

/// The protocol that turns a plain connection into TLS, in `tcp` only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum StartTls {
    /// SMTP (RFC 3207).
    Smtp,
    /// IMAP (RFC 9051).
    Imap,
    /// POP3 (RFC 2595).
    Pop3,
    /// FTP (RFC 4217).
    Ftp,
    /// LDAP (RFC 4511).
    Ldap,
    /// XMPP (RFC 6120).
    Xmpp,
    /// PostgreSQL.
    Postgres,
    /// MySQL and MariaDB.
    MySql,
}

/// What the peer's certificate must satisfy beyond being valid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SslCheck {
    /// Days: unhealthy when the certificate expires sooner.
    #[schemars(range(min = 0, max = 36500))]
    pub expiration: i64,
}
