//! Bounds hold, and what hangs never takes the places of what answers.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use health_model::{CheckDefinition, Outcome, Reason};
use health_runner::EngineSettings;
use health_testkit::scripted::{ScriptedProber, tcp_spec};
use tokio::time::Instant;

use crate::rig::{MINUTE, Rig, bad, definition, good, settings};

const SECOND: Duration = Duration::from_secs(1);

fn on_host(name: &str, host: &str, interval: Duration) -> CheckDefinition {
    definition(name, tcp_spec(host, interval))
}

/// Checks named `hung…` are never answered; the others answer in a millisecond.
fn half_hung() -> Arc<ScriptedProber> {
    ScriptedProber::slow(|request| async move {
        if request.id.name().starts_with("hung") {
            tokio::time::sleep_until(Instant::from_std(request.deadline)).await;
            return bad(Reason::Timeout);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        good()
    })
}

#[tokio::test(start_paused = true)]
async fn five_hundred_hung_targets_change_nothing_for_five_hundred_healthy_ones() {
    let rig = Rig::start(half_hung());
    let mut hung = tcp_spec("shared.example", SECOND);
    hung.timeout = Duration::from_secs(10);
    let mut all: Vec<_> = (0..500).map(|number| on_host(&format!("ok{number}"), "shared.example", SECOND)).collect();
    all.extend((0..500).map(|number| definition(&format!("hung{number}"), hung.clone())));
    rig.engine.replace_all(all).await;
    tokio::time::sleep(MINUTE).await;
    let healthy: Vec<_> = rig.board.rows().into_iter().filter(|row| row.id().name().starts_with("ok")).collect();
    assert!(healthy.iter().all(|row| row.standing.healthy()));
    let skipped: u64 = healthy.iter().map(|row| row.tally.skipped).sum();
    assert_eq!(skipped, 0, "no healthy check lost a run: {:?}", rig.board.pulse());
    let fewest = healthy.iter().map(|row| row.tally.probes).min().unwrap();
    assert!(fewest >= 59, "each was asked every second of a minute, the least {fewest} times");
    let pulse = rig.board.pulse();
    assert_eq!(pulse.late, 0, "nobody started late");
    assert!((400..=500).contains(&pulse.hung), "they hang in places of their own: {}", pulse.hung);
}

#[tokio::test(start_paused = true)]
async fn hung_targets_beyond_their_budget_wait_and_the_healthy_ones_do_not() {
    let tight = EngineSettings { max_in_flight: 100, max_in_flight_per_host: 100, max_hung: 50, ..settings() };
    let rig = Rig::with(tight, half_hung(), HashMap::new());
    let mut all: Vec<_> = (0..200).map(|number| on_host(&format!("ok{number}"), "h.example", SECOND)).collect();
    all.extend((0..90).map(|number| on_host(&format!("hung{number}"), "h.example", SECOND * 2)));
    rig.engine.replace_all(all).await;
    tokio::time::sleep(MINUTE).await;
    let settled = rig.board.pulse();
    tokio::time::sleep(MINUTE).await;
    let rows = rig.board.rows();
    let skipped: u64 = rows.iter().filter(|row| row.id().name().starts_with("ok")).map(|row| row.tally.skipped).sum();
    assert_eq!(skipped, 0, "no healthy check lost a run");
    let pulse = rig.board.pulse();
    assert!(pulse.hung <= 50, "{} hang", pulse.hung);
    assert!(pulse.hung_bound_hits > settled.hung_bound_hits);
    assert_eq!(pulse.process_bound_hits, settled.process_bound_hits, "once known they no longer press the others");
}

type PerHost = Arc<Mutex<HashMap<String, usize>>>;

/// Counts how many are in flight at once, per host and in all.
fn crowd(takes: Duration) -> (Arc<ScriptedProber>, Arc<AtomicUsize>, PerHost) {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let hosts: PerHost = Arc::default();
    let most_per_host: PerHost = Arc::default();
    let (most_seen, most_per_host_seen) = (Arc::clone(&most), Arc::clone(&most_per_host));
    let prober = ScriptedProber::slow(move |request| {
        let host = request.spec.probe.host_key().unwrap();
        let (now, most, hosts, most_per_host) =
            (Arc::clone(&now), Arc::clone(&most), Arc::clone(&hosts), Arc::clone(&most_per_host));
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let here = {
                let mut hosts = hosts.lock().unwrap();
                let here = hosts.entry(host.clone()).or_default();
                *here += 1;
                *here
            };
            let record = |most: &mut usize| *most = (*most).max(here);
            record(most_per_host.lock().unwrap().entry(host.clone()).or_default());
            tokio::time::sleep(takes).await;
            now.fetch_sub(1, Ordering::SeqCst);
            *hosts.lock().unwrap().get_mut(&host).unwrap() -= 1;
            Outcome::new(Reason::Succeeded, "ok")
        }
    });
    (prober, most_seen, most_per_host_seen)
}

#[tokio::test(start_paused = true)]
async fn a_busy_host_waits_at_its_bound_while_another_is_asked_in_time() {
    // 100 checks a second of 40 ms each want four places at once; the bound is two.
    let (prober, _, per_host) = crowd(Duration::from_millis(40));
    let tight = EngineSettings { max_in_flight_per_host: 2, ..settings() };
    let rig = Rig::with(tight, prober, HashMap::new());
    let mut all: Vec<_> = (0..100).map(|number| on_host(&format!("busy{number}"), "busy.example", SECOND)).collect();
    all.push(on_host("calm", "calm.example", SECOND));
    rig.engine.replace_all(all).await;
    tokio::time::sleep(MINUTE).await;
    let calm = rig.row("calm");
    assert!(calm.tally.probes >= 59 && calm.tally.skipped == 0);
    let most = per_host.lock().unwrap();
    assert_eq!(most["busy.example"], 2);
    let rows = rig.board.rows();
    let probes: Vec<u64> =
        rows.iter().filter(|row| row.id().name().starts_with("busy")).map(|row| row.tally.probes).collect();
    let (fewest, most) = (probes.iter().min().unwrap(), probes.iter().max().unwrap());
    assert!(*fewest >= 25 && most - fewest <= 8, "the queue is fair: between {fewest} and {most} probes each");
    let pulse = rig.board.pulse();
    assert!(pulse.host_bound_hits > 0 && pulse.late > 0 && pulse.skipped > 0);
    assert!(pulse.waiting <= 100, "a check waits at most once: {}", pulse.waiting);
}

#[tokio::test(start_paused = true)]
async fn the_process_never_has_more_in_flight_than_its_bound() {
    let (prober, most, _) = crowd(Duration::from_millis(90));
    let tight = EngineSettings { max_in_flight: 10, ..settings() };
    let rig = Rig::with(tight, prober, HashMap::new());
    let host = |number: usize| format!("host{}.example", number % 20);
    rig.engine.replace_all((0..200).map(|n| on_host(&format!("c{n}"), &host(n), SECOND)).collect()).await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(most.load(Ordering::SeqCst), 10);
    let mut probes: HashMap<String, u64> = HashMap::new();
    for row in rig.board.rows() {
        let host = row.definition.spec.as_ref().unwrap().probe.host_key().unwrap();
        *probes.entry(host).or_default() += row.tally.probes;
    }
    let (fewest, most) = (probes.values().min().unwrap(), probes.values().max().unwrap());
    assert!(*fewest >= 100 && most - fewest <= 20, "hosts take turns: between {fewest} and {most} probes each");
    assert!(rig.board.pulse().process_bound_hits > 0);
}
