//! The protocols that speak in lines, and XMPP.

use health_model::Reason;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{foreign, not_offered};
use crate::{dialogue::quoted, failure::Failure, trace::Trace};

/// Bytes of one answer, all its lines together, that are listened to.
const LONGEST_ANSWER: usize = 16 << 10;
/// What an XMPP server says when it knows STARTTLS.
const XMPP_TLS: &str = "urn:ietf:params:xml:ns:xmpp-tls";

/// A conversation of which every byte that came is accounted for.
struct Talk<'a, S> {
    stream: &'a mut S,
    trace: &'a Trace,
    protocol: &'static str,
    heard: Vec<u8>,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin> Talk<'a, S> {
    fn new(stream: &'a mut S, trace: &'a Trace, protocol: &'static str) -> Self {
        Self { stream, trace, protocol, heard: Vec::new() }
    }

    async fn say(&mut self, text: &str) -> Result<(), Failure> {
        let sent = async {
            self.stream.write_all(text.as_bytes()).await?;
            self.stream.flush().await
        };
        sent.await.map_err(|error| self.trace.broken(&error, "asking for TLS"))
    }

    /// Reads until `end` finds the end of what is waited for, and takes that.
    async fn hear(&mut self, end: impl Fn(&[u8]) -> Option<usize>) -> Result<String, Failure> {
        loop {
            if let Some(end) = end(&self.heard) {
                let taken: Vec<u8> = self.heard.drain(..end).collect();
                return Ok(String::from_utf8_lossy(&taken).into_owned());
            }
            if self.heard.len() >= LONGEST_ANSWER {
                return Err(foreign(self.protocol, &quoted(&self.heard)));
            }
            let mut buffer = [0; 1024];
            let read = self.stream.read(&mut buffer).await;
            match read.map_err(|error| self.trace.broken(&error, "asking for TLS"))? {
                0 if self.heard.is_empty() => {
                    let gone = std::io::ErrorKind::UnexpectedEof.into();
                    return Err(self.trace.broken(&gone, "asking for TLS"));
                }
                0 => return Err(foreign(self.protocol, &quoted(&self.heard))),
                read => self.heard.extend_from_slice(&buffer[..read]),
            }
        }
    }

    async fn line(&mut self) -> Result<String, Failure> {
        let line = self.hear(|heard| heard.iter().position(|byte| *byte == b'\n').map(|at| at + 1)).await?;
        Ok(line.trim_end().to_owned())
    }

    /// A reply of SMTP or FTP: every line of it, the last of which has a space behind its code.
    async fn reply(&mut self) -> Result<Vec<String>, Failure> {
        let mut lines = Vec::new();
        let mut bytes = 0;
        loop {
            let line = self.line().await?;
            if !line.get(..3).is_some_and(|code| code.bytes().all(|byte| byte.is_ascii_digit())) && lines.is_empty() {
                return Err(foreign(self.protocol, &quoted(line.as_bytes())));
            }
            bytes += line.len();
            let more = line.as_bytes().get(3) == Some(&b'-')
                || (self.protocol == "FTP" && !lines.is_empty() && !ends_reply(&lines, &line));
            lines.push(line);
            if !more {
                return Ok(lines);
            }
            if bytes > LONGEST_ANSWER {
                return Err(foreign(self.protocol, "more lines than any reply has"));
            }
        }
    }

    /// The server has consented: the next byte must be of the handshake.
    fn done(self) -> Result<(), Failure> {
        if self.heard.is_empty() {
            return Ok(());
        }
        Err(Failure::protocol(format!(
            "the peer sent {} bytes of plain text behind its consent to TLS: somebody on the path may have put them there",
            self.heard.len()
        )))
    }
}

/// Whether a line ends an FTP reply, within which lines need no code (RFC 959 section 4.2).
fn ends_reply(lines: &[String], line: &str) -> bool {
    let code = lines.first().and_then(|first| first.get(..3)).unwrap_or_default();
    line.get(..3) == Some(code) && line.as_bytes().get(3) != Some(&b'-')
}

/// The last line of a reply, for people.
fn last(lines: &[String]) -> String {
    quoted(lines.last().map_or(&[][..], |line| line.as_bytes()))
}

fn greeted(protocol: &str, lines: &[String], code: &str) -> Result<(), Failure> {
    if lines.last().is_some_and(|line| line.starts_with(code)) {
        return Ok(());
    }
    Err(Failure::new(
        Reason::UnexpectedAnswer,
        format!("expected a greeting of {protocol} ({code}), the server said {}", last(lines)),
    ))
}

pub(super) async fn smtp<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, trace: &Trace) -> Result<(), Failure> {
    let mut talk = Talk::new(stream, trace, "SMTP");
    greeted("SMTP", &talk.reply().await?, "220")?;
    talk.say("EHLO health-check.invalid\r\n").await?;
    let abilities = talk.reply().await?;
    let offered = |line: &String| line.get(4..).is_some_and(|word| word.trim().eq_ignore_ascii_case("STARTTLS"));
    if !abilities.iter().any(offered) {
        return Err(not_offered("SMTP", "EHLO does not list STARTTLS"));
    }
    talk.say("STARTTLS\r\n").await?;
    let consent = talk.reply().await?;
    if !consent.last().is_some_and(|line| line.starts_with("220")) {
        return Err(not_offered("SMTP", &last(&consent)));
    }
    talk.done()
}

pub(super) async fn ftp<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, trace: &Trace) -> Result<(), Failure> {
    let mut talk = Talk::new(stream, trace, "FTP");
    greeted("FTP", &talk.reply().await?, "220")?;
    talk.say("AUTH TLS\r\n").await?;
    let consent = talk.reply().await?;
    if !consent.last().is_some_and(|line| line.starts_with("234")) {
        return Err(not_offered("FTP", &last(&consent)));
    }
    talk.done()
}

pub(super) async fn pop3<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, trace: &Trace) -> Result<(), Failure> {
    let mut talk = Talk::new(stream, trace, "POP3");
    let greeting = talk.line().await?;
    if greeting.starts_with("-ERR") {
        greeted("POP3", &[greeting], "+OK")?;
    } else if !greeting.starts_with("+OK") {
        return Err(foreign("POP3", &quoted(greeting.as_bytes())));
    }
    talk.say("STLS\r\n").await?;
    let consent = talk.line().await?;
    if !consent.starts_with("+OK") {
        return Err(not_offered("POP3", &last(&[consent])));
    }
    talk.done()
}

pub(super) async fn imap<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, trace: &Trace) -> Result<(), Failure> {
    let mut talk = Talk::new(stream, trace, "IMAP");
    let greeting = talk.line().await?;
    if greeting.starts_with("* BYE") {
        greeted("IMAP", &[greeting], "* OK")?;
    } else if !greeting.starts_with("* OK") && !greeting.starts_with("* PREAUTH") {
        return Err(foreign("IMAP", &quoted(greeting.as_bytes())));
    }
    talk.say("h1 STARTTLS\r\n").await?;
    let mut bytes = 0;
    let consent = loop {
        let line = talk.line().await?;
        bytes += line.len();
        if line.starts_with("h1 ") || bytes > LONGEST_ANSWER {
            break line;
        }
    };
    if !consent.starts_with("h1 OK") {
        return Err(not_offered("IMAP", &last(&[consent])));
    }
    talk.done()
}

/// Opens a stream to `host`, and asks for TLS once the server has listed it (RFC 6120 section 5).
pub(super) async fn xmpp<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    host: &str,
    trace: &Trace,
) -> Result<(), Failure> {
    let mut talk = Talk::new(stream, trace, "XMPP");
    talk.say(&format!(
        "<?xml version='1.0'?><stream:stream to='{}' xmlns='jabber:client' \
         xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>",
        escaped(host)
    ))
    .await?;
    let features =
        talk.hear(|heard| after_any(heard, &["</stream:features>", "<stream:features/>", "</stream:error>"]));
    let features = features.await?;
    if features.contains("<stream:error") {
        return Err(Failure::new(
            Reason::UnexpectedAnswer,
            format!("the XMPP server refuses a stream to {host:?}: {}", quoted(features.as_bytes())),
        ));
    }
    if !features.contains(XMPP_TLS) {
        return Err(not_offered("XMPP", "the stream's features do not list starttls"));
    }
    talk.say(&format!("<starttls xmlns='{XMPP_TLS}'/>")).await?;
    let consent = talk.hear(|heard| after_any(heard, &["/>", "</proceed>", "</failure>", "</stream:error>"])).await?;
    if !consent.contains("<proceed") {
        return Err(not_offered("XMPP", &quoted(consent.as_bytes())));
    }
    talk.done()
}

/// Where the first of these texts ends.
fn after_any(heard: &[u8], texts: &[&str]) -> Option<usize> {
    let end =
        |text: &&str| heard.windows(text.len()).position(|window| window == text.as_bytes()).map(|at| at + text.len());
    texts.iter().filter_map(end).min()
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('\'', "&apos;")
}
