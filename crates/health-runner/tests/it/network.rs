//! Witnesses tell our own lost network from a target that is down.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use health_model::{Reason, Verdict};
use health_runner::{EngineSettings, Witness};
use health_testkit::scripted::ScriptedProber;
use tokio::time::Instant;

use crate::rig::{MINUTE, Rig, bad, check, good, id, settings};

#[derive(Default)]
struct Scene {
    /// Our network is cut: targets and witnesses are out of reach.
    cut: AtomicBool,
    /// The targets themselves are down.
    down: AtomicBool,
    questions: AtomicUsize,
}

impl Witness for Scene {
    fn network_is_lost(&self) -> Pin<Box<dyn Future<Output = bool> + Send + '_>> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        Box::pin(async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            self.cut.load(Ordering::SeqCst)
        })
    }
}

fn rig() -> (Rig, Arc<Scene>) {
    let scene = Arc::new(Scene::default());
    let seen = Arc::clone(&scene);
    let prober = ScriptedProber::new(move |_| {
        let unreachable = seen.cut.load(Ordering::SeqCst) || seen.down.load(Ordering::SeqCst);
        if unreachable { bad(Reason::Unreachable) } else { good() }
    });
    let watched = EngineSettings { witness: Some(Arc::clone(&scene) as Arc<dyn Witness>), ..settings() };
    (Rig::with(watched, prober, HashMap::new()), scene)
}

#[tokio::test(start_paused = true)]
async fn when_no_witness_answers_nobody_is_down_and_after_recovery_all_are_judged_afresh() {
    let (rig, scene) = rig();
    let all = (0..200).map(|number| check(&format!("c{number}"), Duration::from_secs(10))).collect();
    rig.engine.replace_all(all).await;
    rig.until(|board| board.rows().iter().all(|row| row.standing.healthy())).await;
    let mut follower = rig.board.subscribe();
    follower.next().await;
    scene.cut.store(true, Ordering::SeqCst);
    tokio::time::sleep(MINUTE).await;
    assert!(rig.board.pulse().network_is_lost);
    for row in rig.board.rows() {
        assert_eq!(row.standing.reason, Reason::NetworkLost);
        assert!(row.standing.healthy() && row.stale());
    }
    assert!(follower.next().await.iter().all(|change| change.transitions.is_empty()), "nobody is told of an outage");
    let questions = scene.questions.load(Ordering::SeqCst);
    assert!(questions <= 70, "{questions} questions in a minute for 200 checks");
    scene.cut.store(false, Ordering::SeqCst);
    let back = Instant::now();
    rig.until(|board| board.rows().iter().all(|row| row.standing.reason == Reason::Succeeded)).await;
    assert!(back.elapsed() <= Duration::from_millis(6200), "asked again promptly: {:?}", back.elapsed());
    assert!(!rig.board.pulse().network_is_lost);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_while_the_witnesses_answer_is_down() {
    let (rig, scene) = rig();
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    scene.down.store(true, Ordering::SeqCst);
    rig.until_reason("a", Reason::Unreachable).await;
    assert_eq!(rig.row("a").standing.verdict, Verdict::Failing);
    assert_eq!(rig.board.pulse().network_lost, 0);
}

#[tokio::test(start_paused = true)]
async fn a_target_that_is_down_when_the_network_comes_back_is_found_down() {
    let (rig, scene) = rig();
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    scene.cut.store(true, Ordering::SeqCst);
    rig.until_reason("a", Reason::NetworkLost).await;
    scene.down.store(true, Ordering::SeqCst);
    scene.cut.store(false, Ordering::SeqCst);
    let back = Instant::now();
    rig.until_reason("a", Reason::Unreachable).await;
    assert!(back.elapsed() <= Duration::from_secs(7));
    assert_eq!(rig.row("a").standing.verdict, Verdict::Failing);
}

#[tokio::test(start_paused = true)]
async fn many_failures_at_once_are_one_question() {
    let (rig, scene) = rig();
    rig.engine.replace_all((0..500).map(|number| check(&format!("c{number}"), MINUTE)).collect()).await;
    rig.until(|board| board.rows().iter().all(|row| row.standing.healthy())).await;
    scene.down.store(true, Ordering::SeqCst);
    rig.until(|board| board.rows().iter().all(|row| row.standing.reason == Reason::Unreachable)).await;
    let questions = scene.questions.load(Ordering::SeqCst);
    assert!(questions <= 241, "at most four a second over a minute: {questions}");
    scene.questions.store(0, Ordering::SeqCst);
    tokio::time::sleep(MINUTE * 3).await;
    assert_eq!(scene.questions.load(Ordering::SeqCst), 0, "what fails already needs no witness");
}

#[tokio::test(start_paused = true)]
async fn a_check_removed_while_its_outcome_waits_for_the_witnesses_stays_away() {
    let (rig, scene) = rig();
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    scene.down.store(true, Ordering::SeqCst);
    let mut follower = rig.board.subscribe();
    follower.next().await;
    while scene.questions.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    rig.engine.remove(id("a")).await;
    tokio::time::sleep(MINUTE).await;
    assert!(rig.board.get(&id("a")).is_none());
    assert_eq!(rig.board.pulse().discarded, 1);
}
