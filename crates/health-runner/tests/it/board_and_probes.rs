//! What goes in as definitions comes out as rows.

use std::{collections::BTreeMap, collections::HashMap, sync::Arc, time::Duration};

use health_model::{
    CheckDefinition, CheckId, CheckMeta, CheckSpec, HttpProbe, Outcome, Probe, ProbeFuture, ProbeRequest, Prober,
    Reason,
};
use health_runner::{Engine, EngineSettings};
use tokio_util::sync::CancellationToken;

struct Says(Reason);

impl Prober for Says {
    fn probe(&self, _request: ProbeRequest) -> ProbeFuture {
        let reason = self.0;
        Box::pin(async move { Outcome::new(reason, reason.as_str()) })
    }
}

fn definition(name: &str) -> CheckDefinition {
    let probe = Probe::Http(Box::new(HttpProbe::get("http://example.org/".parse().unwrap())));
    CheckDefinition {
        meta: CheckMeta {
            id: CheckId::new("default", name),
            labels: BTreeMap::new(),
            created: None,
            generation: 1,
            uid: None,
        },
        spec: Ok(Arc::new(CheckSpec::new(Duration::from_secs(60), probe))),
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_check_is_pending_then_probed_within_five_seconds_and_followers_hear_of_it() {
    let stop = CancellationToken::new();
    let engine =
        Engine::start(EngineSettings::default(), Arc::new(Says(Reason::Succeeded)), HashMap::new(), stop.clone());
    let mut follower = engine.board().subscribe();
    engine.apply(definition("a")).await;
    let pending = engine.board().get(&CheckId::new("default", "a")).unwrap();
    assert_eq!(pending.standing.reason, Reason::Pending);
    assert!(!follower.next().await.is_empty());
    let started = tokio::time::Instant::now();
    let changes = follower.next().await;
    assert!(started.elapsed() <= Duration::from_secs(5));
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0].transitions.len(), 1);
    assert!(changes[0].row.as_ref().unwrap().standing.healthy());
    stop.cancel();
    engine.stopped().await;
}
