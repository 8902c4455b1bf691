//! What it means when TLS breaks: the library's errors in words that name the remedy.

use std::io;

use health_model::{Reason, TlsVersion};
use rustls::{AlertDescription, Error, PeerIncompatible};

use crate::failure::Failure;

/// The TLS error inside an I/O error, in words, if there is one. `after` the handshake (reading, writing) it mostly is the
/// server's refusal of our client certificate.
pub(crate) fn failure_in(error: &(dyn std::error::Error + 'static)) -> Option<Failure> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(tls) = error.downcast_ref::<Error>() {
            return Some(describe(tls, TlsVersion::V1_2));
        }
        if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            cause = Some(inner);
        } else {
            cause = error.source();
        }
    }
    None
}

/// A failed handshake, if it was TLS that failed and not the connection.
pub(super) fn handshake(error: &io::Error, oldest: TlsVersion) -> Option<Failure> {
    if let Some(tls) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
        return Some(describe(tls, oldest));
    }
    (error.kind() == io::ErrorKind::UnexpectedEof).then(|| {
        failed("the peer closed the connection in the TLS handshake: does it speak TLS on this port, for this server name?")
    })
}

fn describe(error: &Error, oldest: TlsVersion) -> Failure {
    match error {
        Error::AlertReceived(alert) => failed(&alert_text(*alert, oldest)),
        Error::PeerIncompatible(
            PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => failed(&too_old("", oldest)),
        Error::PeerIncompatible(PeerIncompatible::NoCipherSuitesInCommon | PeerIncompatible::NoKxGroupsInCommon) => {
            failed(NOTHING_IN_COMMON)
        }
        Error::PeerIncompatible(problem) => failed(&format!("the peer's TLS is too old or incomplete ({problem:?})")),
        Error::InvalidMessage(_) => failed("the peer does not speak TLS on this port: its answer is no TLS record"),
        Error::NoApplicationProtocol => failed("the peer refused every application protocol offered (ALPN)"),
        Error::PeerMisbehaved(problem) => failed(&format!("the peer breaks the rules of TLS ({problem:?})")),
        Error::InvalidCertificate(problem) => {
            failed(&format!("the peer cannot prove that it holds its certificate's key ({problem:?})"))
        }
        other => failed(&format!("TLS could not be agreed on ({other})")),
    }
}

const NOTHING_IN_COMMON: &str = "no cipher suite in common: RSA key exchange, finite-field DHE and CBC suites are not spoken \
                                 here: enable ECDHE with AES-GCM or ChaCha20 on the server";

/// Nobody refuses a version for being too new.
fn too_old(how: &str, oldest: TlsVersion) -> String {
    let (expected, remedy) = match oldest {
        TlsVersion::V1_2 => ("TLS 1.2 or 1.3", "enable one of them there"),
        TlsVersion::V1_3 => ("TLS 1.3 (tls.minVersion)", "enable it there, or lower tls.minVersion"),
    };
    format!("the peer's TLS version is too old{how}: expected {expected}: {remedy}")
}

fn alert_text(alert: AlertDescription, oldest: TlsVersion) -> String {
    match alert {
        AlertDescription::ProtocolVersion => too_old(" (alert protocol_version)", oldest),
        AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => format!(
            "the peer refused the handshake (alert {alert:?}): {NOTHING_IN_COMMON}; or it wants a client certificate \
             (tls.clientCertificate)"
        ),
        AlertDescription::CertificateRequired => {
            "the peer wants a client certificate: set tls.clientCertificate".to_owned()
        }
        AlertDescription::UnknownCA
        | AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::CertificateExpired
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied
        | AlertDescription::UnsupportedCertificate => {
            format!("the peer refused our client certificate (alert {alert:?}): check tls.clientCertificate")
        }
        AlertDescription::UnrecognisedName => {
            "the peer knows no such server name (alert unrecognized_name): check the host, or set tls.serverName"
                .to_owned()
        }
        AlertDescription::NoApplicationProtocol => {
            "the peer refused every application protocol offered (alert no_application_protocol)".to_owned()
        }
        other => format!("the peer broke off TLS (alert {other:?})"),
    }
}

fn failed(message: &str) -> Failure {
    Failure::new(Reason::TlsHandshakeFailed, message)
}
