//! What the engine itself costs per probe: checks whose prober does nothing, paced and flat out.
//!
//! `cargo run --release -p health-runner --example engine_cost` prints microseconds of processor time per probe (user
//! and system, of the whole process), the schedule's lag, and memory per check. An argument chooses the lines that
//! contain it. Linux only: it reads `/proc`.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]
#![expect(clippy::unwrap_used, reason = "a measurement that fails should say where")]

use std::{collections::BTreeMap, collections::HashMap, fs, sync::Arc, time::Duration};

use health_model::{
    CheckDefinition, CheckId, CheckMeta, CheckSpec, HttpProbe, Outcome, Probe, ProbeFuture, ProbeRequest, Prober,
    Reason,
};
use health_runner::{Engine, EngineSettings, LAG_BOUNDARIES, LagHistogram};
use tokio_util::sync::CancellationToken;

/// Answers at once, as a plain HTTP probe would answer.
struct Nothing;

impl Prober for Nothing {
    fn probe(&self, _request: ProbeRequest) -> ProbeFuture {
        Box::pin(async {
            let mut outcome = Outcome::new(Reason::Succeeded, "200 OK");
            outcome.status_code = Some(200);
            outcome
        })
    }
}

fn definitions(count: u32, interval: Duration) -> Vec<CheckDefinition> {
    let one = |number: u32| CheckDefinition {
        meta: CheckMeta {
            id: CheckId::new("default", format!("check-{number}")),
            labels: BTreeMap::new(),
            created: None,
            generation: 1,
            uid: None,
        },
        spec: Ok(Arc::new(CheckSpec::new(
            interval,
            Probe::Http(Box::new(HttpProbe::get(format!("http://host-{}.example/", number % 100).parse().unwrap()))),
        ))),
    };
    (0..count).map(one).collect()
}

/// Processor time of this process so far: user and system, in ticks of 10 ms.
fn processor_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    Duration::from_millis(ticks * 10)
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn percentile(after: &LagHistogram, before: &LagHistogram, share: f64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let wanted = (after.count - before.count) as f64 * share;
    let mut seen = 0.0;
    for (index, boundary) in LAG_BOUNDARIES.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "counts are small")]
        let bucket = (after.buckets[index] - before.buckets[index]) as f64;
        seen += bucket;
        if seen >= wanted {
            return boundary * 1000.0;
        }
    }
    f64::INFINITY
}

async fn measure(label: &str, count: u32, interval: Duration, followers: usize) {
    if std::env::args().nth(1).is_some_and(|wanted| !label.contains(&wanted)) {
        return;
    }
    let stop = CancellationToken::new();
    let before_memory = resident_kib();
    let engine = Engine::start(EngineSettings::default(), Arc::new(Nothing), HashMap::new(), stop.clone());
    let board = engine.board();
    for _ in 0..followers {
        let mut follower = board.subscribe();
        tokio::spawn(async move {
            loop {
                follower.next().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
    }
    engine.replace_all(definitions(count, interval)).await;
    // Everything has been probed once, and the spread of the start is over.
    tokio::time::sleep(interval.min(Duration::from_secs(5)) + Duration::from_secs(1)).await;
    let (before, processor) = (board.pulse(), processor_time());
    tokio::time::sleep(Duration::from_secs(8)).await;
    let (after, processor) = (board.pulse(), processor_time() - processor);
    let probes = after.completed - before.completed;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let each = processor.as_secs_f64() * 1e6 / probes.max(1) as f64;
    println!(
        "{label}: {} probes/s, {each:.2} µs of processor time each, lag p50 ≤ {} ms, p99 ≤ {} ms, skipped {}, late {}, \
         memory +{} KiB",
        probes / 8,
        percentile(&after.lag, &before.lag, 0.5),
        percentile(&after.lag, &before.lag, 0.99),
        after.skipped - before.skipped,
        after.late - before.late,
        resident_kib().saturating_sub(before_memory),
    );
    stop.cancel();
    engine.stopped().await;
}

#[tokio::main]
async fn main() {
    measure("idle, 100 checks at 60 s", 100, Duration::from_secs(60), 0).await;
    measure("1 000/s, 10 000 checks", 10_000, Duration::from_secs(10), 0).await;
    measure("1 000/s, 10 000 checks, 3 followers", 10_000, Duration::from_secs(10), 3).await;
    measure("10 000/s, 10 000 checks", 10_000, Duration::from_secs(1), 0).await;
    measure("flat out, 10 000 checks at 50 ms", 10_000, Duration::from_millis(50), 0).await;
}
