//! An engine on a paused clock, with a wall clock that follows it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use health_model::{CheckDefinition, CheckId, CheckSpec, HeartbeatProbe, Outcome, Probe, Reason, Standing};
use health_runner::{Board, Engine, EngineHandle, EngineSettings, Row};
use health_testkit::scripted::{self, ScriptedProber};
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// How often (on the paused clock) the board is looked at.
const LOOK: Duration = Duration::from_millis(2);

pub(crate) struct Rig {
    pub(crate) engine: EngineHandle,
    pub(crate) prober: Arc<ScriptedProber>,
    pub(crate) board: Arc<Board>,
    pub(crate) stop: CancellationToken,
}

/// Settings whose wall clock goes with the paused one.
pub(crate) fn settings() -> EngineSettings {
    let begun = Instant::now();
    EngineSettings {
        wall_clock: Arc::new(move || {
            let since = SignedDuration::try_from(begun.elapsed()).unwrap();
            Timestamp::from_second(1_800_000_000).unwrap() + since
        }),
        ..EngineSettings::default()
    }
}

impl Rig {
    pub(crate) fn start(prober: Arc<ScriptedProber>) -> Self {
        Self::with(settings(), prober, HashMap::new())
    }

    pub(crate) fn with(
        settings: EngineSettings,
        prober: Arc<ScriptedProber>,
        remembered: HashMap<CheckId, Standing>,
    ) -> Self {
        let stop = CancellationToken::new();
        let engine = Engine::start(settings, Arc::clone(&prober) as Arc<_>, remembered, stop.clone());
        Self { board: engine.board(), engine, prober, stop }
    }

    pub(crate) fn row(&self, name: &str) -> Arc<Row> {
        self.board.get(&id(name)).unwrap()
    }

    /// Waits until the board fulfils a condition; the paused clock runs meanwhile. Gives up after ten minutes of it.
    pub(crate) async fn until(&self, mut fulfilled: impl FnMut(&Board) -> bool) {
        let begun = Instant::now();
        while !fulfilled(&self.board) {
            assert!(begun.elapsed() < 10 * MINUTE, "it does not come true");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until a check's last word is this.
    pub(crate) async fn until_reason(&self, name: &str, reason: Reason) {
        let id = id(name);
        self.until(|board| board.get(&id).is_some_and(|row| row.standing.reason == reason)).await;
    }
}

pub(crate) fn id(name: &str) -> CheckId {
    CheckId::new("default", name)
}

pub(crate) fn spec(interval: Duration) -> CheckSpec {
    scripted::tcp_spec("target.example", interval)
}

pub(crate) fn definition(name: &str, spec: CheckSpec) -> CheckDefinition {
    scripted::definition("default", name, spec)
}

pub(crate) fn check(name: &str, interval: Duration) -> CheckDefinition {
    definition(name, spec(interval))
}

pub(crate) fn heartbeat(name: &str, interval: Duration, grace: Duration) -> CheckDefinition {
    definition(name, CheckSpec::new(interval, Probe::Heartbeat(HeartbeatProbe { grace, token: None })))
}

pub(crate) fn labelled(mut definition: CheckDefinition, label: &str) -> CheckDefinition {
    definition.meta.labels = BTreeMap::from([(label.to_owned(), "yes".to_owned())]);
    definition
}

pub(crate) fn good() -> Outcome {
    Outcome::new(Reason::Succeeded, "Connection Successful")
}

pub(crate) fn bad(reason: Reason) -> Outcome {
    Outcome::new(reason, reason.as_str())
}

pub(crate) fn always(reason: Reason) -> Arc<ScriptedProber> {
    ScriptedProber::new(move |_| bad(reason))
}

/// Says the words of the list one after the other, and the last for ever.
pub(crate) fn in_turn(outcomes: Vec<Outcome>) -> Arc<ScriptedProber> {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    ScriptedProber::new(move |_| {
        let turn = asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        outcomes[turn.min(outcomes.len() - 1)].clone()
    })
}

/// Says nothing until its deadline, then `Timeout`.
pub(crate) fn silent() -> Arc<ScriptedProber> {
    ScriptedProber::slow(|request| async move {
        tokio::time::sleep_until(Instant::from_std(request.deadline)).await;
        bad(Reason::Timeout)
    })
}
