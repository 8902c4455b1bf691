//! The state machine against a plain reference.

use std::{sync::Arc, time::Duration};

use health_model::{CheckSpec, HttpProbe, Outcome, Probe, Reason, ReasonClass, Standing, State, Transition, Verdict};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

fn spec(failures: u32, successes: u32) -> CheckSpec {
    let probe = Probe::Http(Box::new(HttpProbe::get("https://example.org/".parse().unwrap())));
    let mut spec = CheckSpec::new(Duration::from_secs(60), probe);
    (spec.failure_threshold, spec.success_threshold) = (failures, successes);
    spec
}

fn outcome(reason: Reason) -> Arc<Outcome> {
    Arc::new(Outcome::new(reason, format!("it said {reason}")))
}

fn minute(number: usize) -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap() + SignedDuration::from_mins(i64::try_from(number).unwrap())
}

/// What a prober or the engine can come back with.
fn probed() -> Vec<Reason> {
    let not_probed = [Reason::Pending, Reason::Suspended];
    Reason::ALL.iter().copied().filter(|reason| !not_probed.contains(reason)).collect()
}

fn reasons() -> impl Strategy<Value = Vec<Reason>> {
    let likely = prop_oneof![
        4 => Just(Reason::Succeeded),
        3 => Just(Reason::Timeout),
        1 => Just(Reason::RateLimited),
        1 => Just(Reason::ProberFault),
        3 => proptest::sample::select(probed()),
    ];
    proptest::collection::vec(likely, 0..60)
}

fn is_good(reason: Reason) -> Option<bool> {
    match reason.class() {
        ReasonClass::Good => Some(true),
        ReasonClass::Judged | ReasonClass::NotCarriedOut => Some(false),
        ReasonClass::Ours | ReasonClass::NotAsked => None,
    }
}

/// The verdict after these reasons, worked out from the whole past each time.
fn believed(reasons: &[Reason], failures: u32, successes: u32) -> Verdict {
    let words: Vec<bool> = reasons.iter().copied().filter_map(is_good).collect();
    let mut verdict = Verdict::Unknown;
    for end in 1..=words.len() {
        let word = words[end - 1];
        let streak = words[..end].iter().rev().take_while(|other| **other == word).count();
        let (to, threshold) = if word { (Verdict::Healthy, successes) } else { (Verdict::Failing, failures) };
        if streak >= usize::try_from(threshold).unwrap() {
            verdict = to;
        }
    }
    verdict
}

proptest! {
    #[test]
    fn it_turns_exactly_when_a_threshold_is_reached(reasons in reasons(), failures in 1_u32..5, successes in 1_u32..5) {
        let (spec, mut standing) = (spec(failures, successes), Standing::pending());
        for (index, reason) in reasons.iter().enumerate() {
            let before = standing.verdict;
            let transition = standing.observe(&spec, 1, outcome(*reason), minute(index));
            prop_assert_eq!(standing.verdict, believed(&reasons[..=index], failures, successes));
            prop_assert_eq!(transition.is_some(), before != standing.verdict);
            if let Some(transition) = transition {
                prop_assert_eq!((transition.from, transition.to), (before, standing.verdict));
                prop_assert_eq!((transition.reason, transition.at), (*reason, minute(index)));
            }
        }
    }

    #[test]
    fn turns_alternate(reasons in reasons(), failures in 1_u32..4, successes in 1_u32..4) {
        let (spec, mut standing) = (spec(failures, successes), Standing::pending());
        let turns: Vec<Transition> = reasons.iter().enumerate()
            .filter_map(|(index, reason)| standing.observe(&spec, 1, outcome(*reason), minute(index))).collect();
        for pair in turns.windows(2) {
            prop_assert_eq!(pair[0].to, pair[1].from);
            prop_assert_ne!(pair[0].to, pair[1].to);
        }
        prop_assert!(turns.iter().all(|turn| turn.to != Verdict::Unknown));
    }

    #[test]
    fn the_last_word_is_always_the_last_outcomes(reasons in reasons()) {
        let (spec, mut standing) = (spec(2, 2), Standing::pending());
        for (index, reason) in reasons.iter().enumerate() {
            standing.observe(&spec, 7, outcome(*reason), minute(index));
            prop_assert_eq!((standing.reason, standing.state), (*reason, reason.state()));
            prop_assert_eq!(&standing.response, &format!("it said {reason}"));
            prop_assert_eq!(standing.last_checked, Some(minute(index)));
            prop_assert_eq!(standing.observed_generation, 7);
            prop_assert_eq!(standing.stale(), reason.class() == ReasonClass::Ours);
        }
    }

    #[test]
    fn what_says_nothing_about_the_target_changes_nothing_about_it(
        reasons in reasons(), failures in 1_u32..4, successes in 1_u32..4,
    ) {
        let spec = spec(failures, successes);
        let (mut all, mut told) = (Standing::pending(), Standing::pending());
        for (index, reason) in reasons.iter().enumerate() {
            all.observe(&spec, 1, outcome(*reason), minute(index));
            if is_good(*reason).is_some() {
                told.observe(&spec, 1, outcome(*reason), minute(index));
            }
            prop_assert_eq!(all.verdict, told.verdict);
            prop_assert_eq!(all.consecutive_failures, told.consecutive_failures);
            prop_assert_eq!(all.consecutive_successes, told.consecutive_successes);
            prop_assert_eq!(all.failing_since, told.failing_since);
            prop_assert_eq!(all.last_transition, told.last_transition);
        }
    }

    #[test]
    fn it_fails_since_the_first_bad_outcome_after_it_was_last_healthy(
        reasons in reasons(), failures in 1_u32..4, successes in 1_u32..4,
    ) {
        let (spec, mut standing) = (spec(failures, successes), Standing::pending());
        let mut first_bad = None;
        for (index, reason) in reasons.iter().enumerate() {
            standing.observe(&spec, 1, outcome(*reason), minute(index));
            match is_good(*reason) {
                Some(true) if standing.healthy() => first_bad = None,
                Some(false) => first_bad = first_bad.or(Some(minute(index))),
                _ => {}
            }
            prop_assert_eq!(standing.failing_since, first_bad);
        }
    }

    #[test]
    fn an_unconfirmed_change_is_one_that_a_threshold_still_holds_back(
        reasons in reasons(), failures in 1_u32..4, successes in 1_u32..4,
    ) {
        let (spec, mut standing) = (spec(failures, successes), Standing::pending());
        for (index, reason) in reasons.iter().enumerate() {
            standing.observe(&spec, 1, outcome(*reason), minute(index));
            let against = match standing.verdict {
                Verdict::Healthy => standing.consecutive_failures,
                Verdict::Failing => standing.consecutive_successes,
                Verdict::Unknown => standing.consecutive_failures + standing.consecutive_successes,
            };
            prop_assert_eq!(standing.unconfirmed(), against > 0);
            prop_assert!(standing.consecutive_failures == 0 || standing.consecutive_successes == 0);
        }
    }

    #[test]
    fn attempts_of_a_backoff_count_429s_until_the_target_says_something_else(reasons in reasons()) {
        let (spec, mut standing) = (spec(1, 1), Standing::pending());
        let mut attempts = 0;
        for (index, reason) in reasons.iter().enumerate() {
            standing.observe(&spec, 1, outcome(*reason), minute(index));
            match is_good(*reason) {
                Some(_) => attempts = 0,
                None => attempts += u32::from(*reason == Reason::RateLimited),
            }
            prop_assert_eq!(standing.backoff_attempts, attempts);
            prop_assert_eq!(standing.state == State::CheckBackoff, *reason == Reason::RateLimited);
        }
    }

    #[test]
    fn a_restored_standing_is_stale_until_it_is_probed_and_forgets_nothing(reasons in reasons(), next in reasons()) {
        let (spec, mut standing) = (spec(2, 2), Standing::pending());
        for (index, reason) in reasons.iter().enumerate() {
            standing.observe(&spec, 1, outcome(*reason), minute(index));
        }
        let written = serde_json::to_string(&standing).unwrap();
        let mut restored: Standing = serde_json::from_str::<Standing>(&written).unwrap().restore();
        prop_assert_eq!(restored.stale(), !reasons.is_empty());
        prop_assert_eq!(restored.verdict, standing.verdict);
        for (index, reason) in next.iter().enumerate() {
            let transition = restored.observe(&spec, 1, outcome(*reason), minute(100 + index));
            let expected = standing.observe(&spec, 1, outcome(*reason), minute(100 + index));
            prop_assert_eq!(transition, expected, "a restart turns nothing and holds nothing up");
            prop_assert_eq!(&restored, &standing);
        }
    }
}

#[test]
fn a_refused_spec_fails_at_once_and_is_not_stale_even_after_a_restart() {
    let mut standing = Standing::pending();
    standing.observe(&spec(1, 1), 1, outcome(Reason::Succeeded), minute(0));
    let mut standing = standing.restore();
    let turn = standing.refuse(2, &outcome(Reason::InvalidConfiguration), minute(1)).unwrap();
    assert_eq!((turn.from, turn.to), (Verdict::Healthy, Verdict::Failing));
    assert_eq!((standing.state, standing.observed_generation), (State::Errored, 2));
    assert!(!standing.stale());
}

#[test]
fn missing_credentials_turn_nothing_and_are_stale() {
    let mut standing = Standing::pending();
    standing.observe(&spec(1, 1), 1, outcome(Reason::Succeeded), minute(0));
    assert_eq!(standing.refuse(2, &outcome(Reason::CredentialsUnavailable), minute(1)), None);
    assert!(standing.healthy() && standing.stale());
}

#[test]
fn a_suspended_check_keeps_its_last_word_and_one_that_never_ran_says_so() {
    let mut asked = Standing::pending();
    asked.observe(&spec(1, 1), 1, outcome(Reason::Succeeded), minute(0));
    asked.suspend();
    assert!(asked.healthy());
    assert_eq!((asked.reason, asked.response.as_str()), (Reason::Suspended, "it said Succeeded"));
    let mut never = Standing::pending();
    never.suspend();
    assert_eq!((never.healthy(), never.response.as_str()), (false, "Suspended"));
    never.resume();
    assert_eq!(never, Standing::pending());
}

#[test]
fn every_word_of_the_vocabulary_is_its_own_name() {
    for reason in Reason::ALL {
        assert_eq!(Reason::parse(reason.as_str()), Some(*reason));
        assert_eq!(format!("{reason:?}"), reason.as_str());
    }
}
