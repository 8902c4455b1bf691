//! The judging half of a dialogue: what came, and whether the expression is found in it. It reads and sends nothing.

use health_model::{Pattern, Reason};

use crate::{failure::Failure, http::redact::Redactor, trace::Trace};

/// Bytes that may come without a match.
pub(crate) const LONGEST_WAIT: usize = 64 << 10;
/// Characters of an unexpected answer that are shown in the response.
const SHOWN: usize = 120;

/// What came since the last match.
#[derive(Debug, Default)]
pub(crate) struct Heard<'a> {
    bytes: Vec<u8>,
    secrets: Vec<&'a str>,
}

impl<'a> Heard<'a> {
    /// Hears a peer that may reflect these texts of ours; they are never shown.
    pub(crate) fn hiding(secrets: Vec<&'a str>) -> Self {
        Self { bytes: Vec::new(), secrets }
    }

    /// Adds what was read; never more than [`LONGEST_WAIT`] in all.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        let room = LONGEST_WAIT.saturating_sub(self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Whether no more is listened to.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes.len() >= LONGEST_WAIT
    }

    /// Looks for the expression; when it is found, what came up to its end is done with.
    pub(crate) fn take_match(&mut self, expect: &Pattern) -> bool {
        match expect.match_end(&self.bytes) {
            Some(end) => {
                self.bytes.drain(..end);
                true
            }
            None => false,
        }
    }

    /// Keeps what came as evidence.
    pub(crate) fn note(&self, trace: &mut Trace) {
        trace.body = Some(self.text());
    }

    /// The failure that says what was expected and what came instead, `how` the listening ended.
    pub(crate) fn unexpected(&self, expect: &Pattern, how: &str) -> Failure {
        let came = if self.bytes.is_empty() { "nothing".to_owned() } else { quoted(self.text().as_bytes()) };
        Failure::new(Reason::UnexpectedAnswer, format!("expected an answer that matches {expect:?}, {how}: {came}"))
    }

    fn text(&self) -> String {
        Redactor::hiding(self.secrets.iter().copied()).body(&self.bytes)
    }
}

/// What of a dialogue's own words may be confidential: a password behind a command, but neither the command nor the name
/// of a protocol, which answers repeat.
pub(crate) fn confidential(sent: &[u8]) -> impl Iterator<Item = &str> {
    const SHORTEST: usize = 6;
    let words = std::str::from_utf8(sent).unwrap_or_default().split_whitespace().skip(1);
    words.filter(|word| word.len() >= SHORTEST && !word.starts_with("HTTP/"))
}

/// As [`shown`], for a place without quotes: it never breaks the line.
pub(crate) fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", shown(bytes))
}

/// The beginning of some bytes as text for one line.
pub(crate) fn shown(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(4 * SHOWN)]);
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < bytes.len() {
        shown.push('…');
    }
    shown
}
