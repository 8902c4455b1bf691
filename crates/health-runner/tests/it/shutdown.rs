//! Stopping: nothing new is started, what is in flight may end within the grace, nobody is blamed for the rest.

use std::{collections::HashMap, time::Duration};

use health_model::Reason;
use health_runner::EngineSettings;
use health_testkit::scripted::ScriptedProber;
use tokio::time::Instant;

use crate::rig::{MINUTE, Rig, check, good, settings, silent};

#[tokio::test(start_paused = true)]
async fn what_ends_within_the_grace_is_taken_in() {
    let rig = Rig::start(ScriptedProber::slow(|_| async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        good()
    }));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until(|board| board.pulse().in_flight == 1).await;
    let begun = Instant::now();
    rig.stop.cancel();
    rig.engine.stopped().await;
    assert!(begun.elapsed() <= Duration::from_millis(2100));
    assert_eq!(rig.board.rows()[0].standing.reason, Reason::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_is_cut_and_is_no_failure() {
    let brief = EngineSettings { shutdown_grace: Duration::from_secs(1), ..settings() };
    let rig = Rig::with(brief, silent(), HashMap::new());
    rig.engine.apply(check("a", MINUTE)).await;
    rig.engine.apply(check("b", MINUTE)).await;
    rig.until(|board| board.pulse().in_flight == 2).await;
    let begun = Instant::now();
    rig.stop.cancel();
    rig.engine.clone().stopped().await;
    assert!(begun.elapsed() <= Duration::from_millis(1100));
    for row in rig.board.rows() {
        assert_eq!((row.standing.reason, row.tally.probes), (Reason::Pending, 0));
    }
    assert_eq!(rig.board.pulse().in_flight, 0);
    rig.engine.apply(check("c", MINUTE)).await;
    assert_eq!(rig.board.rows().len(), 2, "a stopped engine takes nothing more, and nobody waits for it");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_engine_starts_nothing_more() {
    let rig = Rig::start(ScriptedProber::new(|_| good()));
    rig.engine.apply(check("a", Duration::from_secs(1))).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    rig.stop.cancel();
    rig.engine.stopped().await;
    let asked = rig.prober.asked().len();
    tokio::time::sleep(MINUTE).await;
    assert_eq!(rig.prober.asked().len(), asked);
    assert!(rig.board.pulse().stands_still, "and the board says that the schedule stands still");
}
