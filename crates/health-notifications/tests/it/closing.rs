//! What is gone in mid-alert closes what it had opened.

use health_model::{ChannelKind, RuleSpec};
use health_notifications::{Event, Input, Telling};

use crate::{
    build::{Target, at},
    desk::{Desk, alertmanager, machine, pagerduty, rules_of, spec},
};

#[test]
fn before_the_source_has_been_read_nothing_is_taken_for_deleted_or_recovered() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.machine = machine(desk.ledger.clone());
    desk.event(Event::Input(Input { rules: Some(rules_of(spec())), ..Input::default() }));
    desk.until(600);
    assert_eq!(desk.tellings(), [Telling::Firing]);
    web.standing = health_model::Standing::pending();
    desk.event(Event::Input(Input { observations: vec![web.seen()], synced: true, ..Input::default() }));
    desk.until(1200);
    assert_eq!(desk.tellings(), [Telling::Firing], "pending says nothing");
    desk.see(web.passes(at(1200)));
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
}

#[test]
fn a_check_deleted_in_mid_alert_is_told_to_be_no_longer_watched() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.see(web.gone());
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Unwatched]);
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}

#[test]
fn a_rule_deleted_in_mid_alert_closes_what_it_opened() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.rules(Vec::new());
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Unwatched]);
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}

#[test]
fn a_rule_deleted_in_mid_alert_closes_its_incident_and_its_alert() {
    for channel in [pagerduty(), alertmanager()] {
        let mut web = Target::new("web");
        let mut desk = Desk::with(rules_of(RuleSpec { channels: vec![channel], ..spec() }), &[&web]);
        desk.see(web.fails(at(0)));
        desk.until(5);
        desk.rules(Vec::new());
        desk.until(60);
        assert_eq!(desk.tellings(), [Telling::Firing, Telling::Unwatched]);
        if desk.offered[0].channel == ChannelKind::Pagerduty {
            assert_eq!(desk.offered[0].incident, desk.offered[1].incident);
        }
        assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
    }
}

#[test]
fn an_incident_that_was_perhaps_opened_is_closed_when_its_check_is_deleted() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(RuleSpec { channels: vec![pagerduty()], ..spec() }), &[&web]);
    desk.mute = true;
    desk.see(web.fails(at(0)));
    desk.see(web.gone());
    desk.mute = false;
    desk.until(60);
    let (first, last) = (desk.offered.first().unwrap(), desk.offered.last().unwrap());
    assert_eq!((first.telling, last.telling), (Telling::Firing, Telling::Unwatched));
    assert_eq!(first.incident, last.incident);
    assert_ne!(first.id, last.id, "they say different things");
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}

#[test]
fn an_incident_that_was_perhaps_opened_before_a_kill_is_closed_after_it() {
    let mut web = Target::new("web");
    let rules = || rules_of(RuleSpec { channels: vec![pagerduty()], ..spec() });
    let mut desk = Desk::with(rules(), &[&web]);
    desk.mute = true;
    desk.see(web.fails(at(0)));
    desk.mute = false;
    desk.restart(rules(), &mut []);
    desk.until(60);
    assert_eq!(desk.offered.last().unwrap().telling, Telling::Unwatched, "{:?}", desk.offered);
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}

#[test]
fn a_chat_that_was_perhaps_told_is_not_told_of_an_end_when_the_check_is_deleted() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.mute = true;
    desk.see(web.fails(at(0)));
    desk.see(web.gone());
    desk.mute = false;
    desk.until(60);
    assert_eq!(desk.offered.len(), 1, "{:?}", desk.offered);
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
}

#[test]
fn a_rule_deleted_while_nobody_looked_leaves_nothing_behind_but_a_count() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.restart(Vec::new(), &mut [&mut web]);
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing], "how to reach the channel is known to nobody any more");
    assert!(desk.ledger.is_empty(), "{:?}", desk.ledger);
    assert_eq!(desk.machine.metrics(desk.now).abandoned, 1);
}

#[test]
fn a_check_deleted_while_nobody_looked_is_told_to_be_no_longer_watched() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.restart(rules_of(spec()), &mut []);
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Unwatched]);
}
