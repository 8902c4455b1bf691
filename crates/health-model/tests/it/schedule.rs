//! Phases in time.

use std::time::Duration;

use health_model::{
    CheckId, DEFAULT_MAX_BACKOFF, FIRST_PROBE_SPREAD, backoff_delay, first_delay, next_slot, overdue_after,
    phase_offset,
};
use proptest::prelude::*;

fn intervals() -> impl Strategy<Value = Duration> {
    (100_u64..10_000_000).prop_map(Duration::from_millis)
}

fn moments() -> impl Strategy<Value = Duration> {
    (0_u64..4_000_000_000_000).prop_map(Duration::from_millis)
}

fn ids() -> impl Strategy<Value = CheckId> {
    ("[a-z]{1,8}", "[a-z0-9-]{1,20}").prop_map(|(namespace, name)| CheckId::new(namespace, name))
}

fn many() -> impl Iterator<Item = CheckId> {
    (0..10_000).map(|number| CheckId::new("default", format!("service-{number}")))
}

proptest! {
    #[test]
    fn the_next_moment_is_later_and_at_most_one_interval_away(id in ids(), interval in intervals(), now in moments()) {
        let next = next_slot(&id, interval, now);
        prop_assert!(next > now);
        prop_assert!(next - now <= interval || now < phase_offset(&id, interval));
    }

    #[test]
    fn moments_follow_each_other_by_exactly_one_interval(id in ids(), interval in intervals(), now in moments()) {
        let first = next_slot(&id, interval, now);
        prop_assert_eq!(next_slot(&id, interval, first), first + interval);
        prop_assert_eq!(next_slot(&id, interval, first - Duration::from_nanos(1)), first);
    }

    #[test]
    fn a_moment_depends_on_identity_interval_and_time_alone(id in ids(), interval in intervals(), now in moments()) {
        let same = CheckId::new(id.namespace(), id.name());
        prop_assert_eq!(next_slot(&id, interval, now), next_slot(&same, interval, now));
    }

    #[test]
    fn first_probes_come_within_the_spread(id in ids(), interval in intervals()) {
        prop_assert!(first_delay(&id, interval) < interval.min(FIRST_PROBE_SPREAD));
        prop_assert!(phase_offset(&id, interval) < interval);
    }

    #[test]
    fn a_backoff_is_as_long_as_asked_and_never_beyond_its_cap(
        interval in intervals(), attempt in 0_u32..200, asked in proptest::option::of(0_u64..1_000_000), jitter in 0.0..1.0,
    ) {
        let asked = asked.map(Duration::from_secs);
        let delay = backoff_delay(interval, attempt, asked, DEFAULT_MAX_BACKOFF, jitter);
        prop_assert!(delay <= DEFAULT_MAX_BACKOFF);
        match asked {
            Some(asked) => prop_assert_eq!(delay, asked.min(DEFAULT_MAX_BACKOFF)),
            None => prop_assert!(delay >= interval.min(DEFAULT_MAX_BACKOFF / 2)),
        }
    }

    #[test]
    fn a_check_is_never_overdue_before_it_could_have_answered(interval in intervals(), timeout in intervals()) {
        let limit = overdue_after(interval, timeout);
        prop_assert!(limit >= interval + timeout);
        prop_assert!(limit >= Duration::from_secs(10));
    }
}

/// How many of 10 000 fall into each of 100 equal parts.
fn spread(share: impl Fn(&CheckId) -> f64) -> [usize; 100] {
    let mut parts = [0; 100];
    for id in many() {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of one")]
        let part = (share(&id) * 100.0) as usize;
        parts[part.min(99)] += 1;
    }
    parts
}

#[test]
fn phases_of_many_checks_are_even() {
    let interval = Duration::from_secs(60);
    let parts = spread(|id| phase_offset(id, interval).div_duration_f64(interval));
    assert!(parts.iter().all(|count| (55..=145).contains(count)), "{parts:?}");
}

#[test]
fn first_probes_of_many_checks_are_even_and_do_not_follow_their_phase() {
    let interval = Duration::from_secs(5);
    let parts = spread(|id| first_delay(id, interval).div_duration_f64(interval));
    assert!(parts.iter().all(|count| (55..=145).contains(count)), "{parts:?}");
    let alike =
        many().filter(|id| first_delay(id, interval).abs_diff(phase_offset(id, interval)) < interval / 20).count();
    assert!((700..=1300).contains(&alike), "{alike} of 10 000 begin near their phase; chance would have it for 975");
}
