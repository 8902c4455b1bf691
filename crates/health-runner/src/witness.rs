//! Whose network is lost, the target's or ours? Witnesses are asked once for many failures.
//!
//! An answer counts only for failures that came before its question was put: an older "all is well" could have been
//! given before the network went. Failures that come while a question is under way wait for the next one.

use std::{fmt, future::Future, panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use futures::{FutureExt, future::select_ok};
use health_model::{Outcome, Reason, ReasonClass};
use tokio::{net::TcpStream, time::Instant};

use crate::registry::Slot;

/// Somebody near us who should always be reachable: when all of them are not, it is our network that is lost.
pub trait Witness: Send + Sync + 'static {
    /// Asks whether our own network is lost, which is so when no witness at all can be reached. The implementation
    /// bounds its own time; the engine never asks twice at once, and takes silence for "not lost" after 10 s.
    fn network_is_lost(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>>;
}

/// How long a witness may take to accept a connection.
const WITNESS_TIMEOUT: Duration = Duration::from_secs(2);
/// Between two questions, at least.
const PAUSE_BETWEEN_QUESTIONS: Duration = Duration::from_millis(250);
/// How often to ask whether the network is back.
const ASK_AGAIN_WHILE_LOST: Duration = Duration::from_secs(1);
/// A witness that has not answered by then has nothing to say.
const LONGEST_QUESTION: Duration = Duration::from_secs(10);

/// Why a list of witnesses was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WitnessError {
    /// One of them is not an address.
    #[error("{0:?} is no witness: write tcp://host:port, such as tcp://192.0.2.1:53 or tcp://[2001:db8::1]:53")]
    Address(String),
    /// There is none.
    #[error("at least one witness is needed")]
    Empty,
}

/// Witnesses that accept TCP connections. The network is lost when not one of them does within 2 s.
#[derive(Clone, PartialEq, Eq)]
pub struct TcpWitnesses {
    addresses: Vec<String>,
    timeout: Duration,
}

impl TcpWitnesses {
    /// Reads addresses of the form `tcp://host:port`.
    ///
    /// # Errors
    /// Names the first that is not of this form.
    pub fn parse<S: AsRef<str>>(witnesses: &[S]) -> Result<Self, WitnessError> {
        if witnesses.is_empty() {
            return Err(WitnessError::Empty);
        }
        let addresses = witnesses.iter().map(|witness| parse_address(witness.as_ref())).collect::<Result<_, _>>()?;
        Ok(Self { addresses, timeout: WITNESS_TIMEOUT })
    }
}

fn parse_address(text: &str) -> Result<String, WitnessError> {
    let refused = || WitnessError::Address(text.to_owned());
    let address = text.trim().strip_prefix("tcp://").ok_or_else(refused)?;
    let address = address.strip_suffix('/').unwrap_or(address);
    let (host, port) = address.rsplit_once(':').ok_or_else(refused)?;
    let bracketed = host.starts_with('[') && host.ends_with(']');
    let host_is_fine = !host.is_empty() && (bracketed || !host.contains([':', '/', '@', '[', ']']));
    match port.parse::<u16>() {
        Ok(port) if port > 0 && host_is_fine => Ok(address.to_owned()),
        _ => Err(refused()),
    }
}

impl fmt::Debug for TcpWitnesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.addresses).finish()
    }
}

impl Witness for TcpWitnesses {
    fn network_is_lost(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        Box::pin(async move {
            let greetings = self.addresses.iter().map(|address| Box::pin(TcpStream::connect(address.as_str())));
            !matches!(tokio::time::timeout(self.timeout, select_ok(greetings)).await, Ok(Ok(_)))
        })
    }
}

/// Puts one question, within bounds; a witness that breaks down or hangs never makes a failure look like ours.
pub(crate) async fn ask(witness: Arc<dyn Witness>) -> bool {
    let question = AssertUnwindSafe(async { witness.network_is_lost().await }).catch_unwind();
    matches!(tokio::time::timeout(LONGEST_QUESTION, question).await, Ok(Ok(true)))
}

/// Whether a failure could be our own network's.
pub(crate) fn could_be_ours(reason: Reason) -> bool {
    match reason {
        Reason::InvalidConfiguration | Reason::AddressForbidden => false,
        Reason::PacketLoss | Reason::HeartbeatMissed => true,
        _ => reason.class() == ReasonClass::NotCarriedOut,
    }
}

/// A failure whose judgement waits for the witnesses.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) slot: Slot,
    pub(crate) number: u64,
    pub(crate) outcome: Outcome,
    /// When the probe had begun.
    pub(crate) since: Instant,
}

/// What came of a question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// As before.
    Nothing,
    /// The network has just been lost.
    Lost,
    /// The network has just come back.
    Back,
}

/// The state of the consultation.
#[derive(Default)]
pub(crate) struct Consultation {
    witness: Option<Arc<dyn Witness>>,
    lost: bool,
    back_since: Option<Instant>,
    asking: bool,
    asked_at: Option<Instant>,
    in_question: Vec<Held>,
    queued: Vec<Held>,
}

impl Consultation {
    pub(crate) fn new(witness: Option<Arc<dyn Witness>>) -> Self {
        Self { witness, ..Self::default() }
    }

    pub(crate) fn is_possible(&self) -> bool {
        self.witness.is_some()
    }

    pub(crate) fn network_is_lost(&self) -> bool {
        self.lost
    }

    /// Whether something that began at `since` went through a time in which the network was lost.
    pub(crate) fn spoiled(&self, since: Instant) -> bool {
        self.lost || self.back_since.is_some_and(|back| since < back)
    }

    pub(crate) fn hold(&mut self, held: Held) {
        self.queued.push(held);
    }

    /// When the next question is to be put, if one is needed.
    pub(crate) fn next_question(&self) -> Option<Instant> {
        let needed = self.lost || !self.queued.is_empty();
        if self.asking || !needed {
            return None;
        }
        let pause = if self.queued.is_empty() { ASK_AGAIN_WHILE_LOST } else { PAUSE_BETWEEN_QUESTIONS };
        // Never asked means at once, for every `now` that a caller may have read before: a moment that has passed.
        self.asked_at.map(|asked| asked + pause).or_else(|| self.queued.first().map(|held| held.since))
    }

    /// Opens a question, if it is time; the caller asks the witness and brings the answer.
    pub(crate) fn open(&mut self, now: Instant) -> Option<Arc<dyn Witness>> {
        self.next_question().filter(|time| *time <= now)?;
        let witness = self.witness.clone()?;
        self.asking = true;
        self.asked_at = Some(now);
        self.in_question = std::mem::take(&mut self.queued);
        Some(witness)
    }

    /// Takes in the answer; returns what it means and the failures that can be judged now.
    pub(crate) fn answer(&mut self, lost: bool, now: Instant) -> (News, Vec<Held>) {
        self.asking = false;
        let before = std::mem::replace(&mut self.lost, lost);
        let mut judged = std::mem::take(&mut self.in_question);
        if lost {
            judged.append(&mut self.queued);
        }
        let news = match (before, lost) {
            (false, true) => News::Lost,
            (true, false) => {
                self.back_since = Some(now);
                News::Back
            }
            _ => News::Nothing,
        };
        (news, judged)
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn the_first_question_is_put_at_once_also_by_a_clock_that_runs() {
        let witness = TcpWitnesses::parse(&["tcp://192.0.2.1:53"]).unwrap();
        let mut consultation = Consultation::new(Some(Arc::new(witness)));
        let now = Instant::now();
        let outcome = Outcome::new(Reason::Timeout, "");
        consultation.hold(Held { slot: Slot::for_test(0), number: 1, outcome, since: now });
        assert!(consultation.open(now).is_some());
    }

    #[rstest]
    #[case("tcp://192.0.2.1:53", true)]
    #[case("tcp://gateway.example:443/", true)]
    #[case("tcp://[2001:db8::1]:53", true)]
    #[case("192.0.2.1:53", false)]
    #[case("tcp://2001:db8::1:53", false)]
    #[case("tcp://host", false)]
    #[case("tcp://host:0", false)]
    #[case("tcp://:53", false)]
    #[case("udp://host:53", false)]
    fn a_witness_is_written_tcp_host_port(#[case] text: &str, #[case] fine: bool) {
        let parsed = TcpWitnesses::parse(&[text]);
        assert_eq!(parsed.is_ok(), fine, "{text}");
        if let Err(error) = parsed {
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[tokio::test]
    async fn the_network_is_lost_only_when_every_witness_is() {
        let there = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (there_at, gone_at) = (there.local_addr().unwrap(), gone.local_addr().unwrap());
        drop(gone);
        let both = TcpWitnesses::parse(&[format!("tcp://{gone_at}"), format!("tcp://{there_at}")]).unwrap();
        assert!(!both.network_is_lost().await);
        let alone = TcpWitnesses::parse(&[format!("tcp://{gone_at}")]).unwrap();
        assert!(alone.network_is_lost().await);
    }

    struct Breaks;

    impl Witness for Breaks {
        fn network_is_lost(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
            panic!("a broken witness")
        }
    }

    #[tokio::test]
    async fn a_witness_that_breaks_down_does_not_hide_an_outage() {
        assert!(!ask(Arc::new(Breaks)).await);
    }
}
