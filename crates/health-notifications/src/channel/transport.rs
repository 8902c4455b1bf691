//! The one HTTP client of all channels: a deadline, bounded answers, no redirects, errors without addresses.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};

use super::{Call, Verdict, Way, email, secrets, way};
use crate::{destination::Destination, message::Message};

/// Bytes of an answer that are read; the rest is cut off with the connection.
const LARGEST_ANSWER: usize = 16 * 1024;
/// Bytes of an answer that are quoted.
const QUOTED: usize = 200;

/// Carries messages to providers.
#[derive(Clone, Debug)]
pub struct Transport {
    http: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    timeout: Duration,
    extra_roots: Option<Arc<[u8]>>,
}

/// Why no transport could be made.
#[derive(Debug, thiserror::Error)]
#[error("the roots of trust cannot be used: {0}")]
pub struct TransportError(String);

impl Transport {
    /// A client that trusts the system's roots and these (PEM), with one deadline per delivery.
    ///
    /// # Errors
    /// When the extra roots are no certificates.
    pub fn new(timeout: Duration, extra_roots: Option<Arc<[u8]>>) -> Result<Self, TransportError> {
        let mut roots = rustls::RootCertStore::empty();
        // A machine without roots can still tell whoever is reached without TLS.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        for certificate in extra_roots.iter().flat_map(|pem| CertificateDer::pem_slice_iter(pem)) {
            let certificate = certificate.map_err(|error| TransportError(error.to_string()))?;
            roots.add(certificate).map_err(|error| TransportError(error.to_string()))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| TransportError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(timeout));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls)
            .https_or_http()
            .enable_http1()
            .enable_http2()
            .wrap_connector(connector);
        let http = Client::builder(TokioExecutor::new())
            .pool_timer(hyper_util::rt::TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .retry_canceled_requests(false)
            .build(connector);
        Ok(Self { http, timeout, extra_roots })
    }

    /// Delivers one message; always answers within the deadline.
    pub async fn deliver(&self, destination: &Destination, message: &Message) -> Verdict {
        self.deliver_and_quote(destination, message).await.0
    }

    /// Delivers one message; also says what the provider answered, without secrets.
    pub async fn deliver_and_quote(&self, destination: &Destination, message: &Message) -> (Verdict, String) {
        let hidden = secrets(destination.channel(), destination.address());
        let redact = |text: &str| redacted(text, hidden.iter().map(health_model::Sensitive::expose));
        let way = match way(destination, message) {
            Ok(way) => way,
            Err(why) => return (Verdict::Rejected { why: redact(&why) }, String::new()),
        };
        let verdict = tokio::time::timeout(self.timeout, self.go(way, message)).await;
        let Ok((verdict, said)) = verdict else {
            let why = format!("no answer within {:?}", self.timeout);
            return (Verdict::Retry { why, after: None, ambiguous: true }, String::new());
        };
        (verdict.redacted(redact), redact(&said))
    }

    async fn go(&self, way: Way<'_>, message: &Message) -> (Verdict, String) {
        match way {
            Way::Http(call) => self.exchange(call).await,
            Way::Mail(section) => {
                Box::pin(email::deliver(&section, message, self.timeout, self.extra_roots.as_deref())).await
            }
        }
    }

    async fn exchange(&self, call: Call) -> (Verdict, String) {
        let request = match request(call) {
            Ok(request) => request,
            Err(why) => return (Verdict::Rejected { why: why.to_owned() }, String::new()),
        };
        match self.http.request(request).await {
            Ok(answer) => {
                let (head, body) = answer.into_parts();
                let body = Limited::new(body, LARGEST_ANSWER).collect().await;
                // An answer that breaks off or is too long has still been given: its status counts.
                let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
                let said = quote(head.status, &body);
                (judge(head.status, &head.headers, &body, &said), said)
            }
            Err(error) => (unreached(&error), String::new()),
        }
    }
}

fn request(call: Call) -> Result<Request<Full<Bytes>>, &'static str> {
    let Call { method, url, headers, body } = call;
    let url = url::Url::parse(url.expose()).map_err(|_| "the address is no URL")?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the address is neither http nor https");
    }
    let mut bare = url.clone();
    let _ = (bare.set_username(""), bare.set_password(None));
    bare.set_fragment(None);
    let mut builder = Request::builder()
        .method(method)
        .uri(bare.as_str())
        .header(header::USER_AGENT, concat!("health-check-operator/", env!("CARGO_PKG_VERSION")));
    if let Some(credentials) = user_info(&url) {
        builder = builder.header(header::AUTHORIZATION, credentials);
    }
    for (name, value) in headers {
        let mut value = http::HeaderValue::from_str(value.expose())
            .map_err(|_| "a header's value has characters it must not have")?;
        value.set_sensitive(true);
        builder = builder.header(name, value);
    }
    builder.body(Full::new(Bytes::from(body))).map_err(|_| "the address makes no valid request")
}

/// User info of an address is sent as basic authentication.
fn user_info(url: &url::Url) -> Option<String> {
    use base64::Engine as _;
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let both = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both)))
}

fn unreached(error: &hyper_util::client::legacy::Error) -> Verdict {
    let connecting = error.is_connect();
    let why = if connecting { "no connection" } else { "the connection broke before there was an answer" };
    let detail = innermost(error);
    Verdict::Retry { why: format!("{why}: {detail}"), after: None, ambiguous: !connecting }
}

/// The innermost cause: what the system or TLS said. Neither names the path of an address.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

fn quote(status: StatusCode, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(QUOTED).collect();
    if text.is_empty() { status.to_string() } else { format!("{status}: {text}") }
}

fn judge(status: StatusCode, headers: &HeaderMap, body: &[u8], said: &str) -> Verdict {
    let why = format!("answered {said}");
    if status.is_success() {
        return Verdict::Accepted;
    }
    let busy = matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS | StatusCode::TOO_EARLY);
    if busy || status.is_server_error() {
        let after = retry_after(headers).or_else(|| asked_in_body(body));
        // A gateway that gave up waiting does not know what became of the message.
        return Verdict::Retry { why, after, ambiguous: status == StatusCode::GATEWAY_TIMEOUT };
    }
    if status.is_redirection() {
        return Verdict::Rejected { why: format!("{why}; redirects are not followed: write the final address") };
    }
    Verdict::Rejected { why }
}

/// `Retry-After` (RFC 9110 section 10.2.3): seconds, perhaps with a fraction as Discord writes them, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

/// Where some providers say how long to wait: Telegram, Discord and Matrix.
fn asked_in_body(body: &[u8]) -> Option<Duration> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let seconds = body.pointer("/parameters/retry_after").or_else(|| body.get("retry_after"));
    let seconds = seconds.and_then(serde_json::Value::as_f64);
    let seconds = seconds.or_else(|| Some(body.get("retry_after_ms")?.as_f64()? / 1000.0))?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// Takes every secret, and every long enough part of a secret address, out of a text.
fn redacted<'a>(text: &str, secrets: impl Iterator<Item = &'a str>) -> String {
    let mut text = text.to_owned();
    for secret in secrets {
        if secret.len() >= 3 {
            text = text.replace(secret, "[redacted]");
        }
        let Ok(url) = url::Url::parse(secret) else { continue };
        let parts = url.path().split('/').chain(url.query().into_iter().flat_map(|query| query.split(['&', '='])));
        let parts = parts.chain([url.username()]).chain(url.password());
        for part in parts.filter(|part| part.len() >= 6) {
            text = text.replace(part, "[redacted]");
        }
    }
    text
}

impl Verdict {
    fn redacted(self, redact: impl Fn(&str) -> String) -> Self {
        match self {
            Self::Accepted => Self::Accepted,
            Self::Retry { why, after, ambiguous } => Self::Retry { why: redact(&why), after, ambiguous },
            Self::Rejected { why } => Self::Rejected { why: redact(&why) },
        }
    }
}
