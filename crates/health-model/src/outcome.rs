//! What came of one probe.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use jiff::Timestamp;

use crate::Reason;

/// Where the time of a probe went. A phase that was not reached is `None`; redirects add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Phases {
    /// Names into addresses.
    pub resolve: Option<Duration>,
    /// The transport's handshake.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// From the request's first byte to the answer's first.
    pub processing: Option<Duration>,
    /// The rest of the answer.
    pub transfer: Option<Duration>,
}

impl Phases {
    /// Every phase with its published name, in order.
    pub fn named(&self) -> [(&'static str, Option<Duration>); 5] {
        let Self { resolve, connect, tls, processing, transfer } = *self;
        [("resolve", resolve), ("connect", connect), ("tls", tls), ("processing", processing), ("transfer", transfer)]
    }
}

/// What the peer's certificate says, kept also when the handshake was refused because of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFacts {
    /// When the leaf expires.
    pub not_after: Timestamp,
    /// When the leaf becomes valid.
    pub not_before: Timestamp,
    /// When the first certificate of the chain expires (the leaf included).
    pub chain_not_after: Timestamp,
    /// The leaf's issuer, as a distinguished name.
    pub issuer: String,
    /// The leaf's subject, as a distinguished name.
    pub subject: String,
    /// The leaf's DNS names and IP addresses (subjectAltName), at most 100.
    pub dns_names: Vec<String>,
    /// How many certificates the peer sent.
    pub chain_length: usize,
    /// SHA-256 of the leaf, lower-case hexadecimal.
    pub fingerprint: String,
}

/// What is kept of a failed probe's answer so that people can see what came. Holds no secret of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Response headers, those that may carry secrets redacted (`set-cookie`, `www-authenticate`, …).
    pub headers: Vec<(String, String)>,
    /// The first 4 KiB of the body (or of the dialogue), lossy UTF-8.
    pub body: Option<String>,
    /// Every address and hop tried, in order, one line each.
    pub attempts: Vec<String>,
}

/// What came of one probe.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Why it is good or bad.
    pub reason: Reason,
    /// One line for people: what came, what was expected, where. Never holds a secret.
    pub response: String,
    /// How long the probe took, names to verdict; zero where nothing was measured (see [`Outcome::measured`]).
    pub duration: Duration,
    /// Where that time went.
    pub phases: Phases,
    /// The protocol's code, where it has one.
    pub status_code: Option<u16>,
    /// The address that was asked last.
    pub remote_address: Option<SocketAddr>,
    /// The peer's certificate.
    pub certificate: Option<Arc<CertificateFacts>>,
    /// How long the target asked us to stay away, with [`Reason::RateLimited`].
    pub retry_after: Option<Duration>,
    /// What came, kept on failure only.
    pub evidence: Option<Arc<Evidence>>,
}

impl Outcome {
    /// An outcome of which nothing but its reason and its words are known.
    pub fn new(reason: Reason, response: impl Into<String>) -> Self {
        Self {
            reason,
            response: response.into(),
            duration: Duration::ZERO,
            phases: Phases::default(),
            status_code: None,
            remote_address: None,
            certificate: None,
            retry_after: None,
            evidence: None,
        }
    }

    /// How long the probe took; `None` where nothing could be measured: a heartbeat's report, a fault of ours, a probe
    /// during which our own process stood still.
    pub fn measured(&self) -> Option<Duration> {
        (!self.duration.is_zero()).then_some(self.duration)
    }

    /// The same word without its times: they measured our own process.
    #[must_use]
    pub fn unmeasured(self) -> Self {
        Self { duration: Duration::ZERO, phases: Phases::default(), ..self }
    }
}
