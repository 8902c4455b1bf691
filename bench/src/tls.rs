//! CPU per TLS probe beside the least it can cost: a fresh connection, a full handshake, a certificate that is judged
//! against the system's roots, a request, an answer.
//!
//! The floor is written by hand on the TLS library that the operator uses. OpenSSL's own `s_time` does the same one
//! connection at a time and is measured beside it, so that nobody has to believe that the library is not the cost.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

use crate::{
    ROUNDS, WINDOW, floor, micros,
    nginx::{Identity, Nginx},
    operator::{Checks, Operator},
    process,
};

/// TLS probes a second: nginx has to shake hands as often, on the same machine.
const RATE: u32 = 250;
/// How long OpenSSL shakes hands.
const REFERENCE_FOR: u64 = 5;
/// Where Debian keeps the system's roots; what is missing costs nobody anything.
const SYSTEM_ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A server certificate for 127.0.0.1 (P-256), and a file of roots: the system's and the one that vouches for it.
struct Trust {
    home: TempDir,
    identity: Identity,
}

impl Trust {
    fn make() -> Result<Self> {
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(DnType::CommonName, "the bench's authority");
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
        let key = KeyPair::generate()?;
        let mut server = CertificateParams::new(["127.0.0.1".to_owned()])?;
        server.distinguished_name.push(DnType::CommonName, "the bench's server");
        let certificate = server.signed_by(&key, &authority)?;
        let home = tempfile::tempdir()?;
        let identity = Identity { certificate: home.path().join("certificate.pem"), key: home.path().join("key.pem") };
        fs::write(&identity.certificate, certificate.pem())?;
        fs::write(&identity.key, key.serialize_pem())?;
        let system = fs::read_to_string(SYSTEM_ROOTS).unwrap_or_default();
        fs::write(home.path().join("roots.pem"), system + &authority.pem())?;
        Ok(Self { home, identity })
    }

    fn roots(&self) -> PathBuf {
        self.home.path().join("roots.pem")
    }
}

/// The floor and the operator in turn.
pub(crate) fn measure(operator: &Path) -> Result<()> {
    println!("\nCPU per TLS probe, {RATE}/s for {} s, {ROUNDS} rounds in turn", WINDOW.as_secs());
    let trust = Trust::make()?;
    let roots = trust.roots();
    let nginx = Nginx::start_with_tls(&trust.identity)?;
    let manifests = Checks::at(nginx.url(), RATE as usize, "1s").write()?;
    let running = Operator::start_trusting(operator, manifests.path(), &roots)?;
    running.wait_for_healthy(RATE as usize)?;
    match reference(&nginx, &roots) {
        Ok(openssl) => println!("  openssl s_time -new, one at a time            {:6.1} µs", micros(openssl)),
        Err(problem) => println!("  openssl s_time: {problem:#}"),
    }
    let mut ratios = Vec::new();
    for round in 1..=ROUNDS {
        let floor = floor::paced_tls(&nginx, &roots, RATE, WINDOW)?;
        let before = running.sample()?;
        std::thread::sleep(WINDOW);
        let spent = running.sample()?.since(&before);
        let probe = spent.cpu.div_f64(spent.healthy_probes);
        let ratio = probe.as_secs_f64() / floor.as_secs_f64();
        println!(
            "  round {round}: floor {:6.1} µs, operator {:6.1} µs ({:.0} good probes/s), ratio {ratio:.2}",
            micros(floor),
            micros(probe),
            spent.healthy_probes / WINDOW.as_secs_f64(),
        );
        ratios.push(ratio);
    }
    ratios.sort_by(f64::total_cmp);
    println!("  median ratio operator/floor                  {:6.2}", ratios[ratios.len() / 2]);
    Ok(())
}

/// CPU per connection of `openssl s_time`.
fn reference(nginx: &Nginx, roots: &Path) -> Result<Duration> {
    let before = process::ended_children()?;
    let output = Command::new("openssl")
        .args(["s_time", "-new", "-www", "/", "-verify", "4", "-connect", nginx.address()])
        .args(["-time", &REFERENCE_FOR.to_string()])
        .arg("-CAfile")
        .arg(roots)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .context("openssl cannot be started")?;
    let spent = process::ended_children()? - before;
    let text = String::from_utf8_lossy(&output.stdout);
    let Some(count) = text.lines().find_map(|line| line.split_once(" connections in ")?.0.trim().parse::<u32>().ok())
    else {
        bail!("it counted no connections ({})", output.status)
    };
    Ok(spent / count.max(1))
}
