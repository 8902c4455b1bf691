//! `tls.startTls`: talks a plain connection into TLS, in the words of its protocol.
//!
//! It stops where the TLS handshake begins. Nothing but the request for TLS is sent, and bytes that come between the
//! server's consent and the handshake are refused: somebody on the path may have put them there (RFC 3207 section 6).

mod binary;
mod lines;

use health_model::{Reason, StartTls};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{failure::Failure, trace::Trace};

/// Asks for TLS. `host` is the name by which the server is to know itself, where the protocol says one (XMPP).
///
/// # Errors
/// `TlsHandshakeFailed` when the server offers no TLS or refuses it, `UnexpectedAnswer` when it greets with an error,
/// `ProtocolError` when it speaks another protocol.
pub(crate) async fn negotiate<S>(
    protocol: StartTls,
    stream: &mut S,
    host: &str,
    trace: &mut Trace,
) -> Result<(), Failure>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match protocol {
        StartTls::Smtp => lines::smtp(stream, trace).await,
        StartTls::Imap => lines::imap(stream, trace).await,
        StartTls::Pop3 => lines::pop3(stream, trace).await,
        StartTls::Ftp => lines::ftp(stream, trace).await,
        StartTls::Xmpp => lines::xmpp(stream, host, trace).await,
        StartTls::Ldap => binary::ldap(stream, trace).await,
        StartTls::Postgres => binary::postgres(stream, trace).await,
        StartTls::MySql => binary::mysql(stream, trace).await,
    }
}

/// The server speaks the protocol, but not TLS within it.
fn not_offered(protocol: &str, said: &str) -> Failure {
    Failure::new(
        Reason::TlsHandshakeFailed,
        format!("the server offers no TLS over {protocol} ({said}): enable it there, or remove tls.startTls"),
    )
}

/// The server speaks, but not this protocol.
fn foreign(protocol: &str, said: &str) -> Failure {
    Failure::protocol(format!("the peer does not speak {protocol} on this port: it said {said}"))
}
