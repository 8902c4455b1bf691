//! What stands and what was told, per rule, check and destination: the memory that outlives the process.
//!
//! A [`LedgerStore`] keeps entries and nothing else: it decides nothing. Its key holds neither texts nor thresholds, so
//! editing those tells nothing again. An entry holds no secret and is bounded (a few hundred bytes).

mod file;
mod memory;

use std::{future::Future, pin::Pin, sync::Arc};

use health_model::{ChannelKind, CheckId, Reason, RuleId, Severity};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use file::FileLedger;
pub use memory::MemoryLedger;

/// A destination within a rule: the channel's kind and the label of one of its addresses. Never a secret.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DestinationKey {
    /// The channel's kind.
    pub channel: ChannelKind,
    /// `url` or `secret-name/key` where a channel can have several addresses, host and port for Alertmanager; otherwise
    /// empty.
    #[serde(default, skip_serializing_if = "str::is_empty")]
    pub label: Arc<str>,
}

impl std::fmt::Display for DestinationKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.channel.as_str())?;
        if self.label.is_empty() { Ok(()) } else { write!(f, " ({})", self.label) }
    }
}

/// Whose entry it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LedgerKey {
    /// The rule.
    pub rule: RuleId,
    /// Where it tells.
    pub destination: DestinationKey,
    /// Of which check.
    pub check: CheckId,
}

/// How far an outage has come on its way to one destination.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// It must keep failing a while before it is told, or is held back.
    #[default]
    Holding,
    /// It must be told, and has not been accepted yet.
    Owed,
    /// It has been accepted.
    Told,
    /// It is over and told; only the certificate it was about is remembered, so that it is not told again.
    Past,
}

/// One outage of one check, as far as one destination is concerned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// Since when the check fails.
    pub since: Timestamp,
    /// How far it has come.
    pub phase: Phase,
    /// When it became owed (with [`Phase::Owed`]), or when its end did: the start of the group's wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owed_at: Option<Timestamp>,
    /// When it ended, while that is not told yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Timestamp>,
    /// When a message that says it fails was last accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told_at: Option<Timestamp>,
    /// How many such messages were accepted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub times: u32,
    /// The check or the rule is gone: what was opened must be closed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unwatched: bool,
    /// It turns so often that only the flapping is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flapping: bool,
    /// The flapping has been told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flapping_told: bool,
    /// Its last turns, oldest first, while it flaps: what decides, also after a restart, when it is calm again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub turns: Vec<Timestamp>,
    /// Another check told of the same certificate: neither this nor its end is told.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub silent: bool,
    /// The message under way: entries with the same id travel together, before and after a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Arc<str>>,
    /// A message that opens it was offered, and may have been accepted (until it is known that one was).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub opening: bool,
    /// A message that closes it was offered, and may have been accepted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub closing: bool,
    /// It failed again, since then, while that message was under way: another outage if it is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reopened: Option<Timestamp>,
    /// The incident it is part of, where many checks share one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incident: Option<Arc<str>>,
    /// The certificate that expires, while that is the reason: host and date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Arc<str>>,
    /// Why it fails, as last known.
    pub reason: Reason,
    /// How bad it is, as it was when the outage began: some providers know an alert by it.
    #[serde(default)]
    pub severity: Severity,
    /// What it said, as last known; at most 256 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub response: String,
    /// What is asked; at most 256 bytes.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub target: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// An entry to be kept, or (`None`) forgotten.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerChange {
    /// Whose.
    pub key: LedgerKey,
    /// What is to be kept.
    pub entry: Option<Entry>,
}

/// Why the ledger could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// Something else keeps it (such as the API server) and cannot be asked; one line, no secret.
    #[error("{0}")]
    Unavailable(String),
}

/// What a ledger's work is, boxed.
pub type LedgerFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, LedgerError>> + Send + 'a>>;

/// Keeps entries over restarts.
///
/// The pipeline calls one method at a time. After an error it holds what could not be written, newest per key, and
/// offers it again; meanwhile it goes on telling.
pub trait LedgerStore: Send + Sync + 'static {
    /// Everything kept. Called once, at the start; repeated until it succeeds, and nothing is told before.
    fn load(&self) -> LedgerFuture<'_, Vec<(LedgerKey, Entry)>>;

    /// Keeps these; durable when it returns. Later changes of a key replace earlier ones.
    fn write<'a>(&'a self, changes: &'a [LedgerChange]) -> LedgerFuture<'a, ()>;
}
