//! The floor: connect, send a request, read the answer, judge it, close; written by hand, with nothing around it.
//!
//! Each measurement runs in a process of its own, so that its CPU is the kernel's own count and nothing else's.

use std::{
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustls::{ClientConfig, RootCertStore, client::Resumption};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use crate::{nginx::Nginx, process};

/// Probes in flight when nothing paces them.
const IN_FLIGHT: u32 = 64;
/// How long the unpaced floor is measured.
const SATURATED_FOR: Duration = Duration::from_secs(5);
/// What falls due within this starts together, as in the operator.
const TICK: Duration = Duration::from_millis(5);

static GOOD: AtomicU64 = AtomicU64::new(0);

/// CPU per probe with 64 in flight, as fast as it goes.
pub(crate) fn saturated(nginx: &Nginx) -> Result<Duration> {
    child(&["saturated", nginx.address(), &SATURATED_FOR.as_secs().to_string()])
}

/// CPU per probe at a rate.
pub(crate) fn paced(nginx: &Nginx, rate: u32, window: Duration) -> Result<Duration> {
    child(&["paced", nginx.address(), &window.as_secs().to_string(), &rate.to_string()])
}

/// As [`paced`], over TLS, with these roots.
pub(crate) fn paced_tls(nginx: &Nginx, roots: &Path, rate: u32, window: Duration) -> Result<Duration> {
    let roots = roots.to_str().context("the path of the roots is no text")?;
    child(&["paced", nginx.address(), &window.as_secs().to_string(), &rate.to_string(), roots])
}

fn child(arguments: &[&str]) -> Result<Duration> {
    let program = std::env::current_exe()?;
    let output = Command::new(program).arg("floor").args(arguments).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("the floor failed: {}", output.status);
    }
    let nanos: u64 = String::from_utf8(output.stdout)?.trim().parse().context("the floor printed no number")?;
    Ok(Duration::from_nanos(nanos))
}

/// Runs in the child: prints nanoseconds of CPU per probe.
pub(crate) fn command(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let mut next = || arguments.next().context("an argument is missing");
    let (kind, address, seconds) = (next()?, next()?, next()?.parse()?);
    let window = Duration::from_secs(seconds);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    match kind.as_str() {
        "saturated" => runtime.block_on(saturate(address, window)),
        _ => {
            let rate = next()?.parse()?;
            let tls = next().ok().map(|roots| tls(&roots)).transpose()?;
            runtime.block_on(pace(address, window, rate, tls));
        }
    }
    let good = GOOD.load(Relaxed).max(1);
    println!("{}", process::cpu(std::process::id())?.as_nanos() / u128::from(good));
    Ok(())
}

async fn saturate(address: String, window: Duration) {
    let until = Instant::now() + window;
    let tasks: Vec<_> = (0..IN_FLIGHT)
        .map(|_| {
            let address = address.clone();
            tokio::spawn(async move {
                while Instant::now() < until {
                    count(probe(&address).await);
                }
            })
        })
        .collect();
    for task in tasks {
        let _ = task.await;
    }
}

/// Every handshake a full one, the chain and the name judged as any client judges them.
fn tls(roots: &str) -> Result<TlsConnector> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(CertificateDer::pem_file_iter(roots)?.filter_map(Result::ok));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}

async fn pace(address: String, window: Duration, rate: u32, tls: Option<TlsConnector>) {
    let mut ticks = tokio::time::interval(TICK);
    let (begun, mut started) = (Instant::now(), 0_u32);
    while begun.elapsed() < window {
        ticks.tick().await;
        let due = (begun.elapsed().as_secs_f64() * f64::from(rate)) as u32;
        for _ in started..due {
            let (address, tls) = (address.clone(), tls.clone());
            tokio::spawn(async move {
                count(match tls {
                    None => probe(&address).await,
                    Some(tls) => probe_tls(&address, &tls).await,
                });
            });
        }
        started = due;
    }
}

fn count(verdict: std::io::Result<bool>) {
    GOOD.fetch_add(u64::from(verdict.unwrap_or(false)), Relaxed);
}

/// The least a probe can be.
async fn probe(address: &str) -> std::io::Result<bool> {
    ask(connected(address).await?).await
}

/// The least a probe over TLS can be.
async fn probe_tls(address: &str, tls: &TlsConnector) -> std::io::Result<bool> {
    let stream = connected(address).await?;
    let name = ServerName::IpAddress(stream.peer_addr()?.ip().into());
    ask(tls.connect(name, stream).await?).await
}

async fn connected(address: &str) -> std::io::Result<TcpStream> {
    let address: std::net::SocketAddr = address.parse().map_err(std::io::Error::other)?;
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<bool> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut answer = [0; 2048];
    let mut length = 0;
    while !answer[..length].windows(4).any(|window| window == b"\r\n\r\n") {
        match stream.read(&mut answer[length..]).await? {
            0 => break,
            read => length += read,
        }
    }
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
