//! Whether a recorded chain is good: dates first, then the name, then trust.

use health_model::{CertificateFacts, Reason};
use jiff::Timestamp;
use rustls::{crypto::CryptoProvider, pki_types::TrustAnchor};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

use super::facts;
use crate::failure::Failure;

/// Names of a certificate that a mismatch shows.
const NAMES_SHOWN: usize = 5;

/// What a chain is judged against.
pub(super) struct Expectation<'a> {
    pub(super) provider: &'a CryptoProvider,
    /// The anchors that may vouch for the chain.
    pub(super) anchors: &'a [TrustAnchor<'static>],
    /// The certificates of `tls.ca` themselves: a leaf that is one of them needs no issuer.
    pub(super) own: &'a [CertificateDer<'static>],
    /// Whether the anchors are the system's.
    pub(super) system: bool,
    pub(super) name: &'a ServerName<'static>,
    pub(super) now: Timestamp,
}

/// Judges a chain.
///
/// Returns when the first certificate of the trusted path expires.
pub(super) fn judge(
    chain: &[CertificateDer<'_>],
    facts: Option<&CertificateFacts>,
    expected: &Expectation<'_>,
) -> Result<Timestamp, Failure> {
    let (Some((leaf, intermediates)), Some(facts)) = (chain.split_first(), facts) else {
        return Err(Failure::new(Reason::CertificateUntrusted, "the peer's certificate cannot be read"));
    };
    dates(facts, expected.now)?;
    let parsed =
        EndEntityCert::try_from(leaf).map_err(|error| untrusted(facts, &format!("it cannot be read ({error})")))?;
    if parsed.verify_is_valid_for_subject_name(expected.name).is_err() {
        return Err(mismatch(facts, expected.name));
    }
    if expected.own.iter().any(|own| own == leaf) {
        return Ok(facts.not_after);
    }
    let path = parsed.verify_for_usage(
        expected.provider.signature_verification_algorithms.all,
        expected.anchors,
        intermediates,
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(
            u64::try_from(expected.now.as_second()).unwrap_or_default(),
        )),
        KeyUsage::server_auth(),
        None,
        None,
    );
    match path {
        Ok(path) => Ok(path
            .intermediate_certificates()
            .filter_map(|certificate| facts::expiry(&certificate.der()))
            .fold(facts.not_after, Timestamp::min)),
        Err(error) => Err(distrust(facts, &error, expected)),
    }
}

fn dates(facts: &CertificateFacts, now: Timestamp) -> Result<(), Failure> {
    let name = facts::short_name(facts);
    if now > facts.not_after {
        let ago = super::in_days(now.duration_since(facts.not_after));
        let message = format!("the certificate of {name} expired {ago} ago ({:.0}): renew it", facts.not_after);
        return Err(Failure::new(Reason::CertificateExpired, message));
    }
    if now < facts.not_before {
        let ahead = super::in_days(facts.not_before.duration_since(now));
        let message = format!(
            "the certificate of {name} becomes valid only in {ahead} ({:.0}): check the clocks, or wait",
            facts.not_before
        );
        return Err(Failure::new(Reason::CertificateNotYetValid, message));
    }
    Ok(())
}

fn mismatch(facts: &CertificateFacts, name: &ServerName<'_>) -> Failure {
    let wanted = name.to_str();
    let message = if facts.dns_names.is_empty() {
        format!(
            "the certificate ({}) names no host at all (no subjectAltName), expected {wanted}: the common name does not count, issue it with a subjectAltName",
            facts::short_name(facts)
        )
    } else {
        let shown = facts.dns_names.iter().take(NAMES_SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = match facts.dns_names.len().saturating_sub(NAMES_SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        format!("the certificate is for {shown}{more}, expected {wanted}: set tls.serverName if that is meant")
    };
    Failure::new(Reason::CertificateNameMismatch, message)
}

fn distrust(facts: &CertificateFacts, error: &webpki::Error, expected: &Expectation<'_>) -> Failure {
    match error {
        webpki::Error::CertExpired { .. } => {
            return Failure::new(
                Reason::CertificateExpired,
                format!(
                    "an issuer's certificate in the chain of {} has expired: renew the chain",
                    facts::short_name(facts)
                ),
            );
        }
        webpki::Error::CertNotValidYet { .. } => {
            return Failure::new(
                Reason::CertificateNotYetValid,
                format!("an issuer's certificate in the chain of {} is not valid yet", facts::short_name(facts)),
            );
        }
        _ => {}
    }
    let because = match error {
        _ if facts::is_self_issued(facts) => "it is self-signed: give it (or its CA) as tls.ca".to_owned(),
        webpki::Error::UnknownIssuer if expected.system && expected.anchors.is_empty() => {
            "there are no trusted roots here: install ca-certificates, or set SSL_CERT_FILE or tls.ca".to_owned()
        }
        webpki::Error::UnknownIssuer if facts.chain_length == 1 => format!(
            "its issuer ({}) is not trusted, and the server sent no intermediate certificate: complete its chain, or give its CA as tls.ca",
            facts.issuer
        ),
        webpki::Error::UnknownIssuer => {
            format!("its issuer ({}) leads to no trusted root: give its CA as tls.ca", facts.issuer)
        }
        webpki::Error::CaUsedAsEndEntity => {
            "it is a CA certificate used as a server's: issue one with CA:FALSE".to_owned()
        }
        other => format!("its chain does not hold ({other})"),
    };
    untrusted(facts, &because)
}

fn untrusted(facts: &CertificateFacts, because: &str) -> Failure {
    Failure::new(
        Reason::CertificateUntrusted,
        format!("the certificate of {} is not trusted: {because}", facts::short_name(facts)),
    )
}
