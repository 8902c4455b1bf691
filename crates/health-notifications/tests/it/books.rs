//! What a provider shows against a plain account: whatever happened, in the end exactly the checks that fail and are
//! watched are covered by an open incident, an active alert or a last word, and none of these is about nothing.
//!
//! Random lives: results, checks and the rule that go and come back, suspensions, kills at any moment, storms that share
//! an incident, and a provider that accepts, vanishes (perhaps after it accepted) and refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use health_model::{Channel, CheckId, Texts};
use health_notifications::{Action, Delivery, Entry, Event, Input, LedgerKey, Machine, channel::Verdict};
use jiff::Timestamp;
use proptest::prelude::*;

use crate::{
    build::{Target, at, record, rule, rule_spec, slack},
    model::{lives, machine},
};

const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

#[derive(Clone, Debug)]
enum Happening {
    Fails(usize),
    Passes(usize),
    AllFail,
    AllPass,
    /// The check is deleted, or declared again, never probed yet.
    Deleted(usize),
    Declared(usize),
    /// The rule is suspended, or no longer.
    Suspended(bool),
    Time(u32),
    Answer(Reply),
    Kill {
        accepted: bool,
    },
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Accepts,
    Busy,
    Vanishes { accepted: bool },
    Refuses,
}

/// What keeps the provider's books.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Books {
    /// Incidents, by key.
    Pagerduty,
    /// Alerts, by labels.
    Alertmanager,
    /// Whoever reads along, by check.
    Slack,
}

#[derive(Clone, Copy, Debug)]
struct Setting {
    books: Books,
    wait: Duration,
    group: Duration,
    send_resolved: bool,
}

struct World {
    setting: Setting,
    machine: Machine,
    ledger: BTreeMap<LedgerKey, Entry>,
    targets: BTreeMap<usize, Target>,
    under_way: Option<Delivery>,
    suspended: bool,
    now: Timestamp,
    /// A message ended without anybody knowing how.
    doubtful: bool,
    /// What the provider shows as open, and for which checks it was opened.
    open: BTreeMap<Arc<str>, BTreeSet<CheckId>>,
}

impl World {
    fn new(setting: Setting) -> Self {
        let targets = NAMES.iter().enumerate().map(|(index, name)| (index, Target::new(name))).collect();
        let mut world = Self {
            setting,
            machine: machine(BTreeMap::new()),
            ledger: BTreeMap::new(),
            targets,
            under_way: None,
            suspended: false,
            now: at(0),
            doubtful: false,
            open: BTreeMap::new(),
        };
        world.begin();
        world
    }

    fn rules(&self) -> Input {
        let url: url::Url = "http://127.0.0.1:1".parse().unwrap();
        let texts = Texts::default();
        let channel = match self.setting.books {
            Books::Pagerduty => Channel::Pagerduty { api_url: url, routing_key: "key".into(), texts },
            Books::Alertmanager => Channel::Alertmanager { urls: vec![url], texts },
            Books::Slack => slack(url.as_str()),
        };
        let mut spec = rule_spec(&NAMES, channel);
        spec.wait_before_send = self.setting.wait;
        spec.group_wait = self.setting.group;
        spec.send_resolved = self.setting.send_resolved;
        spec.suspend = self.suspended;
        Input { rules: Some(vec![rule("team", spec)]), ..Input::default() }
    }

    fn begin(&mut self) {
        let observations = self.targets.values().map(Target::seen).collect();
        let input = Input { observations, synced: true, ..self.rules() };
        self.event(Event::Input(input));
    }

    fn event(&mut self, event: Event) {
        for action in self.machine.handle(event, self.now) {
            match action {
                Action::Record(changes) => record(&mut self.ledger, changes),
                Action::Send(delivery) => {
                    assert!(self.under_way.is_none(), "two messages at once to one destination");
                    self.under_way = Some(delivery);
                }
            }
        }
    }

    fn observe(&mut self, index: usize, failing: bool) {
        let now = self.now;
        let Some(target) = self.targets.get_mut(&index) else { return };
        let seen = if failing { target.fails(now) } else { target.passes(now) };
        self.event(Event::Input(Input { observations: vec![seen], ..Input::default() }));
    }

    fn accept(&mut self, delivery: &Delivery) {
        let message = &delivery.message;
        for check in message.members.iter().map(|member| &member.check) {
            let key = match self.setting.books {
                Books::Pagerduty => Arc::clone(&message.incident),
                Books::Alertmanager | Books::Slack => check.to_string().into(),
            };
            if message.telling.is_firing() {
                self.open.entry(key).or_default().insert(check.clone());
            } else {
                self.open.remove(&key);
            }
        }
    }

    fn answer(&mut self, reply: Reply) {
        let Some(delivery) = self.under_way.take() else { return };
        if matches!(reply, Reply::Accepts | Reply::Vanishes { accepted: true }) {
            self.accept(&delivery);
        }
        self.doubtful |= matches!(reply, Reply::Vanishes { .. });
        let why = "because".to_owned();
        let verdict = match reply {
            Reply::Accepts => Verdict::Accepted,
            Reply::Busy => Verdict::Retry { why, after: None, ambiguous: false },
            Reply::Vanishes { .. } => Verdict::Retry { why, after: None, ambiguous: true },
            Reply::Refuses => Verdict::Rejected { why },
        };
        self.event(Event::Answer { lane: delivery.lane, id: delivery.message.id, verdict });
    }

    fn kill(&mut self, accepted: bool) {
        self.doubtful |= self.under_way.is_some();
        if let Some(delivery) = self.under_way.take().filter(|_| accepted) {
            self.accept(&delivery);
        }
        let kept = serde_json::to_string(&self.ledger.iter().collect::<Vec<_>>()).unwrap();
        let kept: Vec<(LedgerKey, Entry)> = serde_json::from_str(&kept).unwrap();
        self.machine = machine(kept);
        for target in self.targets.values_mut() {
            target.standing = target.standing.clone().restore();
        }
        self.begin();
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + jiff::SignedDuration::try_from(span).unwrap();
        while let Some(wake) = self.machine.next_wakeup().filter(|wake| *wake <= end) {
            self.now = self.now.max(wake);
            let (before, busy) = (self.machine.next_wakeup(), self.under_way.is_some());
            self.event(Event::Tick);
            let stuck = self.machine.next_wakeup() == before && self.under_way.is_some() == busy;
            assert!(!stuck, "it asks to be woken at {wake} again and again");
        }
        self.now = end;
    }

    fn happen(&mut self, happening: &Happening) {
        self.pass(Duration::from_millis(1));
        match *happening {
            Happening::Fails(index) => self.observe(index, true),
            Happening::Passes(index) => self.observe(index, false),
            Happening::AllFail => (0..NAMES.len()).for_each(|index| self.observe(index, true)),
            Happening::AllPass => (0..NAMES.len()).for_each(|index| self.observe(index, false)),
            Happening::Deleted(index) => self.delete(index),
            Happening::Declared(index) => self.declare(index),
            Happening::Suspended(suspended) => {
                self.suspended = suspended;
                self.event(Event::Input(self.rules()));
            }
            Happening::Time(millis) => self.pass(Duration::from_millis(millis.into())),
            Happening::Answer(reply) => self.answer(reply),
            Happening::Kill { accepted } => self.kill(accepted),
        }
    }

    fn delete(&mut self, index: usize) {
        let Some(target) = self.targets.remove(&index) else { return };
        self.event(Event::Input(Input { observations: vec![target.gone()], ..Input::default() }));
    }

    fn declare(&mut self, index: usize) {
        if self.targets.contains_key(&index) {
            return;
        }
        let target = Target::new(NAMES[index]);
        let observations = vec![target.seen()];
        self.targets.insert(index, target);
        self.event(Event::Input(Input { observations, ..Input::default() }));
    }

    /// The rule is in force, every check is probed as it stands, the provider accepts everything, and time passes.
    fn settle(&mut self) {
        self.happen(&Happening::Suspended(false));
        for index in 0..NAMES.len() {
            let Some(target) = self.targets.get(&index) else { continue };
            let (known, failing) = (target.standing.last_checked.is_some(), target.standing.failing_since.is_some());
            if known {
                self.observe(index, failing);
            }
        }
        for _ in 0..200 {
            self.answer(Reply::Accepts);
            self.pass(Duration::from_millis(500));
        }
        self.answer(Reply::Accepts);
    }

    fn failing(&self) -> BTreeSet<CheckId> {
        let failing = self.targets.values().filter(|target| target.standing.failing_since.is_some());
        failing.map(Target::id).collect()
    }

    fn assert_books_agree(&self) {
        let failing = self.failing();
        let covered: BTreeSet<CheckId> = self.open.values().flatten().cloned().collect();
        let forgotten: Vec<_> = failing.difference(&covered).collect();
        assert!(forgotten.is_empty(), "nobody is told that {forgotten:?} fail: {:#?} {:#?}", self.open, self.ledger);
        // A chat has no key to close by: what it perhaps never opened about a check that is gone is not closed there.
        let closes = self.setting.books != Books::Slack || !self.doubtful;
        if self.setting.send_resolved && closes {
            let about_nothing = |members: &&BTreeSet<CheckId>| members.is_disjoint(&failing);
            let left: Vec<_> = self.open.values().filter(about_nothing).collect();
            assert!(left.is_empty(), "incidents stay open about what is over: {left:?} {:#?}", self.ledger);
        }
    }
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let check = 0..NAMES.len();
    let reply = prop_oneof![
        6 => Just(Reply::Accepts),
        2 => Just(Reply::Busy),
        1 => any::<bool>().prop_map(|accepted| Reply::Vanishes { accepted }),
        1 => Just(Reply::Refuses),
    ];
    let one = prop_oneof![
        5 => check.clone().prop_map(Happening::Fails),
        5 => check.clone().prop_map(Happening::Passes),
        2 => Just(Happening::AllFail),
        2 => Just(Happening::AllPass),
        2 => check.clone().prop_map(Happening::Deleted),
        2 => check.prop_map(Happening::Declared),
        1 => any::<bool>().prop_map(Happening::Suspended),
        6 => (1_u32..20_000).prop_map(Happening::Time),
        14 => reply.prop_map(Happening::Answer),
        1 => any::<bool>().prop_map(|accepted| Happening::Kill { accepted }),
    ];
    prop::collection::vec(one, 1..60)
}

fn settings() -> impl Strategy<Value = Setting> {
    let wait = prop_oneof![Just(0), Just(10)].prop_map(Duration::from_secs);
    let group = prop_oneof![Just(0), Just(5)].prop_map(Duration::from_secs);
    let books = prop_oneof![2 => Just(Books::Pagerduty), 1 => Just(Books::Alertmanager), 1 => Just(Books::Slack)];
    let send_resolved = prop_oneof![4 => Just(true), 1 => Just(false)];
    (books, wait, group, send_resolved).prop_map(|(books, wait, group, send_resolved)| Setting {
        books,
        wait,
        group,
        send_resolved,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: lives(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_the_end_what_is_open_at_the_provider_is_what_fails(setting in settings(), happenings in happenings()) {
        let mut world = World::new(setting);
        for happening in &happenings {
            world.happen(happening);
        }
        world.settle();
        world.assert_books_agree();
    }
}
