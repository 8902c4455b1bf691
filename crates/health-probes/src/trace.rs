//! What one probe saw on its way: phases, addresses, certificate, and what is kept as evidence when it fails.
//!
//! A probe that succeeds writes nothing but numbers here; texts are made only where something went wrong.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use health_model::{CertificateFacts, Evidence, Outcome, Phases, Reason, ReasonClass};

use crate::failure::Failure;

/// Lines of evidence kept at most; a redirect loop or a name with a hundred addresses makes no more.
const MOST_ATTEMPTS: usize = 64;

/// A phase of a probe, as published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Names into addresses.
    Resolve,
    /// The transport's handshake.
    Connect,
    /// The TLS handshake.
    Tls,
    /// From the request's first byte to the answer's first.
    Processing,
    /// The rest of the answer.
    Transfer,
}

impl Phase {
    const fn doing(self) -> &'static str {
        match self {
            Self::Resolve => "resolving the name",
            Self::Connect => "connecting",
            Self::Tls => "in the TLS handshake",
            Self::Processing => "waiting for the answer",
            Self::Transfer => "reading the answer",
        }
    }
}

/// What one probe (of one address family) saw on its way.
#[derive(Debug)]
pub struct Trace {
    started: Instant,
    phases: Phases,
    running: Option<(Phase, Instant)>,
    attempts: Vec<String>,
    /// Somebody other than the target whose answer is waited for, and without whom the target cannot be asked.
    pub waiting_for: Option<String>,
    /// The address that was asked last.
    pub remote: Option<SocketAddr>,
    /// The protocol's code, where it has one.
    pub status_code: Option<u16>,
    /// The certificate of the last TLS peer, set before it is judged.
    pub certificate: Option<Arc<CertificateFacts>>,
    /// Response headers for the evidence, already redacted.
    pub headers: Vec<(String, String)>,
    /// The beginning of the body or dialogue for the evidence, already redacted.
    pub body: Option<String>,
}

impl Trace {
    /// Starts the clock of one probe.
    pub fn start() -> Self {
        Self {
            started: Instant::now(),
            phases: Phases::default(),
            running: None,
            attempts: Vec::new(),
            waiting_for: None,
            remote: None,
            status_code: None,
            certificate: None,
            headers: Vec::new(),
            body: None,
        }
    }

    /// Enters a phase, ending the one before it.
    pub fn enter(&mut self, phase: Phase) {
        self.enter_at(phase, Instant::now());
    }

    /// Enters a phase that began at this moment, ending the one before it then.
    pub fn enter_at(&mut self, phase: Phase, since: Instant) {
        self.close(since);
        self.running = Some((phase, since));
    }

    /// Ends the phase that runs, if one does.
    pub fn leave(&mut self) {
        self.close(Instant::now());
    }

    fn close(&mut self, now: Instant) {
        if let Some((phase, since)) = self.running.take() {
            let spent = now.saturating_duration_since(since);
            let slot = match phase {
                Phase::Resolve => &mut self.phases.resolve,
                Phase::Connect => &mut self.phases.connect,
                Phase::Tls => &mut self.phases.tls,
                Phase::Processing => &mut self.phases.processing,
                Phase::Transfer => &mut self.phases.transfer,
            };
            *slot = Some(slot.unwrap_or(Duration::ZERO) + spent);
        }
    }

    /// How long the probe has taken so far.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// What it means that the deadline has passed.
    pub fn timed_out(&self) -> Failure {
        match &self.waiting_for {
            None => Failure::timeout(),
            Some(other) => Failure::new(
                Reason::CredentialsUnavailable,
                format!("{other} did not answer in time; no token, so the target was not asked"),
            ),
        }
    }

    /// What an I/O error on this probe's connection means, `doing` a thing such as `sending the request`.
    pub fn broken(&self, error: &io::Error, doing: &str) -> Failure {
        crate::tls::failure_in(error).unwrap_or_else(|| match self.remote {
            Some(peer) => Failure::io(error, peer, doing),
            None => Failure::ours(error).unwrap_or_else(|| Failure::protocol(format!("{doing} failed ({error})"))),
        })
    }

    /// Where most of the time went, in words.
    pub fn slowest(&self) -> String {
        let slowest = self.phases.named().into_iter().filter_map(|(name, spent)| Some((spent?, name))).max();
        match slowest {
            Some((spent, name)) => format!("{:.0} ms of it in {name}", spent.as_secs_f64() * 1000.0),
            None => "in no single phase".to_owned(),
        }
    }

    /// Keeps a line about an address or hop that was tried; called only off the path of success.
    pub fn note(&mut self, line: impl Into<String>) {
        if self.attempts.len() < MOST_ATTEMPTS {
            self.attempts.push(line.into());
        }
    }

    /// Takes from the lines kept what must not be shown.
    pub fn redact(&mut self, redacted: impl Fn(String) -> String) {
        for line in &mut self.attempts {
            *line = redacted(std::mem::take(line));
        }
    }

    /// The outcome of a probe that came to its end with this result.
    pub fn finish(mut self, result: Result<String, Failure>) -> Outcome {
        let running = self.running.map(|(phase, _)| phase);
        self.leave();
        let duration = self.started.elapsed();
        let (reason, response, retry_after, evidence) = match result {
            Ok(response) => (Reason::Succeeded, response, None, None),
            Err(failure) => {
                self.note_end(running, &failure);
                let failure = self.placed(running, failure);
                let evidence = Evidence { headers: self.headers, body: self.body, attempts: self.attempts };
                (failure.reason, failure.message, failure.retry_after, Some(Arc::new(evidence)))
            }
        };
        Outcome {
            reason,
            response,
            duration,
            phases: self.phases,
            status_code: self.status_code,
            remote_address: self.remote,
            certificate: self.certificate,
            retry_after,
            evidence,
        }
    }

    /// The failure, its line saying where: the address and, unless the answer had come, the phase.
    fn placed(&self, running: Option<Phase>, failure: Failure) -> Failure {
        let Some(remote) = self.remote.filter(|_| happened_at_the_peer(failure.reason)) else { return failure };
        let Failure { reason, message, retry_after } = failure;
        // ICMP knows no ports.
        let place = if remote.port() == 0 { remote.ip().to_string() } else { remote.to_string() };
        // What is judged had come.
        let running = running.filter(|_| reason.class() == ReasonClass::NotCarriedOut);
        let message = match running {
            _ if message.contains(&place) => message,
            Some(phase) => format!("{message} (at {place}, {})", phase.doing()),
            None => format!("{message} (at {place})"),
        };
        Failure { reason, message, retry_after }
    }

    fn note_end(&mut self, running: Option<Phase>, failure: &Failure) {
        let nothing_yet = self.remote.is_none() && self.phases == Phases::default();
        let at = running.map_or(if nothing_yet { "looking at the target" } else { "judging the answer" }, Phase::doing);
        let after = self.started.elapsed().as_secs_f64() * 1000.0;
        let reason = failure.reason;
        let line = match self.remote {
            Some(remote) => format!("{remote}: {reason} while {at}, after {after:.1} ms"),
            None => format!("{reason} while {at}, after {after:.1} ms"),
        };
        self.note(line);
    }
}

/// Whether a failure is the word of the address asked last, and not of names, settings or ourselves. Every deadline says
/// exactly `Timeout`; where it passed is in the evidence.
const fn happened_at_the_peer(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Timeout
            | Reason::NameNotResolved
            | Reason::AddressForbidden
            | Reason::InvalidConfiguration
            | Reason::CredentialsUnavailable
            | Reason::NetworkLost
            | Reason::ProberFault
            | Reason::RateLimited
    )
}
