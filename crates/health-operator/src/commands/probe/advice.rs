//! What to try next, per reason; one sentence for people at a terminal.

use health_model::Reason;

/// What to look at when a check stands like this; `None` where the response says it all.
pub(crate) const fn advice(reason: Reason) -> Option<&'static str> {
    Some(match reason {
        Reason::Timeout => {
            "is a firewall dropping packets? is the service overloaded? raise timeout if it is just slow"
        }
        Reason::ConnectionRefused => "is the service running, and does it listen on this address and port?",
        Reason::ConnectionReset => "does the service speak this protocol on this port, and does a proxy stand between?",
        Reason::Unreachable => "is there a route to this address from here? (ip route get ADDRESS)",
        Reason::NameNotResolved => "is the name right, and does the name server know it? (getent hosts NAME)",
        Reason::TlsHandshakeFailed => "does this port speak TLS, version 1.2 or later, with a current cipher?",
        Reason::CertificateExpired | Reason::CertificateExpiring => "renew the certificate",
        Reason::CertificateNotYetValid => "is the clock right, here and where the certificate was made?",
        Reason::CertificateNameMismatch => "ask for one of the names above, or set tls.serverName",
        Reason::CertificateUntrusted => {
            "set tls.ca to the issuer's certificate, and let the server send the whole chain"
        }
        Reason::UnexpectedStatus => "set expectedStatus if this answer is meant to be so",
        Reason::TooSlow => "raise maxLatency if this is fast enough",
        Reason::RateLimited => "ask less often: raise testInterval",
        Reason::AddressForbidden => "see --allow-targets and --deny-targets",
        Reason::CredentialsUnavailable => {
            "put the Secret or ConfigMap into the same file or folder, in the same namespace"
        }
        _ => return None,
    })
}
