//! Measures the release binary beside the least that a probe can cost, against one local nginx, in one run.
//!
//! Prints figures and ratios and judges nothing: what they mean is written in `docs/performance.md`. Every experiment
//! starts the real binary on a folder of manifests and reads what any operator of it can read: `/proc`, `/metrics` and
//! `/healthchecks`.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

mod floor;
mod icmp;
mod nginx;
mod operator;
mod previous;
mod process;
mod storm;
mod tls;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

use nginx::Nginx;
use operator::{Checks, Operator};

/// Probes a second of the paced experiments.
const RATE: u32 = 1000;
/// How long a paced experiment is measured.
const WINDOW: Duration = Duration::from_secs(20);
/// How often the two sides of a pair are measured in turn.
const ROUNDS: usize = 3;

/// Everything there is to measure, in this order; `previous` needs a second binary.
const EXPERIMENTS: [&str; 8] = ["cpu", "tls", "memory", "answer", "hung", "storm", "icmp", "previous"];

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (mut operator, mut other) = (None, None);
    let mut wanted = Vec::new();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--operator" => operator = arguments.next().map(PathBuf::from),
            "--previous" => other = arguments.next().map(PathBuf::from),
            "floor" => return floor::command(arguments),
            name if EXPERIMENTS.contains(&name) => wanted.push(argument),
            unknown => bail!("{unknown} is no experiment: name some of {}, or none for all", EXPERIMENTS.join(", ")),
        }
    }
    let operator = operator.context("--operator PATH is missing: start this by bench/run")?;
    let nginx = Nginx::start()?;
    for name in EXPERIMENTS.into_iter().filter(|name| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name)) {
        match name {
            "cpu" => cpu(&operator, &nginx)?,
            "tls" => tls::measure(&operator)?,
            "memory" => memory(&operator, &nginx)?,
            "answer" => answer(&operator, &nginx)?,
            "hung" => hung(&operator, &nginx)?,
            "storm" => storm::measure(&operator, &nginx)?,
            "icmp" => icmp::measure(&operator)?,
            _ => match &other {
                Some(other) => previous::measure(&operator, other, &nginx)?,
                None => println!("\nThe comparison with another revision is left out: bench/run previous"),
            },
        }
    }
    Ok(())
}

/// CPU per plain HTTP probe at 1 000 probes a second: the floor and the operator in turn.
fn cpu(operator: &Path, nginx: &Nginx) -> Result<()> {
    println!("\nCPU per plain HTTP probe, {RATE}/s for {} s, {ROUNDS} rounds in turn", WINDOW.as_secs());
    let saturated = floor::saturated(nginx)?;
    println!("  floor, 64 in flight, as fast as it goes      {:6.1} µs", micros(saturated));
    let manifests = Checks::at(nginx.url(), RATE as usize, "1s").write()?;
    let running = Operator::start(operator, manifests.path())?;
    running.wait_for_first_results(RATE as usize)?;
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let floor = floor::paced(nginx, RATE, WINDOW)?;
        let before = running.sample()?;
        std::thread::sleep(WINDOW);
        let spent = running.sample()?.since(&before);
        let probe = spent.cpu.div_f64(spent.probes);
        let ratio = probe.as_secs_f64() / floor.as_secs_f64();
        println!(
            "  round {round}: floor {:6.1} µs, operator {:6.1} µs ({:.0} probes/s), ratio {ratio:.2}",
            micros(floor),
            micros(probe),
            spent.probes / WINDOW.as_secs_f64(),
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio operator/floor                  {:6.2}", ratios[ratios.len() / 2]);
    println!("  schedule lag                                 {}", running.lag()?);
    Ok(())
}

/// Memory and punctuality at 100, 1 000 and 10 000 checks every 10 s.
fn memory(operator: &Path, nginx: &Nginx) -> Result<()> {
    println!("\nMemory and punctuality, every check every 10 s");
    for checks in [100, 1_000, 10_000] {
        let manifests = Checks::at(nginx.url(), checks, "10s").write()?;
        let begun = Instant::now();
        let running = Operator::start(operator, manifests.path())?;
        running.wait_for_first_results(checks)?;
        let first = begun.elapsed();
        std::thread::sleep(Duration::from_secs(30));
        println!(
            "  {checks:6} checks: {:6.1} MB resident, all first results after {:.1} s, lag {}",
            running.resident()? as f64 / 1e6,
            first.as_secs_f64(),
            running.lag()?
        );
    }
    Ok(())
}

/// `/healthchecks` of 10 000 checks while they are being probed.
fn answer(operator: &Path, nginx: &Nginx) -> Result<()> {
    println!("\nGET /healthchecks of 10 000 checks, probed every 10 s");
    let manifests = Checks::at(nginx.url(), 10_000, "10s").write()?;
    let running = Operator::start(operator, manifests.path())?;
    running.wait_for_first_results(10_000)?;
    for (path, port) in [("/healthchecks", operator::Port::Rest), ("/metrics", operator::Port::Metrics)] {
        let mut times = Vec::new();
        for _ in 0..50 {
            let begun = Instant::now();
            running.get(port, path)?;
            times.push(begun.elapsed());
            std::thread::sleep(Duration::from_millis(100));
        }
        times.sort();
        println!("  {path:14} median {:6.1} ms, slowest {:6.1} ms", millis(times[25]), millis(times[49]));
    }
    Ok(())
}

/// 500 healthy targets, alone and beside 500 that accept a connection and never answer.
fn hung(operator: &Path, nginx: &Nginx) -> Result<()> {
    println!("\n500 healthy checks every second, alone and beside 500 hung ones (timeout 10 s)");
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let silent_url = format!("http://{}/", silent.local_addr()?);
    // Accepted by the kernel up to its backlog, and by this thread beyond; never answered.
    std::thread::spawn(move || {
        let mut held = std::collections::VecDeque::new();
        for connection in silent.incoming().flatten() {
            held.push_back(connection);
            if held.len() > 8_000 {
                held.pop_front();
            }
        }
    });
    for hung in [0, 500] {
        let manifests = Checks::at(nginx.url(), 500, "1s").write()?;
        if hung > 0 {
            Checks::at(&silent_url, hung, "1s").named("hung").timeout("10s").add_to(manifests.path())?;
        }
        let running = Operator::start(operator, manifests.path())?;
        running.wait_for_healthy(500)?;
        let before = running.sample()?;
        std::thread::sleep(WINDOW);
        let spent = running.sample()?.since(&before);
        println!(
            "  {hung:3} hung: {:.1} probes of healthy targets a second, lag {}, latency {}",
            spent.healthy_probes / WINDOW.as_secs_f64(),
            running.lag()?,
            running.latency("check")?
        );
    }
    Ok(())
}

fn micros(span: Duration) -> f64 {
    span.as_secs_f64() * 1e6
}

fn millis(span: Duration) -> f64 {
    span.as_secs_f64() * 1e3
}
