//! Many checks at once, one check many times, a provider that was away.

use std::time::Duration;

use health_model::{Channel, ChannelKind, Texts};
use health_notifications::{Event, Input, Telling};
use jiff::Timestamp;

use crate::{
    build::{Target, at, rule, rule_spec, slack},
    channels::{email, http_channels},
    desk::{Desk, rules_of, spec},
};

#[test]
fn flapping_is_told_once_and_its_end_once() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    for turn in 0..14 {
        let second = turn * 30;
        desk.until(second);
        let seen = if turn % 2 == 0 { web.fails(at(second)) } else { web.passes(at(second)) };
        desk.see(seen);
    }
    let flapping = desk.tellings().iter().filter(|telling| **telling == Telling::Flapping).count();
    assert_eq!(flapping, 1, "{:?}", desk.told);
    assert!(desk.told.len() <= 6, "{:?}", desk.told);
    desk.until(3600);
    assert_eq!(desk.tellings().last(), Some(&Telling::Resolved));
    assert!(desk.told.len() <= 7, "{:?}", desk.told);
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}

#[test]
fn down_and_up_while_the_provider_was_away_is_one_summary() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.away = true;
    desk.see(web.fails(at(0)));
    desk.until(300);
    desk.see(web.passes(at(300)));
    desk.until(600);
    desk.away = false;
    desk.until(700);
    assert_eq!(desk.tellings(), [Telling::Summary]);
}

#[test]
fn after_an_hour_without_a_provider_everything_still_true_is_told_once_and_in_order() {
    let names: Vec<String> = (0..100).map(|number| format!("check-{number:03}")).collect();
    let mut targets: Vec<Target> = names.iter().map(|name| Target::new(name)).collect();
    let watched: Vec<&str> = names.iter().map(String::as_str).collect();
    let rules = || rules_of(rule_spec(&watched, slack("http://127.0.0.1:1/hook")));
    let all: Vec<&Target> = targets.iter().collect();
    let mut desk = Desk::with(rules(), &all);
    // The first ten are told before the provider goes away; some of them recover while it is away.
    for target in &mut targets[..10] {
        desk.see(target.fails(at(1)));
    }
    desk.until(60);
    let before = desk.told.len();
    desk.away = true;
    for (index, target) in targets.iter_mut().enumerate() {
        let second = 100 + i64::try_from(index).unwrap() * 30;
        desk.until(second);
        match index {
            0..5 => desk.see(target.passes(at(second))),
            5..10 => {}
            _ => desk.see(target.fails(at(second))),
        }
        if index >= 10 && index % 3 == 0 {
            desk.see(target.passes(at(second + 1)));
        }
    }
    desk.until(3700);
    assert_eq!(desk.told.len(), before);
    desk.away = false;
    desk.until(4000);
    let after = &desk.told[before..];
    let order: Vec<_> = after.iter().map(|(_, telling, names)| (*telling, names.len())).collect();
    assert_eq!(order, [(Telling::Firing, 60), (Telling::Summary, 30), (Telling::Resolved, 5)]);
}

#[test]
fn ten_thousand_checks_failing_in_one_second_are_at_most_five_messages() {
    let names: Vec<String> = (0..10_000).map(|number| format!("check-{number:05}")).collect();
    let watched: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut targets: Vec<Target> = names.iter().map(|name| Target::new(name)).collect();
    let mut wide = rule_spec(&[], slack("http://127.0.0.1:1/hook"));
    wide.selector = Some(health_model::LabelSelector::default());
    wide.channels.push(Channel::Pagerduty {
        api_url: "http://127.0.0.1:1/".parse().unwrap(),
        routing_key: "key".into(),
        texts: Texts::default(),
    });
    wide.channels
        .push(Channel::Alertmanager { urls: vec!["http://127.0.0.1:1/am".parse().unwrap()], texts: Texts::default() });
    assert_eq!(watched.len(), 10_000);
    let mut desk = Desk::with(rules_of(wide), &[]);
    // Twenty looks of five hundred checks each, within one second.
    for (look, chunk) in targets.chunks_mut(500).enumerate() {
        desk.now = at(0) + jiff::SignedDuration::from_millis(i64::try_from(look).unwrap() * 50);
        let now = desk.now;
        let observations = chunk.iter_mut().map(|target| target.fails(now)).collect();
        desk.event(Event::Input(Input { observations, ..Input::default() }));
    }
    desk.until(30);
    let members: usize = desk.told.iter().map(|(_, _, names)| names.len()).sum();
    assert_eq!(members, 30_000, "every check is told on every channel");
    assert!(desk.told.len() <= 15, "{} messages on three channels", desk.told.len());
}

#[test]
fn many_checks_failing_together_share_one_incident_which_the_last_of_them_closes() {
    let names = ["a", "b", "c", "d", "e"];
    let mut targets: Vec<Target> = names.iter().map(|name| Target::new(name)).collect();
    let mut spec = rule_spec(&names, slack("http://127.0.0.1:1/hook"));
    spec.group_wait = Duration::from_secs(5);
    spec.channels = vec![Channel::Opsgenie {
        api_url: "http://127.0.0.1:1/".parse().unwrap(),
        api_key: "key".into(),
        texts: Texts::default(),
    }];
    let mut desk = Desk::with(rules_of(spec), &targets.iter().collect::<Vec<_>>());
    for target in &mut targets {
        desk.see(target.fails(at(0)));
    }
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing]);
    for (second, target) in targets.iter_mut().enumerate() {
        let second = 60 + i64::try_from(second).unwrap() * 60;
        desk.until(second);
        assert_eq!(desk.tellings(), [Telling::Firing]);
        desk.see(target.passes(at(second)));
    }
    desk.until(600);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
    assert_eq!(desk.told[1].2.len(), 5);
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}

#[test]
fn a_storm_is_at_most_five_messages_on_each_kind_of_channel() {
    let mut channels = http_channels("http://127.0.0.1:1");
    channels.push(email(25, &["ops@example.org"]));
    let kinds: Vec<ChannelKind> = channels.iter().map(Channel::kind).collect();
    assert_eq!(kinds.len(), 12);
    let mut targets: Vec<Target> = (0..10_000).map(|number| Target::new(&format!("check-{number:05}"))).collect();
    let mut wide = rule_spec(&[], slack("http://127.0.0.1:1/hook"));
    (wide.selector, wide.channels) = (Some(health_model::LabelSelector::default()), channels);
    let mut desk = Desk::with(rules_of(wide), &[]);
    for (look, chunk) in targets.chunks_mut(500).enumerate() {
        desk.now = at(0) + jiff::SignedDuration::from_millis(i64::try_from(look).unwrap() * 50);
        let now = desk.now;
        let observations = chunk.iter_mut().map(|target| target.fails(now)).collect();
        desk.event(Event::Input(Input { observations, ..Input::default() }));
    }
    desk.until(30);
    let members: usize = desk.told.iter().map(|(_, _, names)| names.len()).sum();
    assert_eq!(members, 120_000, "every check is told on every channel");
    for kind in kinds {
        let messages = desk.offered_to(kind).len();
        assert!((1..=5).contains(&messages), "{messages} messages to {}", kind.as_str());
    }
}

#[test]
fn an_address_hears_at_most_one_message_a_second_however_many_rules_share_it() {
    let mut targets: Vec<Target> = (0..40).map(|number| Target::new(&format!("check-{number}"))).collect();
    let rules = ["one", "two"].map(|name| {
        let mut spec = rule_spec(&[], slack("http://127.0.0.1:1/hook"));
        spec.selector = Some(health_model::LabelSelector::default());
        rule(name, spec)
    });
    let mut desk = Desk::with(rules.to_vec(), &[]);
    for (index, target) in targets.iter_mut().enumerate() {
        desk.now = at(0) + jiff::SignedDuration::from_millis(i64::try_from(index).unwrap() * 100);
        let seen = target.fails(desk.now);
        desk.see(seen);
    }
    desk.until(60);
    let members: usize = desk.told.iter().map(|(_, _, names)| names.len()).sum();
    assert_eq!(members, 80, "merged, not dropped");
    let mut times: Vec<Timestamp> = desk.offered.iter().map(|offered| offered.at).collect();
    times.sort_unstable();
    for pair in times.windows(2) {
        assert!(pair[1].duration_since(pair[0]) >= jiff::SignedDuration::from_secs(1), "{times:?}");
    }
}

#[test]
fn flapping_that_was_told_is_not_told_again_after_a_restart() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    for turn in 0..20 {
        let second = turn * 30;
        desk.until(second);
        if turn == 10 {
            desk.restart(rules_of(spec()), &mut [&mut web]);
        }
        let seen = if turn % 2 == 0 { web.fails(at(second)) } else { web.passes(at(second)) };
        desk.see(seen);
    }
    desk.until(3600);
    let tellings = desk.tellings();
    assert_eq!(tellings.iter().filter(|telling| **telling == Telling::Flapping).count(), 1, "{tellings:?}");
    assert_eq!(tellings.last(), Some(&Telling::Resolved));
    let calm = desk.told.last().unwrap().0;
    assert!(
        calm >= at(17 * 30 + 600) && calm <= at(17 * 30 + 700),
        "calm ten minutes after its third-last turn: {calm}"
    );
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}
