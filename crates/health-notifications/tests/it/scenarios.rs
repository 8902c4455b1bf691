//! One sentence of the promise at a time, on the machine alone, in simulated time.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use health_model::{
    CertificateFacts, Channel, CheckId, HttpProbe, MaintenanceWindow, Outcome, Probe, Reason, RuleDefinition, RuleSpec,
    Severity, Texts,
};
use health_notifications::{
    Action, Delivery, Entry, Event, Input, LedgerKey, Machine, NotificationSettings, Observation, Telling,
    channel::Verdict,
};
use jiff::Timestamp;

use crate::build::{Target, at, rule, rule_spec, slack};

/// A machine, its ledger, and a provider that accepts everything until it is told otherwise.
struct Desk {
    machine: Machine,
    ledger: BTreeMap<LedgerKey, Entry>,
    told: Vec<(Timestamp, Telling, Vec<String>)>,
    away: bool,
    now: Timestamp,
}

impl Desk {
    fn new() -> Self {
        Self { machine: machine(BTreeMap::new()), ledger: BTreeMap::new(), told: Vec::new(), away: false, now: at(0) }
    }

    fn with(rules: Vec<RuleDefinition>, targets: &[&Target]) -> Self {
        let mut desk = Self::new();
        desk.begin(rules, targets);
        desk
    }

    fn begin(&mut self, rules: Vec<RuleDefinition>, targets: &[&Target]) {
        let observations = targets.iter().map(|target| target.seen()).collect();
        self.event(Event::Input(Input { rules: Some(rules), observations, synced: true }));
    }

    fn event(&mut self, event: Event) {
        let mut deliveries = Vec::new();
        for action in self.machine.handle(event, self.now) {
            match action {
                Action::Record(changes) => {
                    for change in changes {
                        match change.entry {
                            Some(entry) => self.ledger.insert(change.key, entry),
                            None => self.ledger.remove(&change.key),
                        };
                    }
                }
                Action::Send(delivery) => deliveries.push(delivery),
            }
        }
        for delivery in deliveries {
            self.answer(delivery);
        }
    }

    fn answer(&mut self, delivery: Delivery) {
        let verdict = if self.away {
            Verdict::Retry { why: "away".to_owned(), after: None, ambiguous: false }
        } else {
            let names = delivery.message.members.iter().map(|member| member.check.name().to_owned()).collect();
            self.told.push((self.now, delivery.message.telling, names));
            Verdict::Accepted
        };
        self.event(Event::Answer { lane: delivery.lane, id: delivery.message.id, verdict });
    }

    fn see(&mut self, observation: Observation) {
        self.event(Event::Input(Input { observations: vec![observation], ..Input::default() }));
    }

    fn rules(&mut self, rules: Vec<RuleDefinition>) {
        self.event(Event::Input(Input { rules: Some(rules), ..Input::default() }));
    }

    fn until(&mut self, seconds: i64) {
        let end = at(seconds);
        while let Some(wake) = self.machine.next_wakeup().filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            self.event(Event::Tick);
        }
        self.now = end;
    }

    fn restart(&mut self, rules: Vec<RuleDefinition>, targets: &mut [&mut Target]) {
        self.machine = machine(self.ledger.clone());
        for target in targets.iter_mut() {
            target.standing = target.standing.clone().restore();
        }
        let observations = targets.iter().map(|target| target.seen()).collect();
        self.event(Event::Input(Input { rules: Some(rules), observations, synced: true }));
    }

    fn tellings(&self) -> Vec<Telling> {
        self.told.iter().map(|(_, telling, _)| *telling).collect()
    }
}

fn machine(kept: impl IntoIterator<Item = (LedgerKey, Entry)>) -> Machine {
    let NotificationSettings { flapping, retrying, .. } = NotificationSettings::default();
    Machine::new(kept, flapping, retrying, true)
}

fn spec() -> RuleSpec {
    let mut spec = rule_spec(&["web", "db", "api"], slack("http://127.0.0.1:1/hook"));
    spec.wait_before_send = Duration::ZERO;
    spec
}

fn rules_of(spec: RuleSpec) -> Vec<RuleDefinition> {
    vec![rule("team", spec)]
}

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

fn certificate(target: &mut Target, fingerprint: &str, now: Timestamp) -> Observation {
    let facts = CertificateFacts {
        not_after: at(86_400),
        not_before: at(-86_400),
        chain_not_after: at(86_400),
        issuer: "CN=ca".to_owned(),
        subject: "CN=example.org".to_owned(),
        dns_names: vec!["example.org".to_owned()],
        chain_length: 1,
        fingerprint: fingerprint.to_owned(),
    };
    let outcome = Outcome {
        certificate: Some(Arc::new(facts)),
        ..Outcome::new(Reason::CertificateExpiring, "the certificate expires in 1 day")
    };
    target.outcome(outcome, now)
}

fn tls_target(name: &str) -> Target {
    let mut target = Target::new(name);
    target.edit(|spec| {
        let mut http = HttpProbe::get("https://example.org/".parse().unwrap());
        http.certificate_expiry_days = Some(10);
        spec.probe = Probe::Http(Box::new(http));
    });
    target
}

#[test]
fn a_certificate_that_expires_is_told_once_however_many_checks_see_it_and_copies_rotate() {
    let (mut web, mut api) = (tls_target("web"), tls_target("api"));
    let mut desk = Desk::with(rules_of(spec()), &[&web, &api]);
    desk.see(certificate(&mut web, "aa", at(0)));
    desk.until(5);
    desk.see(certificate(&mut api, "bb", at(5)));
    desk.until(10);
    assert_eq!(desk.tellings(), [Telling::Firing]);
    // A copy that was renewed answers now and then.
    for round in 0..4 {
        let second = 2000 + round * 2000;
        desk.until(second);
        desk.see(web.passes(at(second)));
        desk.until(second + 1000);
        desk.see(certificate(&mut web, "cc", at(second + 1000)));
    }
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Resolved]);
}

#[test]
fn what_fails_for_another_reason_than_its_certificate_is_told_all_the_same() {
    let (mut web, mut api) = (tls_target("web"), tls_target("api"));
    let mut desk = Desk::with(rules_of(spec()), &[&web, &api]);
    desk.see(certificate(&mut web, "aa", at(0)));
    desk.until(5);
    desk.see(certificate(&mut api, "aa", at(5)));
    desk.until(10);
    desk.see(api.fails(at(10)));
    desk.until(20);
    assert_eq!(desk.tellings(), [Telling::Firing, Telling::Firing]);
    assert_eq!(desk.told[1].2, ["api"]);
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
