//! The machine against a plain account of what was true and what was accepted, over random lives: results, edits,
//! kills at any moment, and a provider that accepts, stalls, fails and refuses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use health_model::CheckId;
use health_notifications::{
    Action, Delivery, Entry, Event, Flapping, Input, LedgerKey, Machine, Retrying, Telling, channel::Verdict,
};
use health_testkit::long_tests;
use jiff::Timestamp;
use proptest::prelude::*;

use crate::build::{Target, at, record, rule, rule_spec, slack};

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Something that happens.
#[derive(Clone, Debug)]
enum Happening {
    Fails(usize),
    Passes(usize),
    /// Down and up, seen in one look.
    Blinks(usize),
    /// So many milliseconds pass.
    Time(u32),
    /// The provider answers what is under way.
    Answer(Reply),
    /// The process is killed after so many actions of its last decision were carried out, and starts again. What was
    /// under way may have been accepted.
    Kill {
        accepted: bool,
    },
    /// The message text is edited.
    Edit,
}

#[derive(Clone, Copy, Debug)]
enum Reply {
    Accepts,
    Busy,
    Vanishes { accepted: bool },
    Refuses,
}

/// How the rule is set.
#[derive(Clone, Copy, Debug)]
struct Setting {
    wait: Duration,
    group: Duration,
    repeat: Option<Duration>,
}

/// What the provider has accepted, as its readers see it.
#[derive(Clone, Debug)]
struct Told {
    id: Arc<str>,
    at: Timestamp,
    telling: Telling,
    check: CheckId,
}

/// An outage as it was.
#[derive(Clone, Debug)]
struct Outage {
    check: CheckId,
    from: Timestamp,
    to: Option<Timestamp>,
    /// Down and up came in one look.
    blink: bool,
}

struct World {
    setting: Setting,
    machine: Machine,
    ledger: BTreeMap<LedgerKey, Entry>,
    targets: Vec<Target>,
    under_way: Option<Delivery>,
    told: Vec<Told>,
    edits: u32,
    now: Timestamp,
    /// Every outage: whose, from, to.
    outages: Vec<Outage>,
}

impl World {
    fn new(setting: Setting) -> Self {
        let targets: Vec<Target> = NAMES.iter().map(|name| Target::new(name)).collect();
        let mut world = Self {
            setting,
            machine: machine(BTreeMap::new()),
            ledger: BTreeMap::new(),
            targets,
            under_way: None,
            told: Vec::new(),
            edits: 0,
            now: at(0),
            outages: Vec::new(),
        };
        world.begin();
        world
    }

    fn input(&self) -> Input {
        let mut spec = rule_spec(&NAMES, slack("http://127.0.0.1:1"));
        spec.wait_before_send = self.setting.wait;
        spec.group_wait = self.setting.group;
        spec.repeat_after = self.setting.repeat;
        if let health_model::Channel::Slack { texts, .. } = &mut spec.channels[0] {
            texts.message = Some(format!("%check% edit {}", self.edits));
        }
        Input { rules: Some(vec![rule("team", spec)]), ..Input::default() }
    }

    fn begin(&mut self) {
        let observations = self.targets.iter().map(Target::seen).collect();
        let input = Input { observations, synced: true, ..self.input() };
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
        let (now, target) = (self.now, &mut self.targets[index]);
        let was = target.standing.failing_since.is_some();
        let seen = if failing { target.fails(now) } else { target.passes(now) };
        let id = target.id();
        match (was, failing) {
            (false, true) => self.outages.push(Outage { check: id, from: now, to: None, blink: false }),
            (true, false) => self.outages.iter_mut().rev().find(|outage| outage.check == id).unwrap().to = Some(now),
            _ => {}
        }
        self.event(Event::Input(Input { observations: vec![seen], ..Input::default() }));
    }

    fn blink(&mut self, index: usize) {
        let (now, target) = (self.now, &mut self.targets[index]);
        if target.standing.failing_since.is_some() {
            return;
        }
        let first = target.fails(now);
        let mut both = target.passes(now);
        both.transitions.splice(0..0, first.transitions);
        self.outages.push(Outage { check: target.id(), from: now, to: Some(now), blink: true });
        self.event(Event::Input(Input { observations: vec![both], ..Input::default() }));
    }

    /// Lets the time pass, waking the machine when it asked for it.
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

    fn accept(&mut self, delivery: &Delivery) {
        for member in &delivery.message.members {
            self.told.push(Told {
                id: Arc::clone(&delivery.message.id),
                at: self.now,
                telling: delivery.message.telling,
                check: member.check.clone(),
            });
        }
    }

    fn answer(&mut self, reply: Reply) {
        let Some(delivery) = self.under_way.take() else { return };
        let why = "because".to_owned();
        let verdict = match reply {
            Reply::Accepts => {
                self.accept(&delivery);
                Verdict::Accepted
            }
            Reply::Busy => Verdict::Retry { why, after: None, ambiguous: false },
            Reply::Vanishes { accepted } => {
                if accepted {
                    self.accept(&delivery);
                }
                Verdict::Retry { why, after: None, ambiguous: true }
            }
            Reply::Refuses => Verdict::Rejected { why },
        };
        self.event(Event::Answer { lane: delivery.lane, id: delivery.message.id, verdict });
    }

    fn kill(&mut self, accepted: bool) {
        if let Some(delivery) = self.under_way.take().filter(|_| accepted) {
            self.accept(&delivery);
        }
        // What the ledger holds is what its bytes say.
        let kept = serde_json::to_string(&self.ledger.iter().collect::<Vec<_>>()).unwrap();
        let kept: Vec<(LedgerKey, Entry)> = serde_json::from_str(&kept).unwrap();
        self.machine = machine(kept);
        for target in &mut self.targets {
            target.standing = target.standing.clone().restore();
        }
        self.begin();
    }

    fn happen(&mut self, happening: &Happening) {
        // No two outages of a check begin at the same moment.
        self.pass(Duration::from_millis(1));
        match *happening {
            Happening::Fails(index) => self.observe(index, true),
            Happening::Passes(index) => self.observe(index, false),
            Happening::Blinks(index) => self.blink(index),
            Happening::Time(millis) => self.pass(Duration::from_millis(millis.into())),
            Happening::Answer(reply) => self.answer(reply),
            Happening::Kill { accepted } => self.kill(accepted),
            Happening::Edit => {
                self.edits += 1;
                self.event(Event::Input(self.input()));
            }
        }
    }

    /// Every check that was ever probed is probed once more, and is as it was.
    fn probe_again(&mut self) {
        for index in 0..self.targets.len() {
            let failing = self.targets[index].standing.failing_since.is_some();
            if self.targets[index].standing.last_checked.is_some() {
                self.observe(index, failing);
            }
        }
    }

    /// Every check is probed once more as it stands, the provider accepts everything, and time passes.
    fn settle(&mut self) {
        self.probe_again();
        for _ in 0..200 {
            self.answer(Reply::Accepts);
            self.pass(Duration::from_millis(500));
        }
        self.answer(Reply::Accepts);
    }

    /// What readers of the channel saw of one check; a second copy under the same id is the same message.
    fn read(&self, check: &CheckId) -> Vec<Told> {
        let mut seen = BTreeSet::new();
        let mine = self.told.iter().filter(|told| told.check == *check);
        mine.filter(|told| seen.insert(Arc::clone(&told.id))).cloned().collect()
    }
}

pub fn machine(kept: impl IntoIterator<Item = (LedgerKey, Entry)>) -> Machine {
    let never = Flapping { turns: usize::MAX, window: Duration::from_secs(1) };
    let retrying = Retrying {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(4),
        longest_asked: Duration::from_secs(60),
    };
    Machine::new(kept, never, retrying, false)
}

/// No resolve without a failure told before, no failure told twice unless it is a repeat that is due: but for as many
/// messages as ended without anybody knowing whether they were accepted.
fn assert_story_is_sound(world: &World, check: &CheckId, unknown_ends: usize) {
    let mut open: Option<Timestamp> = None;
    let mut odd = 0;
    for told in world.read(check) {
        odd += usize::from(match (told.telling, open) {
            (Telling::Firing | Telling::Flapping, Some(before)) => {
                let apart = Duration::try_from(told.at.duration_since(before)).unwrap();
                world.setting.repeat.is_none_or(|repeat| apart < repeat)
            }
            (Telling::Firing | Telling::Flapping, None) => false,
            (Telling::Resolved | Telling::Unwatched, open) => open.is_none(),
            (Telling::Summary, open) => open.is_some(),
        });
        open = told.telling.is_firing().then_some(told.at);
    }
    assert!(odd <= unknown_ends, "{check}: {odd} odd messages, {unknown_ends} unknown ends: {:#?}", world.read(check));
}

/// In the end what was told last is true, and nobody missed an outage that outlasted its hold.
fn assert_nothing_is_lost(world: &World, check: &CheckId, lossless: bool) {
    let story = world.read(check);
    let mut mine = world.outages.iter().filter(|outage| outage.check == *check);
    for Outage { from, to, .. } in mine.clone() {
        let lasted = Duration::try_from(to.unwrap_or(world.now).duration_since(*from)).unwrap();
        // A hold that nobody was there to see the end of is not counted as lasting.
        if lasted < world.setting.wait || !lossless {
            continue;
        }
        let open_before = story.iter().rev().find(|told| told.at < *from).is_some_and(|told| told.telling.is_firing());
        let told_after = story.iter().any(|told| told.at >= *from && told.telling != Telling::Resolved);
        assert!(open_before || told_after, "{check} failed from {from} to {to:?} and nobody was told: {story:#?}");
    }
    let stands = mine.next_back().is_some_and(|outage| outage.to.is_none());
    let believed = story.last().is_some_and(|told| told.telling.is_firing());
    assert_eq!(stands, believed, "{check}: what was told last is not true: {story:#?} {:#?}", world.ledger);
}

fn happenings(kills: bool, replies: bool) -> impl Strategy<Value = Vec<Happening>> {
    let check = 0..NAMES.len();
    let reply = prop_oneof![
        4 => Just(Reply::Accepts),
        2 => Just(Reply::Busy),
        1 => any::<bool>().prop_map(|accepted| Reply::Vanishes { accepted }),
        1 => Just(Reply::Refuses),
    ];
    let reply = if replies { reply.boxed() } else { Just(Reply::Accepts).boxed() };
    let kill = if kills { 1 } else { 0 };
    let one = prop_oneof![
        6 => check.clone().prop_map(Happening::Fails),
        6 => check.clone().prop_map(Happening::Passes),
        1 => check.prop_map(Happening::Blinks),
        6 => (1_u32..20_000).prop_map(Happening::Time),
        8 => reply.prop_map(Happening::Answer),
        2 * kill => any::<bool>().prop_map(|accepted| Happening::Kill { accepted }),
        1 => Just(Happening::Edit),
    ];
    prop::collection::vec(one, 1..60)
}

fn settings() -> impl Strategy<Value = Setting> {
    let wait = prop_oneof![Just(0), Just(10)].prop_map(Duration::from_secs);
    let group = prop_oneof![Just(0), Just(5)].prop_map(Duration::from_secs);
    let repeat = prop_oneof![Just(None), Just(Some(Duration::from_secs(30)))];
    (wait, group, repeat).prop_map(|(wait, group, repeat)| Setting { wait, group, repeat })
}

#[test]
fn an_outage_after_a_resolve_of_unknown_fate_is_told_although_its_successor_was_refused() {
    use Happening::{Answer, Fails, Kill, Passes};
    let mut world = World::new(Setting { wait: Duration::ZERO, group: Duration::ZERO, repeat: None });
    let taken_unseen = Kill { accepted: true };
    let life =
        [Fails(1), Answer(Reply::Accepts), Passes(1), Fails(1), Passes(1), taken_unseen, Fails(1), Answer(Reply::Busy)];
    for happening in &life {
        world.happen(happening);
    }
    world.settle();
    assert_nothing_is_lost(&world, &CheckId::new("default", "b"), true);
}

/// How many lives; with `LONG_TESTS=1`, enough for what happens once in ten thousand.
pub fn lives() -> u32 {
    if long_tests() { 50_000 } else { 400 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: lives(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_the_story_is_sound_and_complete(
        setting in settings(),
        happenings in happenings(true, true),
    ) {
        let unknown_ends = happenings.iter().filter(|happening| {
            matches!(happening, Happening::Kill { .. } | Happening::Answer(Reply::Vanishes { .. }))
        });
        let unknown_ends = unknown_ends.count();
        let killed = happenings.iter().any(|happening| matches!(happening, Happening::Kill { .. }));
        let mut world = World::new(setting);
        for happening in &happenings {
            world.happen(happening);
        }
        world.settle();
        for name in NAMES {
            let check = CheckId::new("default", name);
            assert_story_is_sound(&world, &check, unknown_ends);
            assert_nothing_is_lost(&world, &check, !killed || setting.wait.is_zero());
        }
    }

    #[test]
    fn with_a_provider_that_accepts_at_once_each_outage_is_told_once_and_resolved_once(
        wait in prop_oneof![Just(0), Just(10)].prop_map(Duration::from_secs),
        happenings in happenings(true, false),
    ) {
        let mut world = World::new(Setting { wait, group: Duration::ZERO, repeat: None });
        for happening in &happenings {
            // A kill with nothing under way must change nothing at all.
            world.happen(happening);
            if matches!(happening, Happening::Kill { .. }) {
                world.probe_again();
            }
            world.answer(Reply::Accepts);
            world.answer(Reply::Accepts);
        }
        for name in NAMES {
            let check = CheckId::new("default", name);
            let mut expected = Vec::new();
            for Outage { from, to, blink, .. } in world.outages.iter().filter(|outage| outage.check == check) {
                let told_from = *from + jiff::SignedDuration::try_from(wait).unwrap();
                if *blink && wait.is_zero() {
                    expected.push(Telling::Summary);
                } else if !blink && told_from <= world.now && to.is_none_or(|to| told_from <= to) {
                    expected.push(Telling::Firing);
                    expected.extend(to.map(|_| Telling::Resolved));
                }
            }
            let read: Vec<Telling> = world.read(&check).iter().map(|told| told.telling).collect();
            prop_assert_eq!(read, expected, "{}: {:#?}", check, world.outages);
        }
    }
}
