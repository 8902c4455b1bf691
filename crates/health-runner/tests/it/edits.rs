//! Live edits touch only what changed.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use health_model::{CheckDefinition, Outcome, Reason, SpecProblem, Standing, State, Verdict};
use health_testkit::scripted::ScriptedProber;
use tokio::time::Instant;

use crate::rig::{MINUTE, Rig, always, check, definition, good, id, in_turn, labelled, settings, spec};

fn refused(name: &str, reason: Reason) -> CheckDefinition {
    let mut definition = check(name, MINUTE);
    definition.spec = Err(SpecProblem {
        reason,
        message: "spec.http.url: write one that begins with https://".to_owned(),
        target: None,
        kind: None,
        interval: None,
    });
    definition
}

#[tokio::test(start_paused = true)]
async fn an_unchanged_definition_changes_nothing_at_all() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    let (revision, row) = (rig.board.revision(), rig.row("a"));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.engine.replace_all(vec![check("a", MINUTE)]).await;
    assert_eq!(rig.board.revision(), revision);
    assert!(Arc::ptr_eq(&rig.row("a"), &row));
}

#[tokio::test(start_paused = true)]
async fn labels_and_words_for_people_change_without_a_probe() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    let (before, declared) = (rig.row("a"), rig.board.definitions_revision());
    rig.engine.apply(labelled(check("a", MINUTE), "team")).await;
    let mut described = spec(MINUTE);
    described.description = Some("what it is".to_owned());
    described.depends_on = vec!["b".into()];
    rig.engine.apply(labelled(definition("a", described), "team")).await;
    let after = rig.row("a");
    assert_eq!(rig.board.definitions_revision(), declared + 2);
    assert_eq!(after.definition.meta.labels["team"], "yes");
    assert_eq!(after.next_check, before.next_check, "the phase stays");
    assert_eq!(after.tally.probes, 1);
    assert_eq!(after.standing, before.standing);
}

#[tokio::test(start_paused = true)]
async fn an_edited_check_is_probed_at_once_and_its_old_answer_is_dropped() {
    let rig = Rig::start(ScriptedProber::slow(|request| async move {
        if request.spec.timeout == Duration::from_secs(9) {
            return good();
        }
        tokio::time::sleep(Duration::from_secs(8)).await;
        Outcome::new(Reason::UnexpectedStatus, "of the old question")
    }));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until(|board| board.pulse().in_flight == 1).await;
    let mut edited = spec(MINUTE);
    edited.timeout = Duration::from_secs(9);
    let at = Instant::now();
    rig.engine.apply(definition("a", edited)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    assert!(at.elapsed() <= Duration::from_millis(5010));
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(rig.row("a").tally.failures.len(), 0);
    assert_eq!(rig.board.pulse().discarded, 1);
}

#[tokio::test(start_paused = true)]
async fn editing_one_check_leaves_the_others_alone() {
    let rig = Rig::start(always(Reason::Succeeded));
    let all = |interval| vec![check("a", MINUTE), check("b", interval), check("c", MINUTE)];
    rig.engine.replace_all(all(MINUTE)).await;
    rig.until(|board| board.rows().iter().all(|row| row.standing.healthy())).await;
    let (a, c) = (rig.row("a"), rig.row("c"));
    rig.engine.replace_all(all(MINUTE * 2)).await;
    assert!(Arc::ptr_eq(&rig.row("a"), &a));
    assert!(Arc::ptr_eq(&rig.row("c"), &c));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_no_longer_declared_is_gone_with_everything() {
    let rig = Rig::start(crate::rig::silent());
    rig.engine.replace_all(vec![check("a", MINUTE), check("b", MINUTE)]).await;
    rig.until(|board| board.pulse().in_flight == 2).await;
    rig.engine.replace_all(vec![check("b", MINUTE)]).await;
    assert!(rig.board.get(&id("a")).is_none());
    assert_eq!(rig.board.rows().len(), 1);
    rig.engine.remove(id("b")).await;
    assert!(rig.board.rows().is_empty());
    let pulse = rig.board.pulse();
    assert_eq!((pulse.discarded, pulse.checks, pulse.in_flight), (2, 0, 0));
    tokio::time::sleep(MINUTE * 3).await;
    assert!(rig.board.rows().is_empty(), "no late answer brings it back");
    assert_eq!(rig.prober.asked().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_comes_again_begins_anew() {
    let rig = Rig::start(always(Reason::ConnectionRefused));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::ConnectionRefused).await;
    rig.engine.remove(id("a")).await;
    rig.engine.apply(check("a", MINUTE)).await;
    let row = rig.row("a");
    assert_eq!(row.standing, Standing::pending());
    assert_eq!(row.tally.probes, 0);
}

#[tokio::test(start_paused = true)]
async fn a_suspended_check_is_not_probed_and_keeps_its_last_word() {
    let rig = Rig::start(always(Reason::Succeeded));
    let mut suspended = spec(MINUTE);
    suspended.suspend = true;
    rig.engine.apply(check("a", MINUTE)).await;
    rig.engine.apply(definition("never", suspended.clone())).await;
    rig.until_reason("a", Reason::Succeeded).await;
    rig.engine.apply(definition("a", suspended)).await;
    tokio::time::sleep(MINUTE * 10).await;
    assert_eq!(rig.prober.asked(), [id("a")]);
    let row = rig.row("a");
    assert_eq!((row.standing.reason, row.standing.healthy()), (Reason::Suspended, true));
    assert_eq!((row.standing.response.as_str(), row.next_check), ("Succeeded", None));
    assert!(!row.overdue());
    let never = rig.row("never");
    assert_eq!((never.standing.response.as_str(), never.standing.healthy()), ("Suspended", false));
    assert!(!rig.board.pulse().stands_still, "what is not asked cannot be overdue");
    let resumed = Instant::now();
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    assert!(resumed.elapsed() <= Duration::from_millis(5010), "resumed checks are probed at once");
}

#[tokio::test(start_paused = true)]
async fn a_wrong_definition_is_shown_as_errored_and_probed_at_once_when_mended() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(refused("a", Reason::InvalidConfiguration)).await;
    let row = rig.row("a");
    assert_eq!((row.standing.state, row.standing.reason), (State::Errored, Reason::InvalidConfiguration));
    assert!(row.standing.response.contains("spec.http.url"), "{}", row.standing.response);
    assert_eq!(row.standing.verdict, Verdict::Failing);
    assert!(!row.stale(), "that it is wrong is known");
    let mended = Instant::now();
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    assert!(mended.elapsed() <= Duration::from_millis(5010));
}

#[tokio::test(start_paused = true)]
async fn missing_credentials_leave_the_last_known_value_and_make_it_stale() {
    let rig = Rig::start(always(Reason::Succeeded));
    rig.engine.apply(check("a", MINUTE)).await;
    rig.until_reason("a", Reason::Succeeded).await;
    rig.engine.apply(refused("a", Reason::CredentialsUnavailable)).await;
    tokio::time::sleep(MINUTE * 3).await;
    let row = rig.row("a");
    assert!(row.standing.healthy() && row.stale());
    assert_eq!(row.tally.probes, 1, "it is not asked without them");
}

#[tokio::test(start_paused = true)]
async fn a_remembered_standing_is_stale_until_probed_and_then_turns_only_if_it_must() {
    let answer = Arc::new(AtomicBool::new(false));
    let answers = Arc::clone(&answer);
    let prober = ScriptedProber::slow(move |_| {
        let answers = answers.load(Ordering::SeqCst);
        async move {
            if !answers {
                std::future::pending::<()>().await;
            }
            good()
        }
    });
    let mut healthy = Standing::pending();
    let before = spec(MINUTE);
    healthy.observe(&before, 1, Arc::new(good()), "2026-01-01T00:00:00Z".parse().unwrap());
    let rig = Rig::with(settings(), prober, HashMap::from([(id("a"), healthy)]));
    rig.engine.apply(check("a", MINUTE)).await;
    let row = rig.row("a");
    assert!(row.standing.healthy() && row.stale());
    assert_eq!(row.standing.reason, Reason::Succeeded, "Pending never overwrites what is known");
    let mut follower = rig.board.subscribe();
    answer.store(true, Ordering::SeqCst);
    rig.until(|board| board.get(&id("a")).is_some_and(|row| !row.stale())).await;
    assert!(follower.next().await.iter().all(|change| change.transitions.is_empty()), "a restart turns nothing");
}

#[tokio::test(start_paused = true)]
async fn an_edit_starts_the_streaks_over_but_keeps_what_is_believed() {
    let rig = Rig::start(in_turn(vec![good(), Outcome::new(Reason::Timeout, "Timeout")]));
    let mut patient = spec(Duration::from_secs(10));
    patient.failure_threshold = 3;
    rig.engine.apply(definition("a", patient.clone())).await;
    rig.until(|board| board.get(&id("a")).is_some_and(|row| row.standing.consecutive_failures == 2)).await;
    patient.max_latency = Some(Duration::from_secs(1));
    rig.engine.apply(definition("a", patient)).await;
    let row = rig.row("a");
    assert_eq!((row.standing.consecutive_failures, row.standing.healthy()), (0, true));
}
