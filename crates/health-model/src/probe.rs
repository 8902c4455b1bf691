//! How each kind of check asks, as parsed: one struct per protocol, one [`Probe`] that holds exactly one of them.

use std::{fmt, net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use url::Url;

use crate::{CelExpression, JsonPath, Pattern, Sensitive, StatusSet, shown_url::shown_url};

/// The protocol of a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProbeKind {
    /// HTTP or HTTPS.
    Http,
    /// A TCP connection.
    Tcp,
    /// A DNS query.
    Dns,
    /// gRPC health.
    Grpc,
    /// ICMP echo.
    Icmp,
    /// A WebSocket.
    WebSocket,
    /// A UDP datagram.
    Udp,
    /// Passive: something else reports in.
    Heartbeat,
}

impl ProbeKind {
    /// The spec's section and the `type` of the REST answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Tcp => "tcp",
            Self::Dns => "dns",
            Self::Grpc => "grpc",
            Self::Icmp => "icmp",
            Self::WebSocket => "websocket",
            Self::Udp => "udp",
            Self::Heartbeat => "heartbeat",
        }
    }
}

/// The one probe section of a check.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// `http`
    Http(Box<HttpProbe>),
    /// `tcp`
    Tcp(Box<TcpProbe>),
    /// `dns`
    Dns(Box<DnsProbe>),
    /// `grpc`
    Grpc(Box<GrpcProbe>),
    /// `icmp`
    Icmp(IcmpProbe),
    /// `websocket`
    WebSocket(Box<WebSocketProbe>),
    /// `udp`
    Udp(Box<UdpProbe>),
    /// `heartbeat`
    Heartbeat(HeartbeatProbe),
}

/// A host: a name to resolve, or an address literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// A DNS name, perhaps relative (search domains apply), absolute with a trailing dot.
    Name(String),
    /// An address.
    Address(IpAddr),
}

impl Host {
    /// Reads a host as people write it; IPv6 literals with or without brackets.
    pub fn parse(text: &str) -> Self {
        let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
        bare.parse().map_or_else(|_| Self::Name(text.to_owned()), Self::Address)
    }

    /// `host:port`, with brackets around IPv6 literals.
    pub fn with_port(&self, port: u16) -> String {
        match self {
            Self::Address(IpAddr::V6(address)) => format!("[{address}]:{port}"),
            other => format!("{other}:{port}"),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// A name and a value that may be secret: a header, a metadata entry.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedValue {
    /// The name as written.
    pub name: String,
    /// The value, never shown.
    pub value: Sensitive,
}

/// User name and password.
#[derive(Clone, Debug, PartialEq)]
pub struct BasicCredentials {
    /// The user's name.
    pub username: Sensitive,
    /// The password.
    pub password: Sensitive,
}

/// `http.oauth2`: client credentials grant (RFC 6749 section 4.4).
#[derive(Clone, Debug, PartialEq)]
pub struct OAuth2 {
    /// Where tokens are had.
    pub token_url: Url,
    /// The client's id.
    pub client_id: Sensitive,
    /// The client's secret.
    pub client_secret: Sensitive,
    /// The scopes asked for.
    pub scopes: Vec<String>,
}

/// How an HTTP probe proves who it is.
#[derive(Clone, Debug, PartialEq)]
pub enum HttpAuth {
    /// Basic (RFC 7617).
    Basic(BasicCredentials),
    /// A bearer token (RFC 6750).
    Bearer(Sensitive),
    /// A token from an OAuth 2 server.
    OAuth2(OAuth2),
}

/// What `searchFor` looks for.
#[derive(Clone, Debug, PartialEq)]
pub enum SearchMatcher {
    /// `searchFor.string`
    Text(String),
    /// `searchFor.expression`
    Expression(Pattern),
}

/// `searchFor`: what the body must, or with `absent` must not, contain.
#[derive(Clone, Debug, PartialEq)]
pub struct Search {
    /// What is looked for.
    pub matcher: SearchMatcher,
    /// True when finding it is the failure.
    pub absent: bool,
}

impl Search {
    /// `string` or `expression`, as the status calls it.
    pub const fn type_word(&self) -> &'static str {
        match self.matcher {
            SearchMatcher::Text(_) => "string",
            SearchMatcher::Expression(_) => "expression",
        }
    }

    /// The text or expression as written.
    pub fn used(&self) -> &str {
        match &self.matcher {
            SearchMatcher::Text(text) => text,
            SearchMatcher::Expression(pattern) => pattern.as_str(),
        }
    }
}

/// What one response header must be.
#[derive(Clone, Debug, PartialEq)]
pub enum HeaderRule {
    /// Present, with exactly this value.
    Value(String),
    /// Present, with a value in which this is found.
    Expression(Pattern),
    /// Present, whatever its value.
    Present,
    /// Not there.
    Absent,
}

/// One element of `expectedHeaders`.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderExpectation {
    /// The header's name, compared without case.
    pub name: String,
    /// What it must be.
    pub rule: HeaderRule,
}

/// What the nodes a JSONPath selects must be.
#[derive(Clone, Debug, PartialEq)]
pub enum JsonRule {
    /// Equal to this value.
    Value(serde_json::Value),
    /// A string (or the JSON text of anything else) in which this is found.
    Expression(Pattern),
    /// At least one node is there.
    Present,
}

/// One element of `expectedJson`.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonExpectation {
    /// What to select.
    pub path: JsonPath,
    /// What every selected node must be; at least one must be selected.
    pub rule: JsonRule,
}

/// One element of `assertions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Assertion {
    /// Must be true.
    pub expression: CelExpression,
    /// Said when it is not.
    pub message: Option<String>,
}

/// `http.httpVersion`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// HTTP/2 where ALPN agrees on it, HTTP/1.1 otherwise.
    #[default]
    Auto,
    /// HTTP/1.1 only.
    Http1,
    /// HTTP/2 over TLS only.
    Http2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
}

/// `http.proxyUrl`, its user info taken out.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProxy {
    /// Where the proxy listens.
    pub url: Url,
    /// Who we are to it.
    pub credentials: Option<BasicCredentials>,
}

/// The oldest TLS version accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    V1_2,
    /// TLS 1.3.
    V1_3,
}

/// A certificate of our own, from a `kubernetes.io/tls` Secret.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientCertificate {
    /// The chain, PEM.
    pub certificate_pem: Sensitive,
    /// The private key, PEM.
    pub key_pem: Sensitive,
}

/// `tls`, wherever a probe can speak it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TlsOptions {
    /// `enabled`, where TLS is not already said by a scheme.
    pub enabled: bool,
    /// `serverName`: for SNI and verification, in place of the host.
    pub server_name: Option<String>,
    /// `ca`: PEM, in place of the system's roots.
    pub ca_pem: Option<Sensitive>,
    /// `clientCertificate`
    pub client_certificate: Option<ClientCertificate>,
    /// `insecureSkipVerify`
    pub insecure_skip_verify: bool,
    /// `minVersion`
    pub min_version: TlsVersion,
}

/// `http`
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// `url`, its user info taken out (it is in `auth`).
    pub url: Url,
    /// `method`
    pub method: String,
    /// `headers`; `Host` overrides the authority.
    pub headers: Vec<NamedValue>,
    /// `body` or `bodyFrom`
    pub body: Option<Sensitive>,
    /// `basicAuth`, `bearerToken` or `oauth2`
    pub auth: Option<HttpAuth>,
    /// `expectedStatus`
    pub expected_status: StatusSet,
    /// `searchFor`
    pub search: Option<Search>,
    /// `expectedHeaders`
    pub expected_headers: Vec<HeaderExpectation>,
    /// `expectedJson`
    pub expected_json: Vec<JsonExpectation>,
    /// `assertions`
    pub assertions: Vec<Assertion>,
    /// `followRedirects`
    pub follow_redirects: bool,
    /// `maxRedirects`
    pub max_redirects: u32,
    /// `httpVersion`
    pub version: HttpVersion,
    /// `maxBodyBytes`, after decompression.
    pub max_body_bytes: u64,
    /// `proxyUrl`
    pub proxy: Option<HttpProxy>,
    /// `tls`
    pub tls: TlsOptions,
    /// `sslCheck.expiration`, days.
    pub certificate_expiry_days: Option<u32>,
}

impl HttpProbe {
    /// `maxBodyBytes` when none is given: 1 MiB.
    pub const DEFAULT_MAX_BODY_BYTES: u64 = 1 << 20;
    /// `maxRedirects` when none is given.
    pub const DEFAULT_MAX_REDIRECTS: u32 = 10;

    /// A GET of this URL with every option at its default.
    pub fn get(url: Url) -> Self {
        Self {
            url,
            method: "GET".to_owned(),
            headers: Vec::new(),
            body: None,
            auth: None,
            expected_status: StatusSet::default(),
            search: None,
            expected_headers: Vec::new(),
            expected_json: Vec::new(),
            assertions: Vec::new(),
            follow_redirects: true,
            max_redirects: Self::DEFAULT_MAX_REDIRECTS,
            version: HttpVersion::Auto,
            max_body_bytes: Self::DEFAULT_MAX_BODY_BYTES,
            proxy: None,
            tls: TlsOptions::default(),
            certificate_expiry_days: None,
        }
    }
}

/// One element of a `dialogue`: first send, then wait for a match.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DialogueStep {
    /// Bytes to send, escapes already undone.
    pub send: Option<Vec<u8>>,
    /// What must be found (multi-line) in what came since the last match.
    pub expect: Option<Pattern>,
}

/// `tls.startTls`: how a plain connection is turned into TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartTls {
    /// RFC 3207.
    Smtp,
    /// RFC 9051.
    Imap,
    /// RFC 2595.
    Pop3,
    /// RFC 4217.
    Ftp,
    /// RFC 4511 section 4.14.
    Ldap,
    /// RFC 6120 section 5.
    Xmpp,
    /// `SSLRequest`.
    Postgres,
    /// `SSLRequest` in the capability flags.
    MySql,
}

/// `tcp`
#[derive(Clone, Debug, PartialEq)]
pub struct TcpProbe {
    /// `host` (or `ipv4`)
    pub host: Host,
    /// `port`
    pub port: u16,
    /// `dialogue`
    pub dialogue: Vec<DialogueStep>,
    /// `expectRefused`: healthy when nobody listens.
    pub expect_refused: bool,
    /// `tls`
    pub tls: TlsOptions,
    /// `tls.startTls`
    pub start_tls: Option<StartTls>,
    /// `sslCheck.expiration`, days.
    pub certificate_expiry_days: Option<u32>,
}

/// `dns.transport`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DnsTransport {
    /// UDP, asked again over TCP when truncated.
    #[default]
    Udp,
    /// TCP (RFC 7766).
    Tcp,
    /// TLS (RFC 7858).
    Tls,
    /// HTTPS (RFC 8484).
    Https,
}

/// `dns.server`
#[derive(Clone, Debug, PartialEq)]
pub enum DnsServer {
    /// The system's name servers.
    System,
    /// One server; without a port, the transport's default is meant.
    Address {
        /// The server's name or address.
        host: Host,
        /// 53, 853 or 443 when not given.
        port: Option<u16>,
    },
    /// A DNS-over-HTTPS endpoint with its path.
    Url(Url),
}

/// `dns`
#[derive(Clone, Debug, PartialEq)]
pub struct DnsProbe {
    /// `name`: what is asked for.
    pub name: String,
    /// `type`, upper case (`A`, `AAAA`, `MX`, …).
    pub record_type: String,
    /// `server`
    pub server: DnsServer,
    /// `transport`
    pub transport: DnsTransport,
    /// `expectedRcode`, upper case (`NOERROR`, `NXDOMAIN`, …).
    pub expected_rcode: String,
    /// `expectedAnswers`: all of them must be there.
    pub expected_answers: Vec<String>,
    /// `answerExpression`: one answer must match.
    pub answer_expression: Option<Pattern>,
    /// `tls`, for `Tls` and `Https`.
    pub tls: TlsOptions,
}

/// `grpc`
#[derive(Clone, Debug, PartialEq)]
pub struct GrpcProbe {
    /// `host`
    pub host: Host,
    /// `port`
    pub port: u16,
    /// `service`; empty asks for the server as a whole.
    pub service: String,
    /// `metadata`
    pub metadata: Vec<NamedValue>,
    /// `tls`
    pub tls: TlsOptions,
    /// `sslCheck.expiration`, days.
    pub certificate_expiry_days: Option<u32>,
}

/// `icmp`
#[derive(Clone, Debug, PartialEq)]
pub struct IcmpProbe {
    /// `host`
    pub host: Host,
    /// `count`: echo requests per probe.
    pub count: u16,
    /// `maxLossPercent`, 0 to 100.
    pub max_loss_percent: u8,
    /// `payloadBytes`
    pub payload_bytes: u16,
}

/// `websocket`
#[derive(Clone, Debug, PartialEq)]
pub struct WebSocketProbe {
    /// `url`, `ws` or `wss`, its user info taken out.
    pub url: Url,
    /// `headers`
    pub headers: Vec<NamedValue>,
    /// User info of the URL.
    pub auth: Option<HttpAuth>,
    /// `send`: a text message.
    pub send: Option<Vec<u8>>,
    /// `expect`: must be found in what comes back.
    pub expect: Option<Pattern>,
    /// `tls`
    pub tls: TlsOptions,
}

/// `udp`
#[derive(Clone, Debug, PartialEq)]
pub struct UdpProbe {
    /// `host`
    pub host: Host,
    /// `port`
    pub port: u16,
    /// `send`: the datagram.
    pub send: Vec<u8>,
    /// `expect`: must be found in an answer.
    pub expect: Option<Pattern>,
}

/// `heartbeat`
#[derive(Clone, Debug, PartialEq)]
pub struct HeartbeatProbe {
    /// `grace`: how much later than `testInterval` a report may come.
    pub grace: Duration,
    /// `token`: what a report must carry as bearer token.
    pub token: Option<Sensitive>,
}

impl Probe {
    /// Which protocol it is.
    pub const fn kind(&self) -> ProbeKind {
        match self {
            Self::Http(_) => ProbeKind::Http,
            Self::Tcp(_) => ProbeKind::Tcp,
            Self::Dns(_) => ProbeKind::Dns,
            Self::Grpc(_) => ProbeKind::Grpc,
            Self::Icmp(_) => ProbeKind::Icmp,
            Self::WebSocket(_) => ProbeKind::WebSocket,
            Self::Udp(_) => ProbeKind::Udp,
            Self::Heartbeat(_) => ProbeKind::Heartbeat,
        }
    }

    /// What is asked, in one word for people: a URL without user info and without the values of query parameters that look
    /// like credentials, or `scheme://host:port`.
    pub fn target(&self) -> String {
        match self {
            Self::Http(http) => shown_url(&http.url),
            Self::Tcp(tcp) => {
                let scheme = if tcp.tls.enabled { "tls" } else { "tcp" };
                format!("{scheme}://{}", tcp.host.with_port(tcp.port))
            }
            Self::Dns(dns) => {
                let server = match &dns.server {
                    DnsServer::System => String::new(),
                    DnsServer::Address { host, port: Some(port) } => host.with_port(*port),
                    DnsServer::Address { host, port: None } => host.to_string(),
                    DnsServer::Url(url) => shown_url(url),
                };
                format!("dns://{server}/{}?type={}", dns.name, dns.record_type)
            }
            Self::Grpc(grpc) => {
                let scheme = if grpc.tls.enabled { "grpcs" } else { "grpc" };
                format!("{scheme}://{}/{}", grpc.host.with_port(grpc.port), grpc.service)
            }
            Self::Icmp(icmp) => format!("icmp://{}", icmp.host),
            Self::WebSocket(websocket) => shown_url(&websocket.url),
            Self::Udp(udp) => format!("udp://{}", udp.host.with_port(udp.port)),
            Self::Heartbeat(_) => "heartbeat".to_owned(),
        }
    }

    /// The host whose load a probe adds to, for bounds per host; `None` where nothing is dialled.
    pub fn host_key(&self) -> Option<String> {
        match self {
            Self::Http(http) => http.url.host_str().map(str::to_ascii_lowercase),
            Self::Tcp(tcp) => Some(tcp.host.to_string().to_ascii_lowercase()),
            Self::Dns(dns) => match &dns.server {
                DnsServer::System => None,
                DnsServer::Address { host, .. } => Some(host.to_string().to_ascii_lowercase()),
                DnsServer::Url(url) => url.host_str().map(str::to_ascii_lowercase),
            },
            Self::Grpc(grpc) => Some(grpc.host.to_string().to_ascii_lowercase()),
            Self::Icmp(icmp) => Some(icmp.host.to_string().to_ascii_lowercase()),
            Self::WebSocket(websocket) => websocket.url.host_str().map(str::to_ascii_lowercase),
            Self::Udp(udp) => Some(udp.host.to_string().to_ascii_lowercase()),
            Self::Heartbeat(_) => None,
        }
    }

    /// `searchFor`, where this probe has one.
    pub fn search(&self) -> Option<&Search> {
        match self {
            Self::Http(http) => http.search.as_ref(),
            Self::Tcp(_)
            | Self::Dns(_)
            | Self::Grpc(_)
            | Self::Icmp(_)
            | Self::WebSocket(_)
            | Self::Udp(_)
            | Self::Heartbeat(_) => None,
        }
    }
}
