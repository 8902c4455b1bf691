//! `demo`: runs on the quickstart's checks, with targets of its own to be checked.
//!
//! The targets answer in the plainest way there is; they are no server for anything else. The manifests are a copy in a
//! folder of this process, to be edited and watched, and gone with it.

use std::{
    fs,
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;

use crate::{
    cli::{BindAddress, DemoArgs},
    listen, output, wiring,
};

/// The checks of the demonstration.
const MANIFESTS: &str = include_str!("../../../../examples/quickstart/quickstart.yaml");
/// The port that they are written for.
const WRITTEN_FOR: &str = "127.0.0.1:8090";
/// How long `/changing` stays as it is.
const TURN: Duration = Duration::from_secs(20);
/// How long a client may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The most of a request that is read.
const MOST_READ: usize = 4096;

/// Starts the targets and runs until told to stop.
///
/// # Errors
/// What keeps the targets from listening, or the operator from running.
pub(crate) fn run(arguments: DemoArgs) -> anyhow::Result<ExitCode> {
    let DemoArgs { targets_bind_address, mut run } = arguments;
    let targets = start_targets(&targets_bind_address)?;
    let folder = match &run.manifests {
        Some(_) => None,
        None => {
            Some(DemoFolder::write(&MANIFESTS.replace(WRITTEN_FOR, &targets)).context("the demo cannot be set up")?)
        }
    };
    if let Some(DemoFolder(path)) = &folder {
        output::tell(&format!("The checks of this demo are in {}: edit them and watch what happens.", path.display()));
        run.manifests = Some(path.clone());
    }
    wiring::run(run)
}

/// Listens, and says where.
fn start_targets(address: &BindAddress) -> anyhow::Result<String> {
    let listener = listen::bind_plain(address, "--targets-bind-address")?;
    let shown = listener.local_addr()?.to_string();
    std::thread::Builder::new().name("demo".to_owned()).spawn(move || serve(&listener))?;
    Ok(shown)
}

/// A folder with the manifests, removed with this value.
struct DemoFolder(PathBuf);

impl DemoFolder {
    fn write(manifests: &str) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("health-check-operator-demo-{}", std::process::id()));
        // Fails when it exists: nobody else's folder is taken for ours.
        fs::create_dir(&path)?;
        let folder = Self(path);
        fs::write(folder.0.join("quickstart.yaml"), manifests)?;
        Ok(folder)
    }
}

impl Drop for DemoFolder {
    fn drop(&mut self) {
        remove(&self.0);
    }
}

fn remove(folder: &Path) {
    if let Err(error) = fs::remove_dir_all(folder) {
        tracing::warn!(folder = %folder.display(), %error, "the demo's folder could not be removed");
    }
}

fn serve(listener: &TcpListener) {
    let started = Instant::now();
    for connection in listener.incoming().flatten() {
        // A client that went away is no trouble of ours.
        let _gone = answer(connection, started.elapsed());
    }
}

fn answer(mut connection: TcpStream, elapsed: Duration) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    connection.set_write_timeout(Some(PATIENCE))?;
    let mut head = Vec::new();
    let mut part = [0; 512];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MOST_READ {
        match connection.read(&mut part)? {
            0 => return Ok(()),
            length => head.extend_from_slice(&part[..length]),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let path = head.split(' ').nth(1).unwrap_or_default();
    connection.write_all(response(path, elapsed).as_bytes())
}

fn response(path: &str, elapsed: Duration) -> String {
    let is_up = (elapsed.as_secs() / TURN.as_secs()).is_multiple_of(2);
    let (status, header, body) = match path {
        "/healthy" => ("200 OK", "", "all is well, we are ready\n"),
        "/busy" => ("429 Too Many Requests", "Retry-After: 30\r\n", "come back later\n"),
        "/changing" if is_up => ("200 OK", "", "up\n"),
        "/changing" | "/failing" => ("503 Service Unavailable", "", "out of order\n"),
        _ => ("404 Not Found", "", "try /healthy, /failing, /busy or /changing\n"),
    };
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
}
