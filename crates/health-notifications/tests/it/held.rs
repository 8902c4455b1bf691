//! What is held back, and told at the end if it is still true.

use std::{sync::Arc, time::Duration};

use health_model::{ChannelKind, MaintenanceWindow, Outcome, Reason, RuleDefinition, RuleSpec, Severity};
use health_notifications::{CheckSnapshot, Observation, Telling};
use jiff::Timestamp;

use crate::{
    build::{Target, at},
    desk::{Desk, alertmanager, pagerduty, rules_of, spec},
};

#[test]
fn maintenance_holds_the_message_and_tells_at_its_end_what_is_still_down() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    let window = || vec![MaintenanceWindow::once(at(0), at(600)).unwrap()];
    web.edit(|spec| spec.maintenance = window());
    db.edit(|spec| spec.maintenance = window());
    let mut desk = Desk::with(rules_of(spec()), &[&web, &db]);
    desk.see(web.fails(at(10)));
    desk.see(db.fails(at(10)));
    desk.until(300);
    desk.see(db.passes(at(300)));
    desk.until(599);
    assert_eq!(desk.told, []);
    desk.until(700);
    assert_eq!(desk.told.len(), 1);
    let (when, telling, names) = &desk.told[0];
    assert!(*when >= at(600) && *when <= at(606), "{when}");
    assert_eq!((*telling, names.as_slice()), (Telling::Firing, &["web".to_owned()][..]));
}

#[test]
fn quiet_hours_hold_everything_for_people_and_tell_what_is_still_down_afterwards() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    let quiet = vec![MaintenanceWindow::once(at(0), at(600)).unwrap()];
    let mut desk = Desk::with(rules_of(RuleSpec { quiet_hours: quiet, ..spec() }), &[&web, &db]);
    desk.see(web.fails(at(10)));
    desk.see(db.fails(at(10)));
    desk.until(20);
    desk.see(db.passes(at(20)));
    desk.until(700);
    assert_eq!(desk.told.len(), 1);
    assert_eq!(desk.told[0].2, ["web"]);
}

#[test]
fn while_something_it_depends_on_is_down_a_check_tells_nobody() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    web.edit(|spec| spec.depends_on = vec!["db".into()]);
    let rules = || rules_of(RuleSpec { checks: vec!["web".into()], ..spec() });
    let mut desk = Desk::with(rules(), &[&web, &db]);
    desk.see(db.fails(at(0)));
    desk.see(web.fails(at(1)));
    desk.until(60);
    assert_eq!(desk.told, []);
    // It is back, but what the dependent check said before says nothing about now.
    desk.see(db.passes(at(60)));
    desk.until(65);
    assert_eq!(desk.told, []);
    desk.now = at(70);
    desk.see(web.fails(at(70)));
    desk.until(80);
    assert_eq!(desk.tellings(), [Telling::Firing]);
}

#[test]
fn our_own_lost_network_and_a_target_that_throttles_us_are_nobodys_outage() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    let mut desk = Desk::with(rules_of(RuleSpec { wait_before_send: Duration::from_secs(5), ..spec() }), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.see(db.fails(at(0)));
    desk.see(web.outcome(Outcome::new(Reason::NetworkLost, "no witness answers"), at(1)));
    desk.see(db.outcome(Outcome::new(Reason::RateLimited, "429 Too Many Requests"), at(1)));
    desk.until(60);
    assert_eq!(desk.told, []);
    desk.see(web.fails(at(60)));
    desk.until(70);
    assert_eq!(desk.tellings(), [Telling::Firing]);
}

#[test]
fn a_lost_network_resolves_nothing_that_was_told() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.see(web.outcome(Outcome::new(Reason::NetworkLost, "no witness answers"), at(5)));
    desk.until(60);
    assert_eq!(desk.tellings(), [Telling::Firing]);
}

#[test]
fn a_suspended_check_and_a_suspended_rule_tell_nobody() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    web.edit(|spec| spec.suspend = true);
    let mut desk = Desk::with(rules_of(spec()), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.until(60);
    assert_eq!(desk.told, []);
    desk.rules(rules_of(RuleSpec { suspend: true, ..spec() }));
    desk.see(db.fails(at(60)));
    desk.until(120);
    assert_eq!(desk.told, []);
    desk.rules(rules_of(spec()));
    desk.until(180);
    assert_eq!(desk.told.len(), 1);
    assert_eq!(desk.told[0].2, ["db"]);
}

#[test]
fn a_rule_hears_nothing_of_checks_below_its_severity() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    web.edit(|spec| spec.severity = Severity::Warning);
    let mut desk = Desk::with(rules_of(RuleSpec { min_severity: Severity::Critical, ..spec() }), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.see(db.fails(at(0)));
    desk.until(60);
    assert_eq!(desk.told.len(), 1);
    assert_eq!(desk.told[0].2, ["db"]);
}

/// `web` needs `db`; both are watched.
fn web_and_its_db() -> (Target, Target) {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    web.edit(|spec| spec.depends_on = vec!["db".into()]);
    db.passes(at(-8));
    (web, db)
}

#[test]
fn a_check_that_is_asked_before_what_it_depends_on_waits_for_its_word() {
    let (mut web, mut db) = web_and_its_db();
    let mut desk = Desk::with(rules_of(spec()), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.until(2);
    assert_eq!(desk.told, [], "the database may be what is down");
    desk.see(db.fails(at(2)));
    desk.until(120);
    assert_eq!(desk.told, [(at(2), Telling::Firing, vec!["db".to_owned()])]);
}

#[test]
fn when_what_it_depends_on_has_been_asked_and_is_well_the_check_is_told_at_once() {
    let (mut web, mut db) = web_and_its_db();
    let mut desk = Desk::with(rules_of(spec()), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.until(2);
    desk.see(db.passes(at(2)));
    desk.until(3);
    assert_eq!(desk.told, [(at(2), Telling::Firing, vec!["web".to_owned()])]);
}

#[test]
fn what_it_depends_on_is_not_waited_for_when_it_is_rarely_or_never_asked() {
    let (mut web, mut db) = web_and_its_db();
    db.edit(|spec| spec.interval = Duration::from_secs(3600));
    let mut desk = Desk::with(rules_of(spec()), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.until(59);
    assert_eq!(desk.told, []);
    desk.until(66);
    assert_eq!(desk.told.len(), 1, "a minute is enough");

    let (mut web, mut db) = web_and_its_db();
    db.edit(|spec| spec.suspend = true);
    let mut desk = Desk::with(rules_of(spec()), &[&web, &db]);
    desk.see(web.fails(at(0)));
    assert_eq!(desk.told.len(), 1, "nobody will ask it");
}

#[test]
fn what_is_still_being_grouped_is_held_back_again_when_what_it_depends_on_goes_down() {
    let (mut web, mut db) = web_and_its_db();
    let mut desk = Desk::with(rules_of(RuleSpec { group_wait: Duration::from_secs(5), ..spec() }), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.until(1);
    desk.see(db.passes(at(1)));
    desk.until(2);
    desk.see(db.fails(at(2)));
    desk.until(60);
    assert_eq!(desk.told.len(), 1);
    assert_eq!(desk.told[0].2, ["db"]);
}

#[test]
fn maintenance_holds_repeats_back_and_not_the_end_of_what_was_told_before() {
    let mut web = Target::new("web");
    web.edit(|spec| spec.maintenance = vec![MaintenanceWindow::once(at(100), at(600)).unwrap()]);
    let mut desk = Desk::with(rules_of(RuleSpec { repeat_after: Some(Duration::from_secs(60)), ..spec() }), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(300);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Firing], "at 0 and 60, not at 120");
    desk.see(web.passes(at(300)));
    desk.until(310);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Firing, Telling::Resolved]);
}

#[test]
fn in_quiet_hours_people_hear_of_an_end_afterwards_and_an_incident_is_closed_at_once() {
    let mut web = Target::new("web");
    let mut quiet = spec();
    quiet.quiet_hours = vec![MaintenanceWindow::once(at(100), at(600)).unwrap()];
    quiet.channels.push(pagerduty());
    let mut desk = Desk::with(rules_of(quiet), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(200);
    desk.see(web.passes(at(200)));
    desk.until(700);
    let ends =
        |kind| desk.offered_to(kind).into_iter().find(|offered| offered.telling == Telling::Resolved).unwrap().at;
    assert_eq!(ends(ChannelKind::Pagerduty), at(200));
    let told = ends(ChannelKind::Slack);
    assert!(told >= at(600) && told <= at(606), "{told}");
}

#[test]
fn what_recovers_while_the_rule_is_suspended_is_told_when_it_no_longer_is() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.rules(rules_of(RuleSpec { suspend: true, ..spec() }));
    desk.see(web.passes(at(5)));
    desk.until(100);
    assert_eq!(desk.tellings(), [Telling::Firing]);
    desk.rules(rules_of(spec()));
    desk.until(110);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
}

#[test]
fn a_check_suspended_in_mid_alert_is_neither_repeated_nor_over() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(RuleSpec { repeat_after: Some(Duration::from_secs(60)), ..spec() }), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    web.edit(|spec| spec.suspend = true);
    desk.see(web.seen());
    desk.until(300);
    assert_eq!(desk.tellings(), [Telling::Firing]);
    web.edit(|spec| spec.suspend = false);
    desk.see(web.passes(at(300)));
    desk.until(310);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
}

#[test]
fn a_target_that_backs_off_in_mid_alert_is_neither_repeated_nor_over() {
    let mut web = Target::new("web");
    let mut desk = Desk::with(rules_of(RuleSpec { repeat_after: Some(Duration::from_secs(60)), ..spec() }), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(5);
    desk.see(web.outcome(Outcome::new(Reason::RateLimited, "429 Too Many Requests"), at(5)));
    desk.until(300);
    assert_eq!(desk.tellings(), [Telling::Firing]);
    desk.see(web.fails(at(300)));
    desk.until(310);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Firing], "the repeat that was due");
}

/// As it stands, but not probed for so long that its word is not believed.
fn overdue(target: &Target) -> Observation {
    let mut check = CheckSnapshot::clone(&target.snapshot());
    check.overdue = true;
    Observation { check: Some(Arc::new(check)), ..target.seen() }
}

#[test]
fn an_overdue_check_opens_nothing_and_ends_nothing() {
    let (mut web, mut db) = (Target::new("web"), Target::new("db"));
    let mut desk = Desk::with(rules_of(RuleSpec { wait_before_send: Duration::from_secs(10), ..spec() }), &[&web, &db]);
    desk.see(web.fails(at(0)));
    desk.see(overdue(&web));
    desk.see(db.fails(at(0)));
    desk.until(60);
    assert_eq!(desk.told, [(at(10), Telling::Firing, vec!["db".to_owned()])]);
    db.passes(at(60));
    desk.see(overdue(&db));
    desk.until(120);
    assert_eq!(desk.told.len(), 1, "{:?}", desk.told);
    desk.see(web.fails(at(120)));
    desk.see(db.seen());
    desk.until(180);
    assert_eq!(desk.tellings()[1..], [Telling::Firing, Telling::Resolved], "what still holds is told now");
}

fn alertmanager_rule(spec_of: RuleSpec) -> Vec<RuleDefinition> {
    rules_of(RuleSpec { channels: vec![alertmanager()], ..spec_of })
}

#[test]
fn an_alertmanager_is_told_again_every_minute_also_while_repeats_are_held_back() {
    let mut web = Target::new("web");
    web.edit(|spec| spec.maintenance = vec![MaintenanceWindow::once(at(90), at(600)).unwrap()]);
    let mut desk = Desk::with(alertmanager_rule(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(590);
    let times: Vec<Timestamp> = desk.offered.iter().map(|offered| offered.at).collect();
    assert_eq!(times, (0..10).map(|minute| at(60 * minute)).collect::<Vec<_>>(), "else it would say that it is over");
    desk.rules(alertmanager_rule(RuleSpec { suspend: true, ..spec() }));
    desk.until(2000);
    assert_eq!(desk.offered.len(), 10, "a suspended rule tells nobody anything");
}

#[test]
fn maintenance_holds_the_first_word_back_from_an_alertmanager_too() {
    let mut web = Target::new("web");
    web.edit(|spec| spec.maintenance = vec![MaintenanceWindow::once(at(0), at(600)).unwrap()]);
    let mut desk = Desk::with(alertmanager_rule(spec()), &[&web]);
    desk.see(web.fails(at(0)));
    desk.until(599);
    assert!(desk.offered.is_empty(), "{:?}", desk.offered);
    desk.until(610);
    assert_eq!(desk.tellings(), [Telling::Firing]);
}
