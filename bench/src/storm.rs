//! What ten thousand alerts cost the probes: 10 000 heartbeats are missed at the same moment, while 1 000 HTTP checks go on
//! being asked every second. The lag of these is measured before and during the storm, and what arrives at each channel
//! is counted.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    nginx::Nginx,
    operator::{Checks, Operator, Port},
};

/// Heartbeats that are missed together.
const HEARTBEATS: usize = 10_000;
/// Checks that are asked every second.
const PROBED: usize = 1_000;
/// When the heartbeats are missed, counted from their registration.
const MISSED_AFTER: Duration = Duration::from_secs(25);
/// The calm before, and the storm: each is measured for so long.
const WINDOW: Duration = Duration::from_secs(15);

/// Measures it and prints a line per window and channel.
pub(crate) fn measure(operator: &Path, nginx: &Nginx) -> Result<()> {
    println!("\n{HEARTBEATS} checks fail at the same moment, beside {PROBED} that are asked every second");
    let desk = Desk::open()?;
    let manifests = Checks::at(nginx.url(), PROBED, "1s").write()?;
    fs::write(manifests.path().join("heartbeats.yaml"), heartbeats()?)?;
    fs::write(manifests.path().join("rule.yaml"), rule(desk.address))?;
    let running = Operator::start(operator, manifests.path())?;
    let registered = Instant::now();
    running.wait_for_healthy(PROBED)?;
    let storm = registered + MISSED_AFTER - Duration::from_secs(1);
    std::thread::sleep(storm.saturating_duration_since(Instant::now() + WINDOW));
    for name in ["calm", "storm"] {
        let (begun, lag, spent) = (Instant::now(), running.lag_so_far()?, running.sample()?);
        let mut slowest = Duration::ZERO;
        while begun.elapsed() < WINDOW {
            let asked = Instant::now();
            running.get(Port::Rest, "/healthchecks/check-0")?;
            slowest = slowest.max(asked.elapsed());
            std::thread::sleep(Duration::from_millis(20));
        }
        let (lag, spent) = (running.lag_so_far()?.since(&lag), running.sample()?.since(&spent));
        let probes = spent.healthy_probes / begun.elapsed().as_secs_f64();
        println!(
            "  {name:6} {probes:6.0} probes a second, lag {lag}, slowest answer of REST {} ms",
            slowest.as_millis()
        );
    }
    for (channel, messages) in desk.messages() {
        println!("  messages to {channel:13} {messages}");
    }
    Ok(())
}

fn heartbeats() -> Result<String> {
    let mut text = String::new();
    for index in 0..HEARTBEATS {
        writeln!(
            text,
            "---\napiVersion: check.cloudders.com/v1alpha1\nkind: HealthCheck\n\
             metadata: {{name: beat-{index}, labels: {{storm: \"yes\"}}}}\nspec: {{testInterval: {}, heartbeat: {{}}}}",
            MISSED_AFTER.as_secs()
        )?;
    }
    Ok(text)
}

fn rule(desk: SocketAddr) -> String {
    format!(
        "apiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {{name: storm}}\nspec:\n\
         \x20 selector: {{matchLabels: {{storm: \"yes\"}}}}\n\
         \x20 slack: {{webhook: {{url: \"http://{desk}/slack\"}}}}\n\
         \x20 webhook: {{url: \"http://{desk}/webhook\"}}\n\
         \x20 pagerduty: {{apiUrl: \"http://{desk}/pagerduty\", routingKey: {{value: key}}}}\n\
         \x20 alertmanager: {{urls: [\"http://{desk}/alertmanager\"]}}\n"
    )
}

/// Takes every message and counts it by the first part of its path.
struct Desk {
    address: SocketAddr,
    taken: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Desk {
    fn open() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let taken = Arc::new(Mutex::new(BTreeMap::new()));
        let book = Arc::clone(&taken);
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let book = Arc::clone(&book);
                std::thread::spawn(move || while take_one(&connection, &book).is_ok_and(|more| more) {});
            }
        });
        Ok(Self { address, taken })
    }

    fn messages(&self) -> BTreeMap<String, usize> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Reads one request and accepts it; says whether there was one.
fn take_one(stream: &TcpStream, book: &Mutex<BTreeMap<String, usize>>) -> Result<bool> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first)?;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(false);
        }
        if line.trim().is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or_default();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.trim().parse()?;
        }
    }
    reader.read_exact(&mut vec![0; length])?;
    let channel = first.split('/').nth(1).and_then(|path| path.split(' ').next()).unwrap_or_default().to_owned();
    *book.lock().unwrap_or_else(PoisonError::into_inner).entry(channel).or_default() += 1;
    (&mut &*stream).write_all(b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\n{}")?;
    Ok(true)
}
