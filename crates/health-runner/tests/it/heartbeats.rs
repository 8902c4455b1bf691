//! Heartbeats: never probed, reported from outside, missed when no report comes.

use std::{collections::HashMap, time::Duration};

use health_model::{CheckId, Reason, Standing, Verdict};
use health_runner::ReportError;
use jiff::Timestamp;
use rstest::rstest;
use tokio::time::Instant;

use crate::rig::{MINUTE, Rig, always, bad, check, good, heartbeat, id, settings};

const GRACE: Duration = Duration::from_secs(30);

async fn with_heartbeat() -> Rig {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(heartbeat("beat", MINUTE, GRACE)).await;
    rig
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_is_pending_until_its_interval_and_grace_are_over_and_then_missed() {
    let rig = with_heartbeat().await;
    let begun = Instant::now();
    assert_eq!(rig.row("beat").standing.reason, Reason::Pending);
    rig.until_reason("beat", Reason::HeartbeatMissed).await;
    assert!(begun.elapsed().abs_diff(MINUTE + GRACE) <= Duration::from_millis(10));
    assert!(rig.prober.asked().is_empty(), "it is never probed");
    assert!(!rig.row("beat").standing.healthy());
}

#[tokio::test(start_paused = true)]
async fn each_further_interval_without_a_report_is_one_more_failure() {
    let rig = with_heartbeat().await;
    rig.until_reason("beat", Reason::HeartbeatMissed).await;
    let first = Instant::now();
    rig.until(|board| board.get(&id("beat")).is_some_and(|row| row.standing.consecutive_failures == 3)).await;
    assert!(first.elapsed().abs_diff(MINUTE * 2) <= Duration::from_millis(20));
    assert!(!rig.row("beat").overdue());
}

#[tokio::test(start_paused = true)]
async fn reports_in_time_keep_it_healthy_and_a_bad_one_makes_it_fail() {
    let rig = with_heartbeat().await;
    for _ in 0..10 {
        rig.engine.report(&id("beat"), good()).unwrap();
        tokio::time::sleep(Duration::from_secs(85)).await;
        assert!(rig.row("beat").standing.healthy());
    }
    rig.engine.report(&id("beat"), bad(Reason::ReportedUnhealthy)).unwrap();
    rig.until_reason("beat", Reason::ReportedUnhealthy).await;
    assert_eq!(rig.row("beat").standing.verdict, Verdict::Failing);
    rig.engine.report(&id("beat"), good()).unwrap();
    rig.until_reason("beat", Reason::Succeeded).await;
}

#[tokio::test(start_paused = true)]
async fn a_report_for_nobody_or_for_a_probed_check_is_refused() {
    let rig = with_heartbeat().await;
    rig.engine.apply(check("probed", MINUTE)).await;
    assert_eq!(rig.engine.report(&id("nobody"), good()), Err(ReportError::Unknown));
    assert_eq!(rig.engine.report(&id("probed"), good()), Err(ReportError::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_relabelled_heartbeat_keeps_its_time() {
    let rig = with_heartbeat().await;
    let begun = Instant::now();
    tokio::time::sleep(MINUTE).await;
    rig.engine.apply(crate::rig::labelled(heartbeat("beat", MINUTE, GRACE), "team")).await;
    rig.until_reason("beat", Reason::HeartbeatMissed).await;
    assert!(begun.elapsed().abs_diff(MINUTE + GRACE) <= Duration::from_millis(10));
}

#[tokio::test(start_paused = true)]
async fn a_pause_of_ours_gives_the_sender_time_but_not_for_ever() {
    let rig = with_heartbeat().await;
    rig.engine.report(&id("beat"), good()).unwrap();
    rig.until_reason("beat", Reason::Succeeded).await;
    tokio::time::sleep(Duration::from_secs(80)).await;
    tokio::time::advance(MINUTE).await;
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(rig.row("beat").standing.healthy(), "nobody could report while we stood still");
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        tokio::time::advance(Duration::from_secs(6)).await;
    }
    assert_eq!(rig.row("beat").standing.reason, Reason::HeartbeatMissed, "a sender that is gone is found out");
}

/// Reported in at this moment of the wall clock, before a restart.
fn reported(seconds_ago: i64) -> HashMap<CheckId, Standing> {
    let now = Timestamp::from_second(1_800_000_000).unwrap();
    let standing = Standing {
        verdict: Verdict::Healthy,
        reason: Reason::Succeeded,
        last_checked: Some(now - jiff::SignedDuration::from_secs(seconds_ago)),
        ..Standing::pending()
    };
    HashMap::from([(id("beat"), standing)])
}

#[rstest]
#[case::the_next_is_due(3600, 1200, 2430)]
#[case::one_may_have_come_while_we_were_away(3600, 4000, 3230)]
#[case::two_may_not(3600, 10_000, 630)]
#[case::a_clock_that_was_set_back(3600, -3600, 3630)]
#[case::a_short_interval_begins_anew(60, 3600, 90)]
#[tokio::test(start_paused = true)]
async fn a_restart_is_no_report(#[case] interval: u64, #[case] seconds_ago: i64, #[case] left: u64) {
    let rig = Rig::with(settings(), always(Reason::Succeeded), reported(seconds_ago));
    let begun = Instant::now();
    rig.engine.apply(heartbeat("beat", Duration::from_secs(interval), GRACE)).await;
    tokio::time::sleep(Duration::from_secs(left - 1)).await;
    assert_eq!(rig.row("beat").standing.reason, Reason::Succeeded);
    rig.until_reason("beat", Reason::HeartbeatMissed).await;
    assert!(begun.elapsed().abs_diff(Duration::from_secs(left)) <= Duration::from_millis(10), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_report_has_no_duration() {
    let rig = with_heartbeat().await;
    rig.engine.report(&id("beat"), good()).unwrap();
    rig.until_reason("beat", Reason::Succeeded).await;
    let view = rig.row("beat").view();
    assert_eq!((view.response_time_seconds, view.phases), (None, None));
}
