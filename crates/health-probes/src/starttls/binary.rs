//! The protocols that speak in bytes: LDAP, PostgreSQL, MySQL.

use health_model::Reason;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{foreign, not_offered};
use crate::{dialogue::quoted, failure::Failure, trace::Trace};

/// The extended request "Start TLS" (RFC 4511 section 4.14.1): message 1, OID 1.3.6.1.4.1.1466.20037.
const LDAP_REQUEST: &[u8] = b"\x30\x1d\x02\x01\x01\x77\x18\x80\x161.3.6.1.4.1.1466.20037";
/// `SSLRequest` (PostgreSQL, Frontend/Backend Protocol, Message Formats).
const POSTGRES_REQUEST: &[u8] = &[0, 0, 0, 8, 4, 0xd2, 0x16, 0x2f];
/// `CLIENT_SSL` among MySQL's capabilities.
const MYSQL_CLIENT_SSL: u16 = 0x0800;
/// `SSLRequest`: `CLIENT_PROTOCOL_41`, `CLIENT_SSL`, `CLIENT_SECURE_CONNECTION`; packets to 16 MiB; utf8; 23 zeros.
const MYSQL_REQUEST: &[u8; 36] = &[
    32, 0, 0, 1, 0x00, 0x8a, 0, 0, 0, 0, 0, 1, 33, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
];
/// The first packet of a MySQL server's conversation is no longer than this.
const LONGEST_PACKET: usize = 4096;

async fn say<S: AsyncWrite + Unpin>(stream: &mut S, bytes: &[u8], trace: &Trace) -> Result<(), Failure> {
    let sent = async {
        stream.write_all(bytes).await?;
        stream.flush().await
    };
    sent.await.map_err(|error| trace.broken(&error, "asking for TLS"))
}

async fn hear<S: AsyncRead + Unpin>(stream: &mut S, buffer: &mut [u8], trace: &Trace) -> Result<(), Failure> {
    stream.read_exact(buffer).await.map(drop).map_err(|error| trace.broken(&error, "asking for TLS"))
}

/// The first bytes of an answer, as far as they were read.
fn beginning(bytes: &[u8]) -> String {
    format!("\"{}…\"", bytes.escape_ascii())
}

pub(super) async fn postgres<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, trace: &Trace) -> Result<(), Failure> {
    say(stream, POSTGRES_REQUEST, trace).await?;
    let mut answer = [0];
    hear(stream, &mut answer, trace).await?;
    match answer[0] {
        b'S' => Ok(()),
        b'N' => Err(not_offered("PostgreSQL", "it answers N: ssl is off")),
        b'E' => Err(Failure::new(
            Reason::UnexpectedAnswer,
            "the PostgreSQL server answered the request for TLS with an error",
        )),
        other => Err(foreign("PostgreSQL", &beginning(&[other]))),
    }
}

pub(super) async fn ldap<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, trace: &Trace) -> Result<(), Failure> {
    say(stream, LDAP_REQUEST, trace).await?;
    let mut head = [0; 2];
    hear(stream, &mut head, trace).await?;
    let length = match head {
        [0x30, short] if short < 0x80 => usize::from(short),
        [0x30, long @ (0x81 | 0x82 | 0x84)] => {
            let mut bytes = [0; 4];
            let count = usize::from(long & 0x7f);
            hear(stream, &mut bytes[4 - count..], trace).await?;
            u32::from_be_bytes(bytes) as usize
        }
        _ => return Err(foreign("LDAP", &beginning(&head))),
    };
    if length > LONGEST_PACKET {
        return Err(foreign("LDAP", "a message longer than any answer to a request for TLS"));
    }
    let mut message = vec![0; length];
    hear(stream, &mut message, trace).await?;
    match ldap_result(&message) {
        Some(0) => Ok(()),
        Some(code) => Err(not_offered("LDAP", &format!("result code {code}"))),
        None => Err(foreign("LDAP", "a message that is no extended response")),
    }
}

/// The result code of an extended response: message id, `[APPLICATION 24]`, ENUMERATED.
fn ldap_result(message: &[u8]) -> Option<u8> {
    let rest = element(message, 0x02)?.1;
    let (response, _) = element(rest, 0x78)?;
    let (code, _) = element(response, 0x0a)?;
    code.first().copied()
}

/// The content of a BER element with this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (head, rest) = bytes.split_at_checked(2)?;
    if head[0] != tag {
        return None;
    }
    if head[1] < 0x80 {
        return rest.split_at_checked(usize::from(head[1]));
    }
    let (long, rest) = rest.split_at_checked(usize::from(head[1] & 0x7f))?;
    let length =
        long.iter().try_fold(0usize, |length, byte| length.checked_mul(256)?.checked_add(usize::from(*byte)))?;
    rest.split_at_checked(length)
}

pub(super) async fn mysql<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, trace: &Trace) -> Result<(), Failure> {
    let mut head = [0; 4];
    hear(stream, &mut head, trace).await?;
    let length = usize::from(u16::from_le_bytes([head[0], head[1]])) + (usize::from(head[2]) << 16);
    if length == 0 || length > LONGEST_PACKET || head[3] > 1 {
        return Err(foreign("MySQL", &beginning(&head)));
    }
    let mut packet = vec![0; length];
    hear(stream, &mut packet, trace).await?;
    match packet[0] {
        10 => {}
        0xff => {
            let text = quoted(packet.get(3..).unwrap_or_default());
            return Err(Failure::new(Reason::UnexpectedAnswer, format!("the MySQL server refuses us: {text}")));
        }
        _ => return Err(foreign("MySQL", &format!("protocol version {}", packet[0]))),
    }
    let Some(capabilities) = mysql_capabilities(&packet) else {
        return Err(foreign("MySQL", "a greeting that is cut short"));
    };
    if capabilities & MYSQL_CLIENT_SSL == 0 {
        return Err(not_offered("MySQL", "its greeting does not offer CLIENT_SSL"));
    }
    say(stream, MYSQL_REQUEST, trace).await
}

/// The lower half of the capability flags: behind the version (ended by a zero), thread id, salt and filler.
fn mysql_capabilities(packet: &[u8]) -> Option<u16> {
    let version_end = packet.iter().position(|byte| *byte == 0)?;
    let flags = packet.get(version_end + 1 + 4 + 8 + 1..)?.first_chunk()?;
    Some(u16::from_le_bytes(*flags))
}
