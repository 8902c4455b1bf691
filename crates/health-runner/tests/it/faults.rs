//! Our own faults are never booked on a target, and never end the engine.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use health_model::{Outcome, Reason, Verdict};
use health_testkit::scripted::ScriptedProber;
use tokio::time::Instant;

use crate::rig::{MINUTE, Rig, bad, check, good, id, silent};

#[tokio::test(start_paused = true)]
async fn a_prober_that_panics_is_a_fault_of_ours_and_the_others_go_on() {
    let rig = Rig::start(ScriptedProber::new(|request| {
        assert!(request.id.name() != "breaks", "a broken prober");
        good()
    }));
    rig.engine
        .replace_all(vec![check("breaks", Duration::from_secs(10)), check("fine", Duration::from_secs(10))])
        .await;
    rig.until(|board| board.pulse().panics >= 3).await;
    let broken = rig.row("breaks");
    assert_eq!(broken.standing.reason, Reason::ProberFault);
    assert_eq!(broken.standing.verdict, Verdict::Unknown, "nothing is known of the target");
    assert!(broken.stale());
    assert_eq!(broken.tally.failures[&Reason::ProberFault], broken.tally.probes);
    assert!(rig.row("fine").standing.healthy());
}

#[tokio::test(start_paused = true)]
async fn a_prober_that_ignores_its_deadline_is_cut() {
    let rig = Rig::start(ScriptedProber::slow(|_| std::future::pending::<Outcome>()));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until(|board| board.pulse().in_flight == 1).await;
    let begun = Instant::now();
    rig.until_reason("a", Reason::ProberFault).await;
    let cut = begun.elapsed();
    assert!(cut >= Duration::from_secs(10) && cut <= Duration::from_secs(11), "deadline and half a second: {cut:?}");
    assert_eq!((rig.board.pulse().overruns, rig.board.pulse().in_flight), (1, 0));
}

/// Healthy once, then silent: each later probe ends in `Timeout`.
fn falls_silent() -> Arc<ScriptedProber> {
    let asked = AtomicUsize::new(0);
    ScriptedProber::slow(move |request| {
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            if first {
                return good();
            }
            tokio::time::sleep_until(Instant::from_std(request.deadline)).await;
            bad(Reason::Timeout)
        }
    })
}

#[tokio::test(start_paused = true)]
async fn a_deadline_missed_because_we_were_paused_is_not_the_targets_and_is_asked_again_at_once() {
    let rig = Rig::start(falls_silent());
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    rig.until(|board| board.pulse().in_flight == 1).await;
    tokio::time::advance(Duration::from_secs(11)).await;
    let resumed = Instant::now();
    rig.until_reason("a", Reason::ProberFault).await;
    let row = rig.row("a");
    assert!(row.standing.healthy() && row.stale(), "it keeps its last known value");
    assert!(!row.overdue(), "our pause is not its silence");
    assert!(row.standing.response.contains("paused"), "{}", row.standing.response);
    assert_eq!((rig.board.pulse().starved, rig.board.pulse().pauses), (1, 1));
    rig.until_reason("a", Reason::Timeout).await;
    assert!(resumed.elapsed() <= Duration::from_secs(11), "asked again at once, and then judged");
    assert_eq!(rig.row("a").standing.verdict, Verdict::Failing);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_the_targets_word_even_after_a_pause() {
    let rig = Rig::start(ScriptedProber::slow(|_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bad(Reason::ConnectionRefused)
    }));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until(|board| board.pulse().in_flight == 1).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    rig.until_reason("a", Reason::ConnectionRefused).await;
    assert_eq!(rig.row("a").standing.verdict, Verdict::Failing);
    assert_eq!(rig.board.pulse().starved, 0);
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_after_a_pause_is_not_too_slow() {
    let rig = Rig::start(ScriptedProber::slow(|_| async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        bad(Reason::TooSlow)
    }));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until(|board| board.pulse().in_flight == 1).await;
    tokio::time::advance(Duration::from_secs(1)).await;
    rig.until_reason("a", Reason::ProberFault).await;
    rig.until_reason("a", Reason::TooSlow).await;
}

#[tokio::test(start_paused = true)]
async fn a_good_answer_during_a_pause_is_good_but_its_time_was_ours() {
    let rig = Rig::start(ScriptedProber::slow(|_| async {
        let begun = Instant::now();
        tokio::time::sleep(Duration::from_millis(100)).await;
        Outcome { duration: begun.elapsed(), ..good() }
    }));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until(|board| board.pulse().in_flight == 1).await;
    tokio::time::advance(Duration::from_secs(3)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    assert_eq!(rig.row("a").view().response_time_seconds, None);
    rig.until(|board| board.get(&id("a")).is_some_and(|row| row.tally.probes == 2)).await;
    assert_eq!(rig.row("a").view().response_time_seconds, Some(0.1));
}

#[tokio::test(start_paused = true)]
async fn a_process_that_keeps_stumbling_hides_a_real_outage_only_for_a_few_probes() {
    let rig = Rig::start(falls_silent());
    rig.engine.apply(check("a", Duration::from_secs(10))).await;
    rig.until_reason("a", Reason::Succeeded).await;
    let begun = Instant::now();
    while rig.row("a").standing.healthy() {
        assert!(begun.elapsed() < MINUTE * 2, "the outage was never told");
        tokio::time::sleep(Duration::from_secs(2)).await;
        // Awake for most of the time, but every probe sees a pause.
        tokio::time::advance(Duration::from_millis(400)).await;
    }
    assert_eq!(rig.board.pulse().starved, 3);
    assert!(!rig.board.pulse().stands_still);
}

#[tokio::test(start_paused = true)]
async fn a_starved_process_says_so_and_blames_nobody() {
    let rig = Rig::start(falls_silent());
    rig.engine.apply(check("a", Duration::from_secs(10))).await;
    rig.until_reason("a", Reason::Succeeded).await;
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    let row = rig.row("a");
    assert_eq!((row.standing.reason, row.standing.healthy(), row.stale()), (Reason::ProberFault, true, true));
    let pulse = rig.board.pulse();
    assert_eq!(pulse.starving_checks, 1);
    assert!(pulse.stands_still, "a process that cannot judge is not ready");
    rig.engine.remove(id("a")).await;
    assert_eq!(rig.board.pulse().starving_checks, 0);
}

#[tokio::test(start_paused = true)]
async fn after_a_long_pause_what_is_due_is_spread_again() {
    let begun = Instant::now();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&times);
    let rig = Rig::start(ScriptedProber::new(move |_| {
        noted.lock().unwrap().push(begun.elapsed());
        good()
    }));
    rig.engine
        .replace_all((0..1000).map(|number| check(&format!("c{number}"), Duration::from_secs(10))).collect())
        .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    times.lock().unwrap().clear();
    tokio::time::advance(MINUTE).await;
    let resumed = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let at_once = times.lock().unwrap().iter().filter(|time| **time - resumed < Duration::from_millis(50)).count();
    assert!(at_once < 60, "{at_once} of 1000 came in a herd");
    assert!(times.lock().unwrap().len() >= 1000, "and all were asked within five seconds");
    assert_eq!(rig.board.rows().iter().filter(|row| row.overdue()).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_pause_with_nothing_in_flight_spoils_nothing() {
    let rig = Rig::start(silent());
    rig.engine.apply(check("a", MINUTE)).await;
    tokio::time::advance(Duration::from_millis(400)).await;
    rig.until_reason("a", Reason::Timeout).await;
    assert_eq!(rig.board.pulse().starved, 0);
}
