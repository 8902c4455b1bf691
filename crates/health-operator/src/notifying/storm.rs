//! A storm in one process, as the program is wired: the real engine, the real pipeline with its ledger on disk, a
//! provider on the loopback. Only what is probed is made up, so that probing itself costs next to nothing.

use std::{
    collections::{BTreeMap, HashMap},
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use health_manifests::{FolderMaterials, Manifest, parse_documents};
use health_model::{
    CheckDefinition, CheckId, CheckMeta, CheckSpec, Outcome, Probe, ProbeFuture, ProbeRequest, Prober, Reason,
};
use health_notifications::FileLedger;
use health_runner::{Engine, EngineSettings, LAG_BOUNDARIES, LagHistogram, Pulse};
use health_testkit::long_tests;
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use super::{Teller, start};
use crate::follow::{Followers, follow};

/// Everything fails while this is set.
struct Target(AtomicBool);

impl Prober for Target {
    fn probe(&self, _request: ProbeRequest) -> ProbeFuture {
        let outcome = if self.0.load(Relaxed) {
            Outcome::new(Reason::ConnectionRefused, "connection refused")
        } else {
            Outcome::new(Reason::Succeeded, "200 OK")
        };
        Box::pin(std::future::ready(outcome))
    }
}

/// Accepts everything; counts messages per path and the checks that they told of.
fn provider(messages: [Arc<AtomicUsize>; 2]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut first, mut length) = (String::new(), 0);
            reader.read_line(&mut first).unwrap();
            for line in reader.by_ref().lines().map_while(Result::ok).take_while(|line| !line.is_empty()) {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
            }
            reader.read_exact(&mut vec![0; length]).unwrap();
            messages[usize::from(first.contains("/hook"))].fetch_add(1, Relaxed);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    url
}

fn definitions(checks: usize) -> Vec<CheckDefinition> {
    let probe = |number: usize| {
        let target = format!("http://host-{}.example/", number % 100);
        Probe::Http(Box::new(health_model::HttpProbe::get(target.parse().unwrap())))
    };
    let one = |number: usize| CheckDefinition {
        meta: CheckMeta {
            id: CheckId::new("default", format!("check-{number}")),
            labels: BTreeMap::new(),
            created: None,
            generation: 1,
            uid: None,
        },
        spec: Ok(Arc::new(CheckSpec::new(Duration::from_secs(1), probe(number)))),
    };
    (0..checks).map(one).collect()
}

/// The lag, in milliseconds, that 99 of 100 probes of a span stayed within.
fn p99(before: &LagHistogram, after: &LagHistogram) -> f64 {
    let wanted = (after.count - before.count) * 99 / 100;
    let mut seen = 0;
    for (index, boundary) in LAG_BOUNDARIES.iter().enumerate() {
        seen += after.buckets[index] - before.buckets[index];
        if seen >= wanted {
            return boundary * 1000.0;
        }
    }
    f64::INFINITY
}

fn runtime(name: &str) -> Runtime {
    Builder::new_multi_thread().worker_threads(1).thread_name(name).enable_all().build().unwrap()
}

#[test]
fn a_storm_is_a_few_messages_per_channel_and_probing_does_not_notice() {
    let (checks, span) = if long_tests() { (10_000, 20) } else { (1000, 3) };
    let messages = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
    let url = provider(messages.clone());
    let text = format!(
        "apiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {{name: all}}\nspec:\n  \
         selector: {{}}\n  groupWait: 0\n  slack: {{webhook: {{url: \"{url}/slack\"}}}}\n  webhook: {{url: \"{url}/hook\"}}\n"
    );
    let Some(Manifest::NotificationRule(rule)) = parse_documents(&text, "rule.yaml").manifests.into_iter().next()
    else {
        panic!("the rule cannot be read");
    };
    let target = Arc::new(Target(AtomicBool::new(false)));
    let (serving, probing, stop) = (runtime("serve"), runtime("probe"), CancellationToken::new());
    let directory = tempfile::tempdir().unwrap();
    let ledger = Arc::new(FileLedger::open(directory.path()).unwrap());
    let pipeline = start(ledger, Duration::from_secs(1), serving.handle(), stop.clone()).unwrap();
    pipeline.set_rules(vec![rule.resolve(&FolderMaterials::default())]);
    let measured = probing.block_on(async {
        let prober = Arc::clone(&target) as Arc<dyn Prober>;
        let engine = Engine::start(EngineSettings::default(), prober, HashMap::new(), stop.clone());
        let board = engine.board();
        engine.replace_all(definitions(checks)).await;
        let followers = Followers { keeper: None, teller: Teller::new(Arc::clone(&pipeline)) };
        let (synced, whole) = (std::future::ready(()), std::future::ready(()));
        serving.spawn(follow(Arc::clone(&board), followers, synced, whole, stop.clone()));
        // The first round is spread over a second.
        wait_for(&|| board.pulse(), checks as u64 * 2).await;
        let mut spans = Vec::new();
        for failing in [false, true, false] {
            target.0.store(failing, Relaxed);
            let before = board.pulse();
            wait_for(&|| board.pulse(), before.completed + (checks * span) as u64).await;
            let after = board.pulse();
            spans.push((p99(&before.lag, &after.lag), after.skipped - before.skipped));
        }
        spans
    });
    wait_until("the last word to be accepted", || {
        pipeline.reports().iter().all(|report| report.alerts.is_empty() && report.last_resolve_notification.is_some())
    });
    stop.cancel();
    for (channel, count) in ["slack", "webhook"].into_iter().zip(&messages) {
        let count = count.load(Relaxed);
        eprintln!("{channel}: {count} messages for {checks} checks that failed within a second and came back");
        // At most five for the storm, and as many for its end.
        assert!((2..=10).contains(&count), "{channel}: {count} messages");
    }
    let names = ["calm", "while all fail", "while all come back"];
    for (name, (lag, skipped)) in names.iter().zip(&measured) {
        eprintln!("{name}: p99 lag <= {lag} ms, {skipped} runs skipped");
    }
    let (calm, worst) = (measured[0].0, measured[1].0.max(measured[2].0));
    // On a machine that other work keeps busy the figures say nothing about us.
    if long_tests() && calm <= 10.0 {
        assert!(worst <= 25.0, "{measured:?}");
    }
}

/// Waits until so many probes have ended.
async fn wait_for(pulse: &(dyn Fn() -> Pulse + Sync), probes: u64) {
    let patience = Instant::now() + Duration::from_secs(300);
    while pulse().completed < probes {
        assert!(Instant::now() < patience, "{} of {probes} probes ended", pulse().completed);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn wait_until(what: &str, reached: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(120);
    while !reached() {
        assert!(Instant::now() < patience, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
