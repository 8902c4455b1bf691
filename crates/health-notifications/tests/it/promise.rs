//! The promise, measured: killed at random moments nothing is lost, a storm is a handful of messages, and from a turn to
//! the provider's socket it is a matter of milliseconds. Longer with `LONG_TESTS=1`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Arc,
    time::Duration,
};

use health_model::LabelSelector;
use health_notifications::{FileLedger, NotificationSettings, Notifications};
use health_testkit::long_tests;
use jiff::Timestamp;
use tokio::{
    io::AsyncWriteExt,
    process::{Child, ChildStdin, Command},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    build::{Target, rule, rule_spec, slack},
    provider::{Provider, Received},
};

const CHECKS: usize = 20;

/// The same numbers at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// The process under test, built as an example of this crate.
fn program() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let program = this.parent().and_then(Path::parent).unwrap().join("examples/telling");
    assert!(program.exists(), "{} is missing: cargo build -p health-notifications --examples", program.display());
    program
}

struct Victim {
    child: Child,
    input: ChildStdin,
}

impl Victim {
    async fn start(directory: &Path, url: &str, world: &BTreeMap<String, bool>) -> Self {
        let mut child =
            Command::new(program()).arg(directory).arg(url).stdin(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let states: Vec<String> = world.iter().map(|(name, failing)| result(name, *failing)).collect();
        input.write_all(format!("{}\n", states.join(" ")).as_bytes()).await.unwrap();
        Self { child, input }
    }

    async fn tell(&mut self, name: &str, failing: bool) {
        self.input.write_all(format!("{}\n", result(name, failing)).as_bytes()).await.unwrap();
    }
}

fn result(name: &str, failing: bool) -> String {
    format!("{name} {}", if failing { "fails" } else { "passes" })
}

/// Messages about a check with this status, each counted once however often it came.
fn messages(received: &[Received], name: &str, status: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in received {
        let body = request.json();
        let about = body["checks"].as_array().unwrap().iter().any(|check| check["name"] == name);
        if about && body["status"] == status {
            *counts.entry(request.header("idempotency-key").unwrap().to_owned()).or_default() += 1;
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_random_moments_it_loses_nothing_and_doubles_only_what_was_under_way() {
    let transitions = if long_tests() { 1000 } else { 60 };
    let provider = Provider::start().await;
    let directory = tempfile::tempdir().unwrap();
    let mut world: BTreeMap<String, bool> = (0..CHECKS).map(|number| (format!("check-{number:02}"), false)).collect();
    let mut expected = BTreeMap::<(String, &str), usize>::new();
    let mut victim = Victim::start(directory.path(), &provider.url, &world).await;
    let (mut dice, mut kills, mut read) = (Dice(0x5eed), 0_usize, 0_usize);
    for turn in 0..transitions {
        let name = format!("check-{:02}", turn % CHECKS);
        let failing = !world[&name];
        world.insert(name.clone(), failing);
        victim.tell(&name, failing).await;
        if dice.roll(2) == 0 {
            // The kill falls anywhere between the line being read and the answer being recorded.
            tokio::time::sleep(Duration::from_micros(dice.roll(12_000))).await;
            victim.child.kill().await.unwrap();
            kills += 1;
            victim = Victim::start(directory.path(), &provider.url, &world).await;
        }
        let status = if failing { "firing" } else { "resolved" };
        let wanted = expected.entry((name.clone(), status)).or_default();
        *wanted += 1;
        let mut received = provider.received();
        while messages(&received, &name, status).len() < *wanted {
            read = read.max(received.len());
            received = provider.wait_for(received.len() + 1).await;
        }
    }
    victim.child.kill().await.unwrap();
    let received = provider.received();
    let mut doubles = 0;
    for ((name, status), wanted) in &expected {
        let counts = messages(&received, name, status);
        assert_eq!(counts.len(), *wanted, "{name} {status}: {counts:?}");
        doubles += counts.values().map(|times| times - 1).sum::<usize>();
    }
    eprintln!("{transitions} transitions, {kills} kills: 0 lost, {doubles} doubles with the same key");
    assert!(doubles <= kills, "{doubles} doubles at {kills} kills");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn from_a_turn_to_the_providers_socket_it_takes_less_than_a_quarter_of_a_second() {
    let turns = if long_tests() { 1000 } else { 200 };
    let provider = Provider::start().await;
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(FileLedger::open(directory.path()).unwrap());
    let settings = NotificationSettings { rate_limited: false, ..Default::default() };
    let pipeline = Notifications::start(settings, ledger, CancellationToken::new()).unwrap();
    let mut web = Target::new("web");
    let mut spec = rule_spec(&["web"], slack(&provider.url));
    spec.group_wait = Duration::ZERO;
    pipeline.set_rules(vec![rule("team", spec)]);
    pipeline.synced();
    let mut spans = Vec::new();
    for turn in 0..turns {
        // Far enough apart in the check's own time that it does not count as flapping.
        let when =
            Timestamp::now() - jiff::SignedDuration::from_hours(1000) + jiff::SignedDuration::from_mins(10 * turn);
        let seen = if turn % 2 == 0 { web.fails(when) } else { web.passes(when) };
        let before = Instant::now();
        pipeline.observe(seen);
        let received = provider.wait_for(usize::try_from(turn).unwrap() + 1).await;
        spans.push(received.last().unwrap().at.duration_since(before));
    }
    spans.sort();
    let (median, p99) = (spans[spans.len() / 2], spans[spans.len() * 99 / 100]);
    eprintln!("transition to the provider's socket: median {median:?}, p99 {p99:?}");
    assert!(p99 <= Duration::from_millis(250), "p99 {p99:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_ten_thousand_checks_is_at_most_five_messages_and_holds_up_nobody() {
    let checks = 10_000;
    let provider = Provider::start().await;
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(FileLedger::open(directory.path()).unwrap());
    let pipeline = Notifications::start(NotificationSettings::default(), ledger, CancellationToken::new()).unwrap();
    let mut spec = rule_spec(&[], slack(&provider.url));
    spec.selector = Some(LabelSelector::default());
    pipeline.set_rules(vec![rule("team", spec)]);
    pipeline.synced();
    let mut targets: Vec<Target> = (0..checks).map(|number| Target::new(&format!("check-{number:05}"))).collect();
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    for target in &mut targets {
        let seen = target.fails(Timestamp::now());
        let before = Instant::now();
        pipeline.observe(seen);
        longest = longest.max(before.elapsed());
    }
    let mut told = 0;
    let mut messages = 0;
    while told < checks {
        messages += 1;
        let received = provider.wait_for(messages).await;
        let body = received[messages - 1].json();
        let text = body["text"].as_str().unwrap();
        let number = text.split('(').find_map(|part| part.split_once(" checks")?.0.parse::<usize>().ok());
        told += number.unwrap_or(1);
    }
    let took = began.elapsed();
    eprintln!("{checks} failures: {messages} messages within {took:?}; the longest observe took {longest:?}");
    assert!(messages <= 5, "{messages} messages");
    assert!(longest < Duration::from_millis(100), "observing took {longest:?}");
}
