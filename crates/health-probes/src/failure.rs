//! Why a probe failed, as a value: the reason and one line for people. It never holds a secret.

use std::{io, net::SocketAddr, time::Duration};

use health_model::Reason;

/// A failed probe: which word of the vocabulary it is, and what is said about it.
///
/// `message` becomes the outcome's `response`: one line that says what was expected, what came, where, and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Failure {
    /// The word.
    pub reason: Reason,
    /// The line.
    pub message: String,
    /// With [`Reason::RateLimited`]: how long the target asked us to stay away.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure with its reason and line.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), retry_after: None }
    }

    /// The manifest cannot be carried out as written; the message names the field and the remedy.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Reason::InvalidConfiguration, message)
    }

    /// The peer does not speak the protocol, or speaks it wrongly.
    pub fn protocol(message: impl Into<String>) -> Self {
        Self::new(Reason::ProtocolError, message)
    }

    /// The deadline passed; every deadline says exactly this.
    pub fn timeout() -> Self {
        Self::new(Reason::Timeout, "Timeout")
    }

    /// What an I/O error on a connection to `peer` means, `doing` a thing such as `sending the request`.
    ///
    /// Errors that are our own (no descriptors, no memory, no local ports) are [`Reason::ProberFault`]: they say nothing
    /// about the target.
    pub fn io(error: &io::Error, peer: SocketAddr, doing: &str) -> Self {
        if let Some(fault) = Self::ours(error) {
            return fault;
        }
        match error.kind() {
            io::ErrorKind::TimedOut => Self::timeout(),
            io::ErrorKind::ConnectionRefused => Self::new(
                Reason::ConnectionRefused,
                format!("connection refused by {peer}: nothing listens there, or a firewall rejects"),
            ),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected => {
                Self::new(Reason::ConnectionReset, format!("{peer} reset the connection while {doing}"))
            }
            io::ErrorKind::UnexpectedEof => {
                Self::new(Reason::ConnectionReset, format!("{peer} closed the connection while {doing}"))
            }
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
                Self::new(Reason::Unreachable, format!("no route to {peer} ({error})"))
            }
            io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied => {
                Self::new(Reason::Unreachable, format!("{peer} cannot be reached from here ({error})"))
            }
            io::ErrorKind::InvalidData => Self::protocol(format!("{peer} broke the protocol while {doing} ({error})")),
            _ => Self::new(Reason::Unreachable, format!("{doing} with {peer} failed ({error})")),
        }
    }

    /// An I/O error that is our own fault, if it is one.
    pub fn ours(error: &io::Error) -> Option<Self> {
        let what = match error.raw_os_error() {
            // ENFILE, EMFILE: Linux numbers, the same on every architecture we build for.
            Some(23 | 24) => "too many open files here: raise the limit (ulimit -n)",
            // EADDRNOTAVAIL: no local port left, or no address of that family.
            Some(99) => "no local address or port left here for a new connection",
            // ENOMEM, ENOBUFS.
            Some(12 | 105) => "out of memory for sockets here",
            _ if error.kind() == io::ErrorKind::OutOfMemory => "out of memory here",
            _ => return None,
        };
        Some(Self::new(Reason::ProberFault, format!("{what} ({error})")))
    }
}
