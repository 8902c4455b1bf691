//! The whole program, killed at random moments while targets turn: every turn is told, and doubled is at most what was
//! under way. Longer with `LONG_TESTS=1`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use health_testkit::long_tests;
use serde_json::Value;

use crate::{
    operator::{Manifests, Operator, http_check},
    target::Target,
};

/// Many targets on one port: each fails while its path is among these.
#[derive(Clone)]
struct Switchboard {
    address: SocketAddr,
    failing: Arc<Mutex<BTreeSet<String>>>,
}

impl Switchboard {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let board = Self { address: listener.local_addr().unwrap(), failing: Arc::default() };
        let serving = board.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines().map_while(Result::ok);
                let path = lines.next().and_then(|line| Some(line.split(' ').nth(1)?.trim_matches('/').to_owned()));
                // To the end of the head: closing before would reset the connection.
                lines.find(String::is_empty);
                let fails = path.is_some_and(|path| serving.failing.lock().unwrap().contains(&path));
                let status = if fails { "500 Internal Server Error" } else { "200 OK" };
                // The prober may have been killed.
                let _ = stream.write_all(
                    format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
                );
            }
        });
        board
    }

    /// Turns a target; says whether it fails now.
    fn turn(&self, name: &str) -> bool {
        let mut failing = self.failing.lock().unwrap();
        failing.insert(name.to_owned()) || !failing.remove(name)
    }
}

/// The same numbers at every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Which messages (by key) told of a check and a status; and how many came again under a key that had come before.
fn told(hook: &Target) -> (BTreeMap<(String, String), BTreeSet<String>>, usize) {
    let mut messages: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    let (mut keys, mut doubles) = (BTreeSet::new(), 0);
    for request in hook.requests() {
        let Some((key, body)) = whole(&request) else { continue };
        doubles += usize::from(!keys.insert(key.clone()));
        for check in body["checks"].as_array().unwrap() {
            let about = (check["name"].as_str().unwrap().to_owned(), body["status"].as_str().unwrap().to_owned());
            messages.entry(about).or_default().insert(key.clone());
        }
    }
    (messages, doubles)
}

/// Key and body; nothing of a request that was cut by the kill.
fn whole(request: &str) -> Option<(String, Value)> {
    let (head, body) = request.split_once("\r\n\r\n")?;
    let key = head.lines().find_map(|line| line.strip_prefix("idempotency-key: "))?;
    Some((key.to_owned(), serde_json::from_str(body).ok()?))
}

#[test]
fn killed_at_random_moments_it_loses_no_turn_and_doubles_only_what_was_under_way() {
    // Fewer than six turns of each check: more within ten minutes would be told as flapping.
    let (checks, rounds, at_once) = if long_tests() { (200, 100, 10) } else { (20, 6, 3) };
    let (board, hook) = (Switchboard::start(), Target::answering("200 OK", "ok"));
    let names: Vec<String> = (0..checks).map(|number| format!("check-{number:03}")).collect();
    let check = |name: &String| http_check(name, &format!("http://{}/{name}", board.address));
    let interval = if long_tests() { "1s" } else { "200ms" };
    let manifests = names.iter().map(check).collect::<String>().replace("200ms", interval)
        + &format!(
            "---\napiVersion: check.cloudders.com/v1alpha1\nkind: NotificationRule\nmetadata: {{name: on-call}}\n\
             spec:\n  selector: {{}}\n  groupWait: 0\n  webhook: {{url: \"{}\"}}\n",
            hook.url()
        );
    let folder = Manifests::new().with("all.yaml", &manifests);
    let state = tempfile::tempdir().unwrap();
    let start = || Operator::start_with(&folder.path(), |command| command.arg("--state-dir").arg(state.path()));
    let mut operator = start();
    operator.healthchecks_until("all to be well", |all| {
        all.as_object().unwrap().len() == checks
            && all.as_object().unwrap().values().all(|check| check["healthy"] == true)
    });
    let mut wanted: BTreeMap<(String, String), usize> = BTreeMap::new();
    let (mut dice, mut kills, mut turns) = (Dice(0x5eed), 0, 0);
    for round in 0..rounds {
        for index in 0..at_once {
            let name = &names[(round * at_once + index) % checks];
            let status = if board.turn(name) { "firing" } else { "resolved" };
            *wanted.entry((name.clone(), status.to_owned())).or_default() += 1;
            turns += 1;
        }
        // The kill falls anywhere between the first probe that sees it and the last answer being recorded, or after.
        std::thread::sleep(Duration::from_millis(dice.roll(1500)));
        operator.signal("KILL");
        operator.wait();
        kills += 1;
        operator = start();
        operator.healthchecks_until("every turn to be told", |_| {
            let (messages, _) = told(&hook);
            wanted.iter().all(|(about, times)| messages.get(about).is_some_and(|keys| keys.len() >= *times))
        });
    }
    operator.stop();
    let (messages, doubles) = told(&hook);
    for (about, keys) in &messages {
        assert_eq!(Some(&keys.len()), wanted.get(about), "{about:?}");
    }
    eprintln!("{turns} turns, {kills} kills: 0 lost, {doubles} doubles with the same key");
    assert!(doubles <= kills, "{doubles} doubles at {kills} kills");
}
