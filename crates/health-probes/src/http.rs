//! `http`: a request on a connection of its own, redirects followed, the answer judged.
//!
//! One exchange is connect → (proxy) → TLS → request → head → body; redirects repeat it. What is judged, and in which
//! order, is in [`judge`]; what is shown of a failure goes through [`redact`] first.

mod assertions;
mod body;
mod exchange;
mod judge;
mod oauth2;
mod proxy;
pub(crate) mod redact;
mod redirect;
pub(crate) mod request;
mod steps;
pub(crate) mod tasks;
mod wire;

use std::{
    fmt,
    net::SocketAddr,
    time::{Duration, Instant},
};

use body::Body;
use health_model::{Host, HttpAuth, HttpProbe, Reason, Sensitive};
use http::StatusCode;
use jiff::Timestamp;
use redact::Redactor;
use redirect::Hop;
use url::Url;
use wire::Answer;

use crate::{Ask, failure::Failure, tls, trace::Trace};

/// How long the body of an answer that has failed already is waited for, as evidence.
const EVIDENCE_PATIENCE: Duration = Duration::from_millis(500);

/// What the HTTP probes of a process share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    tokens: oauth2::Tokens,
    evaluator: assertions::Evaluator,
}

impl Shared {
    /// How many OAuth 2 tokens are kept, and how many may be.
    pub(crate) fn tokens(&self) -> (usize, usize) {
        self.tokens.level()
    }
}

/// Asks, follows, judges.
pub(crate) async fn probe(ask: &Ask<'_>, http: &HttpProbe, trace: &mut Trace) -> Result<String, Failure> {
    let mut seen = Seen { hop: Hop::first(http, request::method(http)?), token: None, answer: None };
    let errand = Errand { ask, http, looks_at_body: judge::looks_at_body(http) };
    let result = errand.run(&mut seen, trace).await;
    result.map_err(|failure| seen.explain(http, failure, trace))
}

/// Asks on a stream that is open already, follows no redirect further than to the next request, and judges.
#[cfg(any(test, fuzzing))]
pub(crate) async fn probe_on<S>(
    stream: S,
    ask: &Ask<'_>,
    http: &HttpProbe,
    trace: &mut Trace,
) -> Result<String, Failure>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let mut seen = Seen { hop: Hop::first(http, request::method(http)?), token: None, answer: None };
    let errand = Errand { ask, http, looks_at_body: judge::looks_at_body(http) };
    let asked = async {
        let travel = request::Travel::Http1;
        let request = request::build(http, &seen.hop, travel, None, errand.looks_at_body)?;
        let answer = wire::http1(stream, request, trace).await?;
        trace.status_code = Some(answer.head.status.as_u16());
        if let Some(next) = seen.hop.next(http, answer.head.status, &answer.head.headers)? {
            request::build(http, &next, travel, None, errand.looks_at_body)?;
            seen.hop = next;
        }
        errand.judged(answer, &mut seen, trace).await
    };
    let result = asked.await;
    result.map_err(|failure| seen.explain(http, failure, trace))
}

/// One probe: who asks, for what, and whether the body matters.
struct Errand<'a> {
    ask: &'a Ask<'a>,
    http: &'a HttpProbe,
    looks_at_body: bool,
}

/// What a probe has come to so far; read when it fails.
struct Seen {
    hop: Hop,
    token: Option<Sensitive>,
    answer: Option<(http::response::Parts, Body)>,
}

impl Seen {
    /// Leaves the evidence in the trace, and takes from the failure what must not be shown.
    fn explain(self, http: &HttpProbe, failure: Failure, trace: &mut Trace) -> Failure {
        let redactor = Redactor::of(http, self.token.as_ref().map(Sensitive::expose), &self.hop.cookies);
        if let Some((head, body)) = &self.answer {
            trace.headers = redactor.headers(&head.headers);
            trace.body = (!body.bytes.is_empty()).then(|| redactor.body(&body.bytes));
        }
        trace.redact(|line| redactor.text(line));
        // After a redirect, the text names where it led: the peer's word too.
        if quotes_the_answer(failure.reason) || self.hop.redirects > 0 {
            return Failure { message: redactor.text(failure.message), ..failure };
        }
        failure
    }
}

impl Errand<'_> {
    async fn run(&self, seen: &mut Seen, trace: &mut Trace) -> Result<String, Failure> {
        let answer = self.followed(seen, trace).await?;
        self.judged(answer, seen, trace).await
    }

    /// Reads what is left of the last answer, and judges it.
    async fn judged(&self, answer: Answer, seen: &mut Seen, trace: &mut Trace) -> Result<String, Failure> {
        let http = self.http;
        let Answer { head, body: mut wire } = answer;
        let status = head.status;
        let now = Timestamp::now();
        let place = Place::of(trace, &seen.hop);
        if let Err(failure) = judge::head(http, status, &head.headers, &place, now) {
            let patience = EVIDENCE_PATIENCE.min(self.ask.deadline.saturating_duration_since(Instant::now()) / 2);
            let skimmed = tokio::time::timeout(patience, body::skim(&mut wire, body::EVIDENCE as u64, trace)).await;
            let body = skimmed.ok().and_then(Result::ok).unwrap_or_default();
            let failure = judge::in_hindsight(failure, status, &body, &http.tls);
            seen.answer = Some((head, body));
            trace.leave();
            return Err(redirected_too_far(http, seen, failure));
        }
        let body = if self.looks_at_body {
            Box::pin(body::read(wire, &head.headers, http.max_body_bytes, trace)).await
        } else {
            body::skim(&mut wire, http.max_body_bytes, trace).await
        };
        let (body, broken) = match body {
            Ok(body) => (body, None),
            Err(failure) => (Body::default(), Some(failure)),
        };
        let (head, body) = &*seen.answer.insert((head, body));
        let in_line =
            |failure: Failure| Failure { message: format!("{}: {}", status_line(status), failure.message), ..failure };
        if let Some(failure) = broken {
            return Err(in_line(failure));
        }
        trace.leave();
        if self.looks_at_body {
            judge::body(http, status, body, &place)?;
        }
        if !http.expected_json.is_empty() || !http.assertions.is_empty() {
            Box::pin(self.documents(head, body, &place, trace)).await?;
        }
        tls::check_expiry(trace, http.certificate_expiry_days, now).map_err(in_line)?;
        Ok(status_line(status))
    }

    /// JSON expectations and assertions.
    async fn documents(
        &self,
        head: &http::response::Parts,
        body: &Body,
        place: &Place,
        trace: &Trace,
    ) -> Result<(), Failure> {
        let document = serde_json::from_slice::<serde_json::Value>(&body.bytes);
        let document = document.map_err(|error| match body.bytes.as_slice() {
            [] => "the body is empty".to_owned(),
            _ => format!("the body is not ({error})"),
        });
        let document = self.selected(head.status, document, place).await?;
        let document = document.as_ref().map_err(String::as_str);
        let subject = assertions::Subject {
            status: head.status,
            headers: &head.headers,
            body: &body.bytes,
            json: document.ok(),
            latency: trace.elapsed(),
            certificate: trace.certificate.as_deref(),
            now: Timestamp::now(),
        };
        self.ask.http.evaluator.judge(&self.http.assertions, &subject, place).await
    }

    /// JSON expectations; what may be costly is looked for off the threads that probe.
    async fn selected(
        &self,
        status: StatusCode,
        document: Result<serde_json::Value, String>,
        place: &Place,
    ) -> Result<Result<serde_json::Value, String>, Failure> {
        let expectations = &self.http.expected_json;
        match document {
            Ok(document) if steps::are_costly(expectations, &document) => {
                let (expectations, place) = (expectations.clone(), place.to_string());
                let looking = move || {
                    let judged = judge::json(&expectations, status, Ok(&document), &place);
                    judged.map(|()| Ok(document))
                };
                let broken =
                    |problem: String| Failure::new(Reason::AssertionFailed, format!("expectedJson: {problem}"));
                self.ask.http.evaluator.costly(looking).await.map_err(broken)?
            }
            document => {
                judge::json(expectations, status, document.as_ref().map_err(String::as_str), place)?;
                Ok(document)
            }
        }
    }

    /// The last of the exchanges: no redirect, or one that is not to be followed.
    async fn followed(&self, seen: &mut Seen, trace: &mut Trace) -> Result<Answer, Failure> {
        loop {
            let answer = self.authenticated(seen, trace).await?;
            let status = answer.head.status;
            trace.status_code = Some(status.as_u16());
            if !self.http.follow_redirects {
                return Ok(answer);
            }
            let next = seen.hop.next(self.http, status, &answer.head.headers).inspect_err(|_| trace.leave())?;
            let Some(next) = next else { return Ok(answer) };
            let place = Place::of(trace, &seen.hop);
            trace.note(format!("{} from {place}, redirected to {}", status_line(status), origin(&next.url)));
            seen.hop = next;
        }
    }

    /// One exchange; with OAuth 2, a token that is refused is replaced once.
    async fn authenticated(&self, seen: &mut Seen, trace: &mut Trace) -> Result<Answer, Failure> {
        let Some(HttpAuth::OAuth2(oauth)) = self.http.auth.as_ref().filter(|_| seen.hop.own_origin) else {
            return self.exchange(&seen.hop, None, trace).await;
        };
        let client = oauth2::Client { ask: self.ask, oauth, tls: &self.http.tls };
        let tokens = &self.ask.http.tokens;
        let token = Box::pin(tokens.get(&client, None, trace)).await?;
        seen.token = Some(token.clone());
        let answer = self.exchange(&seen.hop, Some(token.expose()), trace).await?;
        if answer.head.status != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        drop(answer);
        trace.note("401 Unauthorized: asking for a fresh token");
        let token = Box::pin(tokens.get(&client, Some(&token), trace)).await?;
        seen.token = Some(token.clone());
        self.exchange(&seen.hop, Some(token.expose()), trace).await
    }
}

/// Whether a failure's line may hold words of the peer's. Our own words stay as they are, whatever a user is called.
const fn quotes_the_answer(reason: Reason) -> bool {
    matches!(reason, Reason::HeaderMismatch | Reason::AssertionFailed | Reason::ProtocolError)
}

/// A status that was expected, but came before a redirect that was followed.
fn redirected_too_far(http: &HttpProbe, seen: &Seen, failure: Failure) -> Failure {
    let expects_redirect = [301, 302, 303, 307, 308].into_iter().any(|code| http.expected_status.contains(code));
    if seen.hop.redirects > 0 && expects_redirect {
        let message = format!("{} (after a redirect: set followRedirects to false to judge that)", failure.message);
        return Failure { message, ..failure };
    }
    failure
}

/// Who answered, for the line that says so; written only when something is to be said.
struct Place {
    remote: Option<SocketAddr>,
    redirected: Option<(u32, String)>,
}

impl Place {
    fn of(trace: &Trace, hop: &Hop) -> Self {
        Self { remote: trace.remote, redirected: (hop.redirects > 0).then(|| (hop.redirects, origin(&hop.url))) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.remote {
            Some(remote) => write!(f, "{remote}")?,
            None => f.write_str("nobody")?,
        }
        match &self.redirected {
            None => Ok(()),
            Some((1, origin)) => write!(f, " ({origin}, after a redirect)"),
            Some((count, origin)) => write!(f, " ({origin}, after {count} redirects)"),
        }
    }
}

/// Scheme, host and port: as much of a URL as is shown of one that a peer made.
fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

/// The host of a URL, ready to be dialled.
fn host_of(url: &Url) -> Result<Host, Failure> {
    match url.host() {
        Some(url::Host::Domain(name)) => Ok(Host::Name(name.to_owned())),
        Some(url::Host::Ipv4(address)) => Ok(Host::Address(address.into())),
        Some(url::Host::Ipv6(address)) => Ok(Host::Address(address.into())),
        None => Err(Failure::configuration("url: has no host")),
    }
}

/// `200 OK`, as every response text begins.
fn status_line(status: StatusCode) -> String {
    match status.canonical_reason() {
        Some(words) => format!("{} {words}", status.as_str()),
        None => status.as_str().to_owned(),
    }
}
