//! When checks are asked.

use std::{sync::Arc, time::Duration};

use health_model::{FIRST_PROBE_SPREAD, Reason};
use health_testkit::scripted::ScriptedProber;
use tokio::time::Instant;

use crate::rig::{MINUTE, Rig, always, bad, check, definition, good, id, in_turn, settings, spec};

fn stopwatch() -> (Arc<std::sync::Mutex<Vec<Duration>>>, impl Fn() + Clone) {
    let begun = Instant::now();
    let times = Arc::new(std::sync::Mutex::new(Vec::new()));
    let noted = Arc::clone(&times);
    (times, move || noted.lock().unwrap().push(begun.elapsed()))
}

#[tokio::test(start_paused = true)]
async fn a_new_check_is_pending_and_then_probed_within_five_seconds() {
    let rig = Rig::start(always(Reason::Succeeded));
    let begun = Instant::now();
    rig.engine.apply(check("a", MINUTE)).await;
    let pending = rig.row("a");
    assert_eq!((pending.standing.reason, pending.standing.healthy()), (Reason::Pending, false));
    rig.until_reason("a", Reason::Succeeded).await;
    assert!(begun.elapsed() <= FIRST_PROBE_SPREAD + Duration::from_millis(10));
    assert!(rig.row("a").standing.healthy());
}

#[tokio::test(start_paused = true)]
async fn first_probes_of_many_checks_are_spread_and_all_there_within_five_seconds() {
    let (times, note) = stopwatch();
    let rig = Rig::start(ScriptedProber::new(move |_| {
        note();
        good()
    }));
    rig.engine.replace_all((0..1000).map(|number| check(&format!("c{number}"), MINUTE)).collect()).await;
    rig.until(|board| board.rows().iter().all(|row| row.standing.healthy())).await;
    let times = times.lock().unwrap();
    assert!(times.iter().all(|time| *time <= FIRST_PROBE_SPREAD + Duration::from_millis(10)));
    for second in 0..5 {
        let within = times.iter().filter(|time| time.as_secs() == second).count();
        assert!((150..=250).contains(&within), "{within} of 1000 in second {second}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_keeps_its_phase() {
    let (times, note) = stopwatch();
    let rig = Rig::start(ScriptedProber::new(move |_| {
        note();
        good()
    }));
    rig.engine.apply(check("a", MINUTE)).await;
    tokio::time::sleep(MINUTE * 10).await;
    let times = times.lock().unwrap();
    assert!((10..=12).contains(&times.len()), "{times:?}");
    assert!(times[1] - times[0] <= MINUTE + MINUTE / 10);
    for pair in times[1..].windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart.abs_diff(MINUTE) <= Duration::from_millis(10), "{apart:?} apart");
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_never_overlaps_itself_and_skipped_runs_are_counted() {
    let flying = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let most = Arc::clone(&flying);
    let rig = Rig::start(ScriptedProber::slow(move |_| {
        let flying = Arc::clone(&most);
        async move {
            assert_eq!(flying.fetch_add(1, std::sync::atomic::Ordering::SeqCst), 0, "two at once");
            tokio::time::sleep(Duration::from_millis(3500)).await;
            flying.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
            good()
        }
    }));
    let mut slow = spec(Duration::from_secs(1));
    slow.timeout = Duration::from_secs(5);
    rig.engine.apply(definition("a", slow)).await;
    tokio::time::sleep(MINUTE).await;
    let row = rig.row("a");
    assert!((14..=15).contains(&row.tally.probes), "every fourth second: {}", row.tally.probes);
    assert!((40..=46).contains(&row.tally.skipped), "the others are skipped: {}", row.tally.skipped);
    let counted = rig.board.pulse().skipped;
    assert!((row.tally.skipped..=row.tally.skipped + 4).contains(&counted), "the row tells with its next outcome");
    assert_eq!(rig.board.pulse().panics, 0);
}

#[tokio::test(start_paused = true)]
async fn an_unconfirmed_change_is_asked_again_after_the_retry_interval() {
    let rig = Rig::start(in_turn(vec![good(), bad(Reason::ConnectionRefused)]));
    let mut patient = spec(MINUTE);
    patient.failure_threshold = 3;
    patient.retry_interval = Duration::from_secs(2);
    rig.engine.apply(definition("a", patient)).await;
    rig.until_reason("a", Reason::ConnectionRefused).await;
    let first = Instant::now();
    assert!(rig.row("a").standing.healthy(), "one failure of three changes nothing");
    rig.until(|board| board.get(&id("a")).is_some_and(|row| !row.standing.healthy())).await;
    let confirmed = first.elapsed();
    assert!(confirmed <= Duration::from_millis(4020), "two more, two seconds apart: {confirmed:?}");
    let next = rig.row("a").tally.probes + 1;
    rig.until(|board| board.get(&id("a")).is_some_and(|row| row.tally.probes == next)).await;
    assert!(first.elapsed() > Duration::from_secs(10), "once confirmed, the interval counts again");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_says_429_is_left_alone_as_long_as_it_asks() {
    let mut limited = bad(Reason::RateLimited);
    limited.retry_after = Some(Duration::from_secs(45));
    let rig = Rig::start(in_turn(vec![good(), limited, good()]));
    rig.engine.apply(check("a", Duration::from_secs(10))).await;
    rig.until_reason("a", Reason::RateLimited).await;
    let said = Instant::now();
    let row = rig.row("a");
    assert!(row.standing.healthy(), "it keeps its last known value");
    assert!(!row.overdue());
    rig.until_reason("a", Reason::Succeeded).await;
    let waited = said.elapsed();
    assert!(waited.abs_diff(Duration::from_secs(45)) <= Duration::from_millis(10), "{waited:?}");
    rig.until(|board| board.get(&id("a")).is_some_and(|row| row.tally.probes == 4)).await;
    assert!(said.elapsed() - waited <= Duration::from_millis(10_010), "then its phase goes on");
}

#[tokio::test(start_paused = true)]
async fn a_short_retry_after_does_not_hasten_the_next_probe() {
    let mut limited = bad(Reason::RateLimited);
    limited.retry_after = Some(Duration::ZERO);
    let rig = Rig::start(in_turn(vec![limited]));
    rig.engine.apply(check("a", MINUTE)).await;
    tokio::time::sleep(MINUTE * 10).await;
    assert!(rig.prober.times_asked(&id("a")) <= 11);
}

#[tokio::test(start_paused = true)]
async fn a_restart_is_no_way_around_a_retry_after() {
    let mut limited = bad(Reason::RateLimited);
    limited.retry_after = Some(MINUTE * 30);
    let rig = Rig::start(in_turn(vec![limited]));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::RateLimited).await;
    let kept = serde_json::to_string(&rig.row("a").standing).unwrap();
    drop(rig);
    tokio::time::sleep(MINUTE * 5).await;

    let remembered = [(id("a"), serde_json::from_str(&kept).unwrap())].into();
    // The engine's clock begins anew, as far as its wall clock goes.
    let rig = Rig::with(settings(), always(Reason::Succeeded), remembered);
    let begun = Instant::now();
    rig.engine.apply(check("a", MINUTE)).await;
    tokio::time::sleep(MINUTE * 29).await;
    assert!(rig.prober.asked().is_empty() && !rig.row("a").overdue());
    rig.until_reason("a", Reason::Succeeded).await;
    assert!(begun.elapsed() <= MINUTE * 30 + Duration::from_secs(11), "{:?}", begun.elapsed());
    assert_eq!(rig.row("a").standing.backoff_until, None);
}

#[tokio::test(start_paused = true)]
async fn without_retry_after_the_delay_grows_and_is_capped() {
    let mut settings = crate::rig::settings();
    settings.max_backoff = MINUTE * 2;
    let rig = Rig::with(settings, always(Reason::RateLimited), std::collections::HashMap::new());
    rig.engine.apply(check("a", Duration::from_secs(1))).await;
    tokio::time::sleep(MINUTE * 10).await;
    let asked = rig.prober.times_asked(&id("a"));
    assert!((9..=20).contains(&asked), "asked {asked} times in ten minutes");
    assert!(!rig.row("a").overdue());
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_not_probed_any_more_becomes_overdue_and_stale() {
    let rig = Rig::start(ScriptedProber::slow(|_| async {
        tokio::time::sleep(Duration::from_secs(90)).await;
        good()
    }));
    let mut slow = spec(Duration::from_secs(1));
    slow.timeout = Duration::from_secs(2);
    rig.engine.apply(definition("a", slow)).await;
    assert!(!rig.row("a").overdue());
    rig.until(|board| board.pulse().overruns >= 1).await;
    assert!(!rig.row("a").overdue(), "the backstop ended it in time");
    assert_eq!(rig.row("a").standing.reason, Reason::ProberFault);
}

#[tokio::test(start_paused = true)]
async fn the_lag_histogram_counts_every_start() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.replace_all((0..100).map(|number| check(&format!("c{number}"), Duration::from_secs(1))).collect()).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let pulse = rig.board.pulse();
    assert_eq!(pulse.lag.count, pulse.started);
    assert_eq!(pulse.lag.buckets.iter().sum::<u64>(), pulse.started);
    assert!(pulse.started >= 1000, "{}", pulse.started);
    assert_eq!((pulse.late, pulse.skipped, pulse.waiting), (0, 0, 0));
    assert!(!pulse.stands_still);
}
