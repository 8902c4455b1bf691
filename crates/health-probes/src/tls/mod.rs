//! TLS as a prober needs it: shake hands with anybody, look at the certificate, judge afterwards.
//!
//! The verifier records the chain and asserts, so that the facts of an expired, foreign or self-signed certificate are
//! known too; nothing is sent before `judge` has spoken. There is no session resumption: every probe sees a full
//! handshake.

mod clients;
mod facts;
mod judge;
mod refusal;

use std::net::IpAddr;

use health_model::{Host, Reason, TlsOptions};
use jiff::{SignedDuration, Timestamp};

pub(crate) use clients::TlsClients;
pub(crate) use refusal::failure_in;

use crate::{failure::Failure, trace::Trace};

/// The application protocols offered (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Alpn {
    /// No extension at all.
    None,
    /// `http/1.1`
    Http1,
    /// `h2`
    H2,
    /// `h2`, then `http/1.1`
    H2OrHttp1,
    /// `dot` (RFC 7858).
    Dot,
}

impl Alpn {
    fn protocols(self) -> Vec<Vec<u8>> {
        let names: &[&str] = match self {
            Self::None => &[],
            Self::Http1 => &["http/1.1"],
            Self::H2 => &["h2"],
            Self::H2OrHttp1 => &["h2", "http/1.1"],
            Self::Dot => &["dot"],
        };
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }
}

/// Who is expected at the other end, and how to speak to them.
#[derive(Clone, Copy, Debug)]
pub struct TlsPeer<'a> {
    /// The host that was dialled: its name goes into SNI and is what the certificate must be for, unless
    /// `options.server_name` says another.
    pub host: &'a Host,
    /// The check's `tls` section.
    pub options: &'a TlsOptions,
    /// The protocols offered.
    pub alpn: Alpn,
}

impl TlsPeer<'_> {
    /// The name that the certificate must be for.
    fn name(&self) -> String {
        let named = |name: &str| {
            let name = name.strip_suffix('.').unwrap_or(name);
            if name.is_ascii() {
                return name.to_owned();
            }
            // An international name is asked for as DNS knows it (RFC 5890).
            url::Host::parse(name).map_or_else(|_| name.to_owned(), |host| host.to_string())
        };
        match (&self.options.server_name, self.host) {
            (Some(name), _) | (None, Host::Name(name)) => named(name),
            (None, Host::Address(IpAddr::V6(address))) => {
                address.to_ipv4_mapped().map_or_else(|| address.to_string(), |address| address.to_string())
            }
            (None, Host::Address(address)) => address.to_string(),
        }
    }
}

/// `sslCheck`: fails with [`Reason::CertificateExpiring`] when the certificate seen (the leaf, or what its trusted path
/// needs) expires within `days` of `now`. Without `days`, or without a certificate, all is well.
///
/// # Errors
/// [`Reason::CertificateExpiring`], naming what expires when, and the remedy.
pub fn check_expiry(trace: &Trace, days: Option<u32>, now: Timestamp) -> Result<(), Failure> {
    let (Some(days), Some(certificate)) = (days, trace.certificate.as_deref()) else { return Ok(()) };
    let expires = certificate.not_after.min(certificate.chain_not_after);
    let asked = SignedDuration::from_hours(i64::from(days).saturating_mul(24));
    let left = expires.duration_since(now);
    if left >= asked {
        return Ok(());
    }
    let whose = if expires < certificate.not_after { "an issuer's certificate" } else { "the certificate" };
    Err(Failure::new(
        Reason::CertificateExpiring,
        format!(
            "{whose} expires in {} ({expires:.0}), expected at least {days} days (sslCheck): renew the certificate of {}",
            in_days(left),
            facts::short_name(certificate),
        ),
    ))
}

/// A span in words: days, or hours when it is less than two days.
fn in_days(span: SignedDuration) -> String {
    let hours = span.as_hours();
    if hours.abs() < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) }
}
