//! One sentence of the promise at a time, on the machine alone: hold, group, repeat, resolve, edits, restarts.

use std::time::Duration;

use health_model::{Channel, CheckId, Reason, RuleSpec, Texts};
use health_notifications::Telling;

use crate::{
    build::{Target, at, rule},
    desk::{Desk, rules_of, spec},
};

#[test]
fn the_first_failure_after_a_start_is_told_and_the_first_success_is_silent() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    let mut desk = Desk::with(rules_of(spec()), &[&web, &db]);
    desk.see(web.passes(at(0)));
    desk.see(db.fails(at(0)));
    desk.until(60);
    assert_eq!(desk.told, [(at(0), Telling::Firing, vec!["db".to_owned()])]);
}

#[test]
fn nothing_is_told_before_the_hold_is_over_and_nothing_at_all_when_it_recovers_within() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    let mut desk = Desk::with(rules_of(RuleSpec { wait_before_send: Duration::from_secs(60), ..spec() }), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.see(db.fails(at(0)));
    desk.until(59);
    desk.see(db.passes(at(59)));
    assert_eq!(desk.told, []);
    desk.until(120);
    assert_eq!(desk.told, [(at(60), Telling::Firing, vec!["web".to_owned()])]);
}

#[test]
fn a_restart_goes_on_with_the_hold_where_it_was() {
    let mut web = Target::new("web");
    let rules = || rules_of(RuleSpec { wait_before_send: Duration::from_secs(60), ..spec() });
    let mut desk = Desk::with(rules(), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(30);
    // The engine has forgotten since when it fails; the ledger has not.
    web.standing = health_model::Standing::pending();
    desk.restart(rules(), &mut [&mut web]);
    desk.see(web.fails(at(31)));
    desk.until(59);
    assert_eq!(desk.told, []);
    desk.until(61);
    assert_eq!(desk.told.len(), 1);
    assert_eq!(desk.told[0].0, at(60));
}

#[test]
fn repeats_come_when_they_are_due_also_over_a_restart() {
    let mut web = Target::new("web");
    let rules = || rules_of(RuleSpec { repeat_after: Some(Duration::from_secs(60)), ..spec() });
    let mut desk = Desk::with(rules(), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(90);
    desk.restart(rules(), &mut [&mut web]);
    desk.see(web.fails(at(91)));
    desk.until(150);
    let times: Vec<_> = desk.told.iter().map(|(at, _, _)| *at).collect();
    assert_eq!(times, [at(0), at(60), at(120)]);
}

#[test]
fn what_turns_within_the_group_wait_goes_out_as_one_message() {
    let (mut web, mut db, mut api) = (Target::new("web"), Target::new("db"), Target::new("api"));
    let mut desk = Desk::with(rules_of(RuleSpec { group_wait: Duration::from_secs(5), ..spec() }), &[&web, &db, &api]);
    for (second, target) in [&mut web, &mut db, &mut api].into_iter().enumerate() {
        let now = i64::try_from(second).unwrap();
        desk.until(now);
        desk.see(target.fails(at(now)));
    }
    desk.until(60);
    let names = ["api", "db", "web"].map(str::to_owned).to_vec();
    assert_eq!(desk.told, [(at(5), Telling::Firing, names)]);
}

#[test]
fn a_rule_that_can_no_longer_be_understood_keeps_its_last_good_version() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    let mut broken = rule("team", spec());
    broken.spec = Err(health_model::SpecProblem {
        reason: Reason::InvalidConfiguration,
        message: "spec.checks: must not be empty".to_owned(),
        target: None,
        kind: None,
        interval: None,
    });
    desk.until(5);
    desk.rules(vec![broken]);
    desk.see(web.passes(at(5)));
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
}

#[test]
fn editing_texts_and_thresholds_tells_nothing_again() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    let mut edited = RuleSpec { wait_before_send: Duration::from_secs(3), ..spec() };
    if let Channel::Slack { texts, .. } = &mut edited.channels[0] {
        *texts = Texts { message: Some("new words".to_owned()), resolve_message: None };
    }
    desk.rules(rules_of(edited));
    web.edit(|spec| spec.failure_threshold = 3);
    desk.see(web.seen());
    desk.until(600);
    assert_eq!(desk.tellings(), [Telling::Firing]);
}

#[test]
fn a_channel_added_in_mid_alert_is_told_too() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    let mut wider = spec();
    wider.channels.push(Channel::Discord {
        webhooks: vec![health_model::SlackWebhook { label: "url".to_owned(), url: "http://127.0.0.1:1/d".into() }],
        texts: Texts::default(),
    });
    desk.rules(rules_of(wider));
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Firing]);
}

#[test]
fn send_resolved_false_tells_no_end() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(RuleSpec { send_resolved: false, ..spec() }), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.see(web.passes(at(5)));
    desk.until(10);
    desk.see(web.fails(at(10)));
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Firing]);
}

#[test]
fn a_destination_that_fails_is_reported_until_it_accepts_again() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.away = true;
    desk.see(web.fails(at(0)));
    desk.until(100);
    let reports = desk.machine.reports(desk.now);
    let trouble = reports[0].not_delivering.values().next().unwrap();
    assert!(trouble.since == at(0) && trouble.failures > 3 && trouble.why == "away", "{trouble:?}");
    assert!(!reports[0].checks[&CheckId::new("default", "web")]);
    let metrics = desk.machine.metrics(desk.now);
    assert_eq!(metrics.queued[&health_model::ChannelKind::Slack], 1);
    assert!(metrics.oldest_undelivered_seconds > 99.0, "{metrics:?}");
    desk.away = false;
    desk.until(300);
    assert!(desk.machine.reports(desk.now)[0].not_delivering.is_empty());
    assert_eq!(desk.machine.metrics(desk.now).queued[&health_model::ChannelKind::Slack], 0);
}
