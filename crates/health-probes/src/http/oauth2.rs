//! Tokens of OAuth 2 servers (client credentials, RFC 6749 section 4.4), kept until they expire.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use health_model::{BasicCredentials, OAuth2, Reason, Sensitive, TlsOptions};
use http::{
    HeaderValue, Method, Request, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST},
};
use http_body_util::Full;
use url::{Position, form_urlencoded};

use super::{body, host_of, request::basic, status_line, wire};
use crate::{
    Ask,
    failure::Failure,
    tls::{Alpn, TlsPeer},
    trace::Trace,
};

/// Tokens kept at most; beyond it, all are asked for anew.
const MOST_TOKENS: usize = 1024;
/// Bytes of a token server's answer that are read at most.
const LARGEST_ANSWER: u64 = 256 << 10;
/// How long a token of unknown lifetime is used.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(300);
/// How long before its end a token is no longer used.
const MARGIN: Duration = Duration::from_secs(10);
/// No token is used for longer than this, whatever its server says.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    url: String,
    id: Sensitive,
    secret: Sensitive,
    scopes: Vec<String>,
}

impl Key {
    fn of(oauth: &OAuth2) -> Self {
        Self {
            url: oauth.token_url.to_string(),
            id: oauth.client_id.clone(),
            secret: oauth.client_secret.clone(),
            scopes: oauth.scopes.clone(),
        }
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<(Sensitive, Instant)>>>;

/// The tokens of a process. Checks that share credentials share a token, and one asks for it while the others wait.
#[derive(Default)]
pub(crate) struct Tokens(Mutex<HashMap<Key, Slot>>);

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").finish_non_exhaustive()
    }
}

impl Tokens {
    /// A token, from memory or the server. One equal to `refused` is not given again.
    pub(super) async fn get(
        &self,
        client: &Client<'_>,
        refused: Option<&Sensitive>,
        trace: &mut Trace,
    ) -> Result<Sensitive, Failure> {
        // Should the deadline pass within, it is the token server that kept silent.
        trace.waiting_for = Some(client.name());
        let token = self.had(client, refused, trace).await;
        trace.waiting_for = None;
        token
    }

    async fn had(
        &self,
        client: &Client<'_>,
        refused: Option<&Sensitive>,
        trace: &mut Trace,
    ) -> Result<Sensitive, Failure> {
        let slot = self.slot(Key::of(client.oauth));
        let mut slot = slot.lock().await;
        match &*slot {
            Some((token, until)) if *until > Instant::now() && Some(token) != refused => return Ok(token.clone()),
            _ => *slot = None,
        }
        let (token, lifetime) = client.fetch(trace).await?;
        *slot = Some((token.clone(), Instant::now() + lifetime.saturating_sub(MARGIN)));
        Ok(token)
    }

    /// How many tokens are kept, and how many may be.
    pub(super) fn level(&self) -> (usize, usize) {
        (self.0.lock().unwrap_or_else(PoisonError::into_inner).len(), MOST_TOKENS)
    }

    fn slot(&self, key: Key) -> Slot {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if slots.len() >= MOST_TOKENS && !slots.contains_key(&key) {
            slots.clear();
        }
        Arc::clone(slots.entry(key).or_default())
    }
}

/// Who asks for a token, of whom, and how it is reached.
pub(super) struct Client<'a> {
    pub(super) ask: &'a Ask<'a>,
    pub(super) oauth: &'a OAuth2,
    /// The target's TLS options, of which only the authority counts here.
    pub(super) tls: &'a TlsOptions,
}

impl Client<'_> {
    async fn fetch(&self, trace: &mut Trace) -> Result<(Sensitive, Duration), Failure> {
        self.answered(trace).await.map_err(|failure| unavailable(&self.name(), failure))
    }

    fn name(&self) -> String {
        format!("oauth2: the token server {}", self.oauth.token_url.host_str().unwrap_or_default())
    }

    async fn answered(&self, trace: &mut Trace) -> Result<(Sensitive, Duration), Failure> {
        let (mut status, mut answer) = self.post(true, trace).await?;
        if matches!(status.as_u16(), 400 | 401) {
            // Some servers take the credentials in the body only (RFC 6749 section 2.3.1).
            (status, answer) = self.post(false, trace).await?;
        }
        read(status, &answer)
    }

    async fn post(&self, in_header: bool, trace: &mut Trace) -> Result<(StatusCode, Vec<u8>), Failure> {
        let Self { ask, oauth, tls } = self;
        let url = &oauth.token_url;
        let host = host_of(url)?;
        let port = url.port_or_known_default().unwrap_or(443);
        let stream = ask.connector.tcp(&host, port, ask.family, trace).await?;
        let request = request(oauth, in_header)?;
        let answer = if url.scheme() == "https" {
            // The target's authority may have signed the token server too; its other options are the target's own.
            let options = TlsOptions { ca_pem: tls.ca_pem.clone(), ..TlsOptions::default() };
            let peer = TlsPeer { host: &host, options: &options, alpn: Alpn::Http1 };
            let stream = ask.connector.tls(stream, &peer, trace).await?;
            trace.certificate = None;
            wire::http1(stream, request, trace).await?
        } else {
            wire::http1(stream, request, trace).await?
        };
        let body = body::read(answer.body, &answer.head.headers, LARGEST_ANSWER, trace).await?;
        Ok((answer.head.status, body.bytes))
    }
}

/// A token that cannot be had says nothing about the target, which was not asked. What only the manifest can mend, and what
/// is our own fault, keeps its reason.
fn unavailable(server: &str, failure: Failure) -> Failure {
    let message = format!("{server}: {}", failure.message);
    match failure.reason {
        Reason::InvalidConfiguration | Reason::AddressForbidden | Reason::ProberFault => Failure { message, ..failure },
        _ => Failure::new(Reason::CredentialsUnavailable, format!("{message}; no token, so the target was not asked")),
    }
}

fn request(oauth: &OAuth2, in_header: bool) -> Result<Request<Full<Bytes>>, Failure> {
    let encoded = |text: &Sensitive| form_urlencoded::byte_serialize(text.expose().as_bytes()).collect::<String>();
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("grant_type", "client_credentials");
    if !oauth.scopes.is_empty() {
        form.append_pair("scope", &oauth.scopes.join(" "));
    }
    if !in_header {
        form.append_pair("client_id", oauth.client_id.expose());
        form.append_pair("client_secret", oauth.client_secret.expose());
    }
    let url = &oauth.token_url;
    let refused = |_| Failure::configuration("oauth2.tokenUrl: cannot be sent as written");
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, &url[Position::BeforeHost..Position::AfterPort])
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(ACCEPT, "application/json")
        .header(CONNECTION, "close")
        .body(Full::new(Bytes::from(form.finish())))
        .map_err(refused)?;
    if in_header {
        let own = BasicCredentials {
            username: encoded(&oauth.client_id).into(),
            password: encoded(&oauth.client_secret).into(),
        };
        let value: HeaderValue = basic(&own)?;
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    Ok(request)
}

fn read(status: StatusCode, answer: &[u8]) -> Result<(Sensitive, Duration), Failure> {
    let json: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    if !status.is_success() {
        // RFC 6749 section 5.2: a word of a closed vocabulary, nothing of ours.
        let known = ["invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "invalid_scope"];
        let word = json["error"].as_str().and_then(|word| known.into_iter().find(|known| *known == word));
        let line = status_line(status);
        let word = word.map(|word| format!(" ({word})")).unwrap_or_default();
        // 408 and 429 pass by themselves; every other 4xx needs a hand.
        let passes = matches!(status.as_u16(), 408 | 429);
        return Err(if status.is_client_error() && !passes {
            Failure::configuration(format!("{line}{word}: it refuses clientId, clientSecret or scopes"))
        } else {
            Failure::new(Reason::UnexpectedStatus, format!("{line}: it gives no token"))
        });
    }
    let token = json["access_token"].as_str().filter(|token| !token.is_empty());
    let token = token.ok_or_else(|| Failure::protocol("its answer holds no access_token"))?;
    let seconds = json["expires_in"].as_u64().or_else(|| json["expires_in"].as_str()?.parse().ok());
    let lifetime = seconds.map_or(UNKNOWN_LIFETIME, Duration::from_secs).min(LONGEST_LIFETIME);
    Ok((Sensitive::new(token), lifetime))
}
