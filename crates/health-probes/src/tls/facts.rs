//! What a certificate says of itself, whether or not anybody trusts it.

use std::fmt::Write as _;

use health_model::CertificateFacts;
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer, time::ASN1Time};

/// Names of a certificate that are kept at most.
const MOST_NAMES: usize = 100;
/// Longest distinguished name kept, in bytes.
const LONGEST_NAME: usize = 512;

/// The facts of the first certificate of a chain; `None` when it cannot be read.
pub(super) fn read(chain: &[CertificateDer<'_>]) -> Option<CertificateFacts> {
    let (leaf, issuers) = chain.split_first()?;
    let (_, certificate) = X509Certificate::from_der(leaf).ok()?;
    let not_after = time(&certificate.validity().not_after);
    let earliest = issuers.iter().filter_map(|der| expiry(der)).fold(not_after, Timestamp::min);
    Some(CertificateFacts {
        not_after,
        not_before: time(&certificate.validity().not_before),
        chain_not_after: earliest,
        issuer: bounded(certificate.issuer().to_string()),
        subject: bounded(certificate.subject().to_string()),
        dns_names: names(&certificate),
        chain_length: chain.len(),
        fingerprint: fingerprint(leaf),
    })
}

/// When a certificate expires.
pub(super) fn expiry(der: &[u8]) -> Option<Timestamp> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| time(&certificate.validity().not_after))
}

/// Whether a certificate names itself as its issuer.
pub(super) fn is_self_issued(facts: &CertificateFacts) -> bool {
    facts.issuer == facts.subject
}

/// The name by which people know a certificate: its first DNS name, else its subject.
pub(super) fn short_name(facts: &CertificateFacts) -> &str {
    match facts.dns_names.first() {
        Some(name) => name,
        None if facts.subject.is_empty() => "no name",
        None => &facts.subject,
    }
}

fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(extension)) = certificate.subject_alternative_name() else { return Vec::new() };
    let named = extension.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(bounded((*name).to_owned())),
        GeneralName::IPAddress(bytes) => address(bytes),
        _ => None,
    });
    named.take(MOST_NAMES).collect()
}

fn address(bytes: &[u8]) -> Option<String> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(std::net::Ipv4Addr::from(v4).to_string());
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| std::net::Ipv6Addr::from(v6).to_string())
}

fn time(asn1: &ASN1Time) -> Timestamp {
    let seconds = asn1.timestamp();
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

fn bounded(mut text: String) -> String {
    if text.len() > LONGEST_NAME {
        let cut = text.floor_char_boundary(LONGEST_NAME);
        text.truncate(cut);
        text.push('…');
    }
    // A name is the peer's word: it must not break a line of ours.
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

fn fingerprint(der: &[u8]) -> String {
    let digest = Sha256::digest(der);
    let mut text = String::with_capacity(64);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text
}
