//! The doors through which fuzzers, and the tests that replay their corpora, send what a peer might.
//!
//! Compiled for tests and under `cfg(fuzzing)` only. Each door panics when a promise is broken: no panic inside, an end to
//! every conversation, and none of our secrets in what is shown.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use health_model::{
    Assertion, BasicCredentials, CelExpression, CheckSpec, DialogueStep, DnsProbe, DnsServer, DnsTransport,
    HeaderExpectation, HeaderRule, HttpAuth, HttpProbe, JsonExpectation, JsonPath, JsonRule, NamedValue, Outcome,
    Pattern, Probe, Search, SearchMatcher, Sensitive, StartTls, TlsOptions, WebSocketProbe,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    runtime::Runtime,
};

use url::Url;

use crate::{
    Ask,
    connect::{ConnectSettings, Connector, Family},
    dns,
    failure::Failure,
    http::Shared,
    starttls, tcp,
    trace::Trace,
    websocket,
};

/// What we send in confidence, and a peer may reflect at us.
const SECRET: &str = "correct-horse-battery";
/// The same as basic credentials are sent: `prober:correct-horse-battery`.
const CREDENTIALS: &str = "cHJvYmVyOmNvcnJlY3QtaG9yc2UtYmF0dGVyeQ==";
/// What a request says in confidence.
const SENT_OVER_HTTP: [&str; 2] = [SECRET, CREDENTIALS];
/// Where a text was cut to be shown, this much of a secret before the cut is too much, too.
const TOO_MUCH: usize = 10;
/// No conversation with a peer that has closed takes longer.
const PATIENCE: Duration = Duration::from_secs(5);

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> = const { RefCell::new(None) };
}

/// A peer that says what it has to say in pieces, swallows what it is told, and closes.
struct Scripted {
    said: Vec<u8>,
    at: usize,
    piece: usize,
    /// Whether it has been told enough to answer, and whom to wake when it has.
    asked: bool,
    waiting: Option<Waker>,
}

impl Scripted {
    /// A peer that speaks first. The first byte says how large the pieces are.
    fn greeting(bytes: &[u8]) -> Self {
        let (first, rest) = bytes.split_first().unwrap_or((&0, &[]));
        let piece = 1 + usize::from(*first) * 16;
        Self { said: rest.to_vec(), at: 0, piece, asked: true, waiting: None }
    }

    /// As [`Scripted::greeting`], of a peer that reflects the first of these texts wherever it says the byte 1, the
    /// second wherever it says 2, and so on.
    fn reflecting(bytes: &[u8], sent: &[&str]) -> Self {
        let mut peer = Self::greeting(bytes);
        // A fuzzer reads the comparisons of what it runs and guesses well; what a peer guesses was not shown to it.
        for guess in sent.iter().filter_map(|text| text.as_bytes().get(..TOO_MUCH)) {
            while let Some(at) = peer.said.windows(TOO_MUCH).position(|window| window == guess) {
                peer.said[at] = b'-';
            }
        }
        let mut said = Vec::with_capacity(peer.said.len());
        for byte in &peer.said {
            match usize::from(*byte).checked_sub(1).and_then(|index| sent.get(index)) {
                Some(text) => said.extend_from_slice(text.as_bytes()),
                None => said.push(*byte),
            }
        }
        peer.said = said;
        peer
    }

    /// This peer, when it answers only after it has been asked: what comes before a request is no answer to it.
    fn once_asked(self) -> Self {
        Self { asked: false, ..self }
    }
}

impl AsyncRead for Scripted {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if !self.asked {
            self.waiting = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let end = (self.at + self.piece.min(buffer.remaining())).min(self.said.len());
        buffer.put_slice(&self.said[self.at..end]);
        self.at = end;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Scripted {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(waiting) = self.waiting.take() {
            waiting.wake();
        }
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Runs one conversation to its end and looks at what would be shown. `confidential`: what was sent in it and must not be.
#[expect(clippy::panic, reason = "a broken promise must stop the fuzzer")]
fn conversation(confidential: &[&str], talk: impl AsyncFnOnce(&mut Trace) -> Result<String, Failure>) -> Outcome {
    RUNTIME.with_borrow_mut(|runtime| {
        let runtime = runtime.get_or_insert_with(|| {
            let built = tokio::runtime::Builder::new_current_thread().enable_all().build();
            built.unwrap_or_else(|error| panic!("no runtime: {error}"))
        });
        let started = Instant::now();
        let mut trace = Trace::start();
        trace.remote = Some(([192, 0, 2, 1], 80).into());
        let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, talk(&mut trace)).await });
        assert!(ended.is_ok(), "a conversation with a peer that has closed did not end: {:?}", started.elapsed());
        let outcome = trace.finish(ended.unwrap_or_else(|_| Err(Failure::timeout())));
        let shown = format!("{outcome:?}");
        let leaks = |secret: &str| {
            let beginning = |end| shown.contains(&format!("{}…", &secret[..end]));
            shown.contains(secret) || (TOO_MUCH..secret.len()).any(beginning)
        };
        assert!(!confidential.iter().copied().any(leaks), "a secret is shown: {shown}");
        assert!(!outcome.response.contains('\n'), "more than one line: {:?}", outcome.response);
        outcome
    })
}

/// An HTTP/1 server's answer to a check with everything in it: credentials, a body, every kind of expectation. The first
/// byte says how large the pieces are in which it comes.
pub fn http(bytes: &[u8]) {
    http_outcome(bytes);
}

#[expect(clippy::panic, reason = "a broken promise must stop the fuzzer")]
fn http_outcome(bytes: &[u8]) -> Outcome {
    thread_local! {
        static CHECK: Option<(CheckSpec, Connector, Shared)> = check();
    }
    CHECK.with(|check| {
        let Some((spec, connector, shared)) = check else { panic!("the check of the fuzzer is not valid") };
        let Probe::Http(http) = &spec.probe else { panic!("the check of the fuzzer is no HTTP check") };
        let deadline = Instant::now() + PATIENCE;
        let ask = Ask { connector, spec, family: Family::Any, http: shared, deadline };
        let peer = Scripted::reflecting(bytes, &SENT_OVER_HTTP).once_asked();
        conversation(&SENT_OVER_HTTP, async |trace| crate::http::probe_on(peer, &ask, http, trace).await)
    })
}

fn credentials() -> HttpAuth {
    HttpAuth::Basic(BasicCredentials { username: Sensitive::new("prober"), password: Sensitive::new(SECRET) })
}

fn check() -> Option<(CheckSpec, Connector, Shared)> {
    let secret = || Sensitive::new(SECRET);
    let mut http = HttpProbe::get(Url::parse("http://192.0.2.1/path?query").ok()?);
    http.method = "POST".to_owned();
    http.headers = vec![NamedValue { name: "X-Api-Key".to_owned(), value: secret() }];
    http.body = Some(Sensitive::new(format!("{{\"password\": \"{SECRET}\"}}")));
    http.auth = Some(credentials());
    http.max_body_bytes = 16 << 10;
    http.search =
        Some(Search { matcher: SearchMatcher::Expression(Pattern::new("(?i)ready|ok").ok()?), absent: false });
    http.expected_headers = vec![HeaderExpectation { name: "X-Unwanted".to_owned(), rule: HeaderRule::Absent }];
    http.expected_json =
        vec![JsonExpectation { path: JsonPath::new("$..status").ok()?, rule: JsonRule::Value("ok".into()) }];
    http.assertions = vec![Assertion {
        expression: CelExpression::new("response.status == 200 && size(response.body) > 2").ok()?,
        message: None,
    }];
    let spec = CheckSpec::new(Duration::from_secs(60), Probe::Http(Box::new(http)));
    Some((spec, Connector::new(ConnectSettings::default()), Shared::default()))
}

/// A server's answers to a TCP dialogue, to STARTTLS in each protocol, on an open WebSocket, and to the request for one.
/// The first byte chooses.
pub fn dialogue(bytes: &[u8]) {
    const PROTOCOLS: [StartTls; 8] = [
        StartTls::Smtp,
        StartTls::Imap,
        StartTls::Pop3,
        StartTls::Ftp,
        StartTls::Ldap,
        StartTls::Xmpp,
        StartTls::Postgres,
        StartTls::MySql,
    ];
    let Some((choice, rest)) = bytes.split_first() else { return };
    match usize::from(*choice) % (PROTOCOLS.len() + 3) {
        8 => held(rest),
        9 => on_websocket(Scripted::reflecting(rest, &SENT_OVER_HTTP), true),
        10 => on_websocket(Scripted::reflecting(rest, &SENT_OVER_HTTP).once_asked(), false),
        protocol => {
            let mut peer = Scripted::greeting(rest);
            conversation(&[], async |trace| {
                let asked = starttls::negotiate(PROTOCOLS[protocol], &mut peer, "example.org", trace).await;
                asked.map(|()| "agreed".to_owned())
            });
        }
    }
}

/// A dialogue that says something confidential.
fn held(bytes: &[u8]) {
    let mut peer = Scripted::reflecting(bytes, &[SECRET]);
    let expect = |source| Pattern::multi_line(source).ok();
    let steps = [
        DialogueStep { send: None, expect: expect("^220 ") },
        DialogueStep { send: Some(format!("AUTH {SECRET}\r\n").into_bytes()), expect: expect("^2[0-9]{2}$|ready") },
    ];
    conversation(&[SECRET], async |trace| tcp::hold(&mut peer, &steps, trace).await.map(|()| "held".to_owned()));
}

/// A WebSocket with credentials in its request, upgraded already or still to be.
#[expect(clippy::panic, reason = "a broken promise must stop the fuzzer")]
fn on_websocket(peer: Scripted, upgraded: bool) {
    thread_local! {
        static CHECK: Option<WebSocketProbe> = Url::parse("ws://192.0.2.1/path").ok().map(|url| WebSocketProbe {
            auth: Some(credentials()),
            headers: vec![NamedValue { name: "X-Api-Key".to_owned(), value: Sensitive::new(SECRET) }],
            send: Some(format!("AUTH {SECRET}").into_bytes()),
            expect: Pattern::multi_line("^ready$").ok(),
            url,
            tls: TlsOptions::default(),
        });
    }
    CHECK.with(|check| {
        let Some(check) = check else { panic!("the WebSocket check of the fuzzer is not valid") };
        conversation(&SENT_OVER_HTTP, async |trace| websocket::probe_on(peer, check, upgraded, trace).await);
    });
}

/// A name server's answer. The first byte chooses the question, the next two are the id it was asked with.
pub fn dns(bytes: &[u8]) {
    const KINDS: [&str; 12] = ["A", "AAAA", "TXT", "MX", "SOA", "SRV", "CNAME", "NS", "CAA", "NAPTR", "HTTPS", "ANY"];
    let Some((choice, message)) = bytes.split_first() else { return };
    let kind = KINDS[usize::from(*choice) % KINDS.len()];
    let probe = DnsProbe {
        name: "example.org".to_owned(),
        record_type: kind.to_owned(),
        server: DnsServer::System,
        transport: DnsTransport::Udp,
        expected_rcode: if choice & 0x80 == 0 { "NOERROR" } else { "NXDOMAIN" }.to_owned(),
        expected_answers: if choice & 0x40 == 0 { Vec::new() } else { vec!["192.0.2.1".to_owned()] },
        answer_expression: if choice & 0x20 == 0 { None } else { Pattern::new("^192\\.0\\.2\\.").ok() },
        tls: TlsOptions::default(),
    };
    conversation(&[], async |_| dns::judge_bytes(&probe, message));
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use health_model::Reason;
    use rstest::rstest;

    /// Were every answer cut off by the harness, nothing would be tested: the seeds come to these ends.
    #[rstest]
    #[case::judged("echo", Reason::UnexpectedStatus)]
    #[case::limited("limited", Reason::RateLimited)]
    #[case::unpacked("gzip", Reason::AssertionFailed)]
    #[case::missed("chunked", Reason::AssertionFailed)]
    #[case::well("json", Reason::Succeeded)]
    #[case::ended("lies", Reason::ProtocolError)]
    fn an_answer_reaches_its_judge(#[case] seed: &str, #[case] reason: Reason) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/http_answer").join(seed);
        let outcome = crate::fuzzing::http_outcome(&fs::read(path).unwrap());
        assert_eq!(outcome.reason, reason, "{}", outcome.response);
    }

    #[rstest]
    #[case::http("http_answer", crate::fuzzing::http)]
    #[case::dialogue("dialogue", crate::fuzzing::dialogue)]
    #[case::dns("dns_answer", crate::fuzzing::dns)]
    fn nothing_in_the_corpus_breaks_a_promise(#[case] folder: &str, #[case] door: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(folder);
        let mut replayed = 0;
        for entry in fs::read_dir(folder).unwrap() {
            door(&fs::read(entry.unwrap().path()).unwrap());
            replayed += 1;
        }
        assert!(replayed >= 10, "only {replayed} files in the corpus");
    }
}
