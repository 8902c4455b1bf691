//! `dns`.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tls::Tls;

/// A DNS query.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.server) || !has(self.transport) || self.transport == 'Udp' || self.transport == 'Tcp'").message("needs a server for this transport; give server, such as 9.9.9.9 or dns.example.org:853"))]
#[x_kube(validation = Rule::new("!has(self.tls) || (has(self.transport) && (self.transport == 'Tls' || self.transport == 'Https'))").message("has tls without a transport that speaks it; set transport to Tls or Https"))]
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.tls.enabled)").message("has no effect here; remove it: the address says whether TLS is spoken").field_path(".tls.enabled"))]
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.tls.startTls)").message("works in tcp only; remove it").field_path(".tls.startTls"))]
#[x_kube(validation = Rule::new("!has(self.server) || !self.server.contains('://') || (has(self.transport) && self.transport == 'Https')").message("is a URL; write host:port, or set transport to Https").field_path(".server"))]
pub struct Dns {
    /// Name to ask for. Search domains apply unless it ends in a dot.
    #[schemars(length(min = 1, max = 255))]
    #[x_kube(validation = Rule::new("!self.contains('://')").message("is no DNS name; write one like example.org"))]
    pub name: String,
    /// Record type (default A).
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub record_type: Option<RecordTypeSpec>,
    /// Name server, `host` or `host:port`, or with transport Https a URL (default: the system's name servers).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.contains('://') || !self.matches('^[^:]*:') || self.matches('^[^:]*:[0-9]{1,5}$') || self.matches('^[^:]*:.*:')").message("has no valid port; write a number from 1 to 65535 after the colon"))]
    pub server: Option<String>,
    /// How to ask (default Udp; truncated answers are asked again over TCP).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transport: Option<DnsTransportSpec>,
    /// Response code (default NOERROR).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_rcode: Option<RcodeSpec>,
    /// Answers that must all be there, in presentation format without a final dot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 4096)))]
    pub expected_answers: Vec<String>,
    /// Regular expression that must match one answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub answer_expression: Option<String>,
    /// How TLS is spoken, with transport Tls or Https.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($word:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[schemars(inline)]
        #[serde(rename_all = "UPPERCASE")]
        #[expect(missing_docs, reason = "each word is the protocol's own")]
        pub enum $name { $($word),+ }

        impl $name {
            /// The protocol's word.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$word => stringify!($word)),+ }
            }
        }
    };
}

words! {
    /// A record type.
    RecordTypeSpec {
        A, AAAA, CAA, CNAME, DNSKEY, DS, HINFO, HTTPS, MX, NAPTR, NS, PTR, SOA, SRV, SSHFP, SVCB, TLSA, TXT,
    }
}

words! {
    /// A response code.
    RcodeSpec { NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED, YXDOMAIN, YXRRSET, NXRRSET, NOTAUTH, NOTZONE }
}

/// How to ask (default Udp; truncated answers are asked again over TCP).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum DnsTransportSpec {
    /// UDP.
    Udp,
    /// TCP (RFC 7766).
    Tcp,
    /// TLS (RFC 7858).
    Tls,
    /// HTTPS (RFC 8484).
    Https,
}
