//! `--heartbeat-url`: tells an outsider that this monitor lives, and falls silent when it does not do its work.
//!
//! The address may be a secret: no log, metric or error holds it.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use health_manifests::check_from_target;
use health_model::{CheckId, CheckSpec, ProbeRequest, Prober, ReasonClass, Sensitive};
use health_probes::{Probes, ProbesSettings};
use health_server::{ConditionState, Readiness};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};
use tokio_util::sync::CancellationToken;

/// The time between two heartbeats.
const EVERY: Duration = Duration::from_secs(60);
/// How soon to look again while all is not well.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How long the outsider may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// How telling the outsider goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeartbeatCounts(Arc<[AtomicU64; 3]>);

impl HeartbeatCounts {
    fn add(&self, outcome: Outcome) {
        let [accepted, failed, withheld] = &*self.0;
        let count = match outcome {
            Outcome::Accepted => accepted,
            Outcome::Failed => failed,
            Outcome::Withheld => withheld,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Accepted,
    Failed,
    Withheld,
}

impl Collector for HeartbeatCounts {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let help = "Heartbeats to --heartbeat-url; withheld counts the seconds in which this process was not ready to send one";
        let mut family = encoder.encode_descriptor("healthcheck_heartbeats_sent", help, None, MetricType::Counter)?;
        for (outcome, value) in ["accepted", "failed", "withheld"].into_iter().zip(&*self.0) {
            let value = ConstCounter::new(value.load(Ordering::Relaxed));
            value.encode(family.encode_family(&[("outcome", outcome)])?)?;
        }
        Ok(())
    }
}

/// Somebody outside who is told that we live.
pub(crate) struct Heartbeat {
    spec: Arc<CheckSpec>,
    probes: Probes,
    /// Who is asked whether all is well here.
    health: Arc<dyn Readiness>,
    stands_still: Box<dyn Fn() -> bool + Send + Sync>,
    counts: HeartbeatCounts,
}

impl Heartbeat {
    /// To an address, as long as every part is ready and the schedule moves.
    ///
    /// # Errors
    /// What is wrong with the address, without the address.
    pub(crate) fn new(
        url: &Sensitive,
        health: Arc<dyn Readiness>,
        stands_still: impl Fn() -> bool + Send + Sync + 'static,
    ) -> anyhow::Result<Self> {
        let spec = check_from_target(url.expose())
            .map_err(|problem| anyhow::anyhow!("--heartbeat-url: {}; {}", problem.message, problem.remedy))?;
        // Whom our users may probe says nothing about whom our owner wants to be told.
        let probes = Probes::new(ProbesSettings::default())?;
        let counts = HeartbeatCounts::default();
        Ok(Self { spec: Arc::new(spec), probes, health, stands_still: Box::new(stands_still), counts })
    }

    /// How it goes.
    pub(crate) fn counts(&self) -> HeartbeatCounts {
        self.counts.clone()
    }

    /// Tells every minute, until `stop`; while all is not well, nothing.
    pub(crate) async fn beat(self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let mut last = Outcome::Withheld;
            loop {
                let outcome = if self.all_is_well() { self.tell().await } else { Outcome::Withheld };
                if outcome != last {
                    tracing::info!(?outcome, "the heartbeat to --heartbeat-url");
                }
                self.counts.add(outcome);
                last = outcome;
                tokio::time::sleep(if outcome == Outcome::Withheld { LOOK_AGAIN } else { EVERY }).await;
            }
        })
        .await;
    }

    fn all_is_well(&self) -> bool {
        let ready = |part: &health_server::Condition| part.state == ConditionState::Ready;
        !(self.stands_still)() && self.health.conditions().iter().all(ready)
    }

    async fn tell(&self) -> Outcome {
        let id = CheckId::new("heartbeat", "outgoing");
        let deadline = Instant::now() + PATIENCE;
        let answer = self.probes.probe(ProbeRequest { id, spec: Arc::clone(&self.spec), deadline }).await;
        match answer.reason.class() {
            ReasonClass::Good => Outcome::Accepted,
            _ => Outcome::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Write},
        net::TcpListener,
        sync::atomic::AtomicBool,
    };

    use health_server::Condition;

    use super::*;

    /// A part that is ready, or not.
    struct Part(AtomicBool);

    impl Readiness for Part {
        fn conditions(&self) -> Vec<Condition> {
            let state = match self.0.load(Ordering::Relaxed) {
                true => ConditionState::Ready,
                false => ConditionState::NotReady("a test".to_owned()),
            };
            vec![Condition { name: "part", state }]
        }
    }

    /// Somebody outside; counts what it is told.
    fn outsider() -> (Sensitive, Arc<AtomicU64>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let told = Arc::<AtomicU64>::default();
        let told_there = Arc::clone(&told);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut head = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                head.find(String::is_empty);
                told_there.fetch_add(1, Ordering::Relaxed);
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
        });
        (url.as_str().into(), told)
    }

    async fn until(what: &str, reached: impl Fn() -> bool) {
        let patience = Instant::now() + Duration::from_secs(60);
        while !reached() {
            assert!(Instant::now() < patience, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn it_is_silent_while_the_schedule_stands_still_or_a_part_is_not_ready_and_speaks_when_all_is_well() {
        let (url, told) = outsider();
        let part = Arc::new(Part(AtomicBool::new(true)));
        let stands_still = Arc::new(AtomicBool::new(true));
        let looked_at = Arc::clone(&stands_still);
        let health = Arc::clone(&part) as Arc<dyn Readiness>;
        let heartbeat = Heartbeat::new(&url, health, move || looked_at.load(Ordering::Relaxed)).unwrap();
        let counts = heartbeat.counts();
        let withheld = || counts.0[2].load(Ordering::Relaxed);
        let stop = CancellationToken::new();
        let beating = tokio::spawn(heartbeat.beat(stop.clone()));
        until("a heartbeat to be withheld", || withheld() >= 1).await;
        part.0.store(false, Ordering::Relaxed);
        stands_still.store(false, Ordering::Relaxed);
        let before = withheld();
        until("another to be withheld", || withheld() > before).await;
        assert_eq!(told.load(Ordering::Relaxed), 0, "nobody may believe that all is well");
        part.0.store(true, Ordering::Relaxed);
        until("the outsider to be told", || told.load(Ordering::Relaxed) == 1).await;
        stop.cancel();
        beating.await.unwrap();
    }
}
