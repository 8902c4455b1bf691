//! A thousand hosts asked by ICMP every second: how many replies are lost on loopback, where the network loses none.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::Result;

use crate::operator::Operator;

/// Hosts, each an address of its own in 127.0.0.0/8.
const HOSTS: u32 = 1000;
/// Echo requests per probe.
const COUNT: u32 = 3;
/// How long it is measured.
const WINDOW: Duration = Duration::from_secs(60);

/// Counts probes that missed a reply. A check fails by a single lost reply (`maxLossPercent: 0`), so that a probe that
/// succeeded has had all of them.
pub(crate) fn measure(operator: &Path) -> Result<()> {
    println!("\n{HOSTS} hosts by ICMP every second, {COUNT} echo requests each, for {} s", WINDOW.as_secs());
    let manifests = tempfile::tempdir()?;
    let mut text = String::new();
    for index in 0..HOSTS {
        let (high, low) = (1 + index / 250, 1 + index % 250);
        writeln!(
            text,
            "---\napiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\nmetadata: {{name: host-{index}}}\n\
             spec: {{testInterval: 1s, icmp: {{host: 127.7.{high}.{low}, count: {COUNT}}}}}"
        )?;
    }
    fs::write(manifests.path().join("hosts.yaml"), text)?;
    let running = Operator::start(operator, manifests.path())?;
    running.wait_for_healthy(HOSTS as usize)?;
    let before = running.sample()?;
    std::thread::sleep(WINDOW);
    let spent = running.sample()?.since(&before);
    println!(
        "  {:.0} probes ({:.0}/s), {:.0} replies wanted, {:.0} probes that missed one or failed; {:.1} µs of CPU a probe",
        spent.probes,
        spent.probes / WINDOW.as_secs_f64(),
        spent.probes * f64::from(COUNT),
        spent.failures,
        spent.cpu.div_f64(spent.probes).as_secs_f64() * 1e6,
    );
    println!("  schedule lag                                 {}", running.lag()?);
    Ok(())
}
