//! CPU per plain HTTP probe of this tree beside another revision of it, in the same run.

use std::{path::Path, time::Duration};

use anyhow::Result;

use crate::{
    RATE, micros,
    nginx::Nginx,
    operator::{Checks, Operator},
};

/// How long each of the two is measured in a round.
const WINDOW: Duration = Duration::from_secs(15);
/// Rounds; the order within a round changes with every round.
const ROUNDS: usize = 5;

/// The two in turn, each started anew, so that neither is in the other's way.
pub(crate) fn measure(operator: &Path, previous: &Path, nginx: &Nginx) -> Result<()> {
    println!("\nCPU per plain HTTP probe, this tree beside the other revision, {RATE}/s, {ROUNDS} rounds in turn");
    let manifests = Checks::at(nginx.url(), RATE as usize, "1s").write()?;
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let cost = |program: &Path| cost(program, manifests.path());
        let (this, other) = if round % 2 == 0 {
            let this = cost(operator)?;
            (this, cost(previous)?)
        } else {
            let other = cost(previous)?;
            (cost(operator)?, other)
        };
        let ratio = this.as_secs_f64() / other.as_secs_f64();
        println!("  round {round}: this {:6.1} µs, other {:6.1} µs, ratio {ratio:.2}", micros(this), micros(other));
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio this/other                      {:6.2}", ratios[ratios.len() / 2]);
    Ok(())
}

fn cost(program: &Path, manifests: &Path) -> Result<Duration> {
    let running = Operator::start(program, manifests)?;
    running.wait_for_first_results(RATE as usize)?;
    let before = running.sample()?;
    std::thread::sleep(WINDOW);
    let spent = running.sample()?.since(&before);
    Ok(spent.cpu.div_f64(spent.probes))
}
