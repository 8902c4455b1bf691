//! The stream of events, as a client that reads it line by line sees it.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use axum::body::Bytes;
use health_model::Reason;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::house::{House, bad, check, good, heartbeat, parse, send};

#[derive(Debug, PartialEq)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

struct Stream {
    body: Incoming,
    blocks: VecDeque<String>,
    begun: String,
}

impl Stream {
    async fn open(house: &House, last_event_id: Option<&str>) -> Self {
        let stream = TcpStream::connect(house.rest).await.unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let mut request = Request::get("/api/v1/events").header("host", "x").header("accept-encoding", "gzip");
        if let Some(id) = last_event_id {
            request = request.header("last-event-id", id);
        }
        let response = sender.send_request(request.body(Empty::<Bytes>::new()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-cache");
        assert!(!response.headers().contains_key("content-encoding"), "streams are not compressed");
        Self { body: response.into_body(), blocks: VecDeque::new(), begun: String::new() }
    }

    /// The next block of lines, without its empty last one; nothing when the stream has ended.
    async fn block(&mut self) -> Option<String> {
        while self.blocks.is_empty() {
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await.unwrap()?;
            self.begun.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
            let mut blocks: Vec<String> = self.begun.split("\n\n").map(str::to_owned).collect();
            self.begun = blocks.pop().unwrap_or_default();
            self.blocks.extend(blocks);
        }
        self.blocks.pop_front()
    }

    async fn next(&mut self) -> Event {
        loop {
            let block = self.block().await.unwrap();
            if block.lines().all(|line| line.starts_with(':')) {
                continue;
            }
            let field = |name: &str| {
                let prefix = format!("{name}: ");
                block.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_else(|| panic!("{name}: {block}"))
            };
            let data = serde_json::from_str(field("data")).unwrap();
            return Event { name: field("event").to_owned(), id: field("id").to_owned(), data };
        }
    }

    /// All events up to `synced`.
    async fn beginning(&mut self) -> Vec<Event> {
        let mut events = vec![self.next().await];
        while events.last().is_some_and(|event| event.name != "synced") {
            events.push(self.next().await);
        }
        events
    }

    /// The next event of a check that satisfies.
    async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().await;
            if wanted(&event) {
                return event;
            }
        }
    }
}

fn names_in(events: &[Event]) -> Vec<String> {
    let items = events.iter().filter(|event| event.name == "snapshot").flat_map(|event| event.data["items"].as_array());
    items.flatten().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_stream_begins_with_a_snapshot_and_goes_on_with_every_change() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/job", None)).await;
    let mut stream = Stream::open(&house, None).await;
    stream.until(|event| event.name == "check" || event.name == "snapshot").await;
    let mut stream = Stream::open(&house, None).await;
    let beginning = stream.beginning().await;
    assert_eq!(names_in(&beginning), ["job"]);
    house.engine.report(&parse("default/job"), good("done")).unwrap();
    let changed = stream.next().await;
    assert_eq!((changed.name.as_str(), &changed.data["response"]), ("check", &json!("done")));
    assert_eq!(changed.data, house.get("/api/v1/checks").await.json()["items"][0]);
    house.engine.remove(parse("default/job")).await;
    let removed = stream.next().await;
    assert_eq!((removed.name.as_str(), removed.data), ("removed", json!({"namespace": "default", "name": "job"})));
}

#[tokio::test]
async fn a_stream_over_no_checks_is_synced_at_once() {
    let house = House::build().await;
    let mut stream = Stream::open(&house, None).await;
    assert_eq!(stream.next().await.name, "synced");
    house.declare("default/new").await;
    assert_eq!(stream.next().await.data["reason"], "Pending");
}

#[tokio::test]
async fn a_large_snapshot_comes_in_parts_of_at_most_a_thousand() {
    let house = House::build().await;
    house.engine.replace_all((0..2300).map(|number| heartbeat(&format!("ns/check-{number:04}"), None)).collect()).await;
    let mut stream = Stream::open(&house, None).await;
    stream
        .until(|event| {
            event.data["name"] == "check-2299"
                || names_in(std::slice::from_ref(event)).iter().any(|name| name == "check-2299")
        })
        .await;
    let mut stream = Stream::open(&house, None).await;
    let beginning = stream.beginning().await;
    let parts = beginning.iter().filter(|event| event.name == "snapshot");
    assert!(parts.clone().all(|part| part.data["items"].as_array().unwrap().len() <= 1000));
    assert!(parts.count() > 2);
    assert_eq!(names_in(&beginning), (0..2300).map(|number| format!("check-{number:04}")).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_resumes_with_what_was_missed_and_nothing_else() {
    let house = House::build().await;
    for id in ["default/a", "default/b", "default/c", "default/d"] {
        house.engine.apply(heartbeat(id, None)).await;
    }
    let mut watching = Stream::open(&house, None).await;
    watching.until(|event| event.data["name"] == "d" || names_in(std::slice::from_ref(event)).len() == 4).await;
    let mut stream = Stream::open(&house, None).await;
    let seen = stream.beginning().await.last().unwrap().id.clone();
    drop(stream);
    for (response, outcome) in [("first", good("first")), ("second", bad(Reason::ReportedUnhealthy, "second"))] {
        house.engine.report(&parse("default/b"), outcome).unwrap();
        watching.until(|event| event.data["response"] == response).await;
    }
    house.engine.remove(parse("default/c")).await;
    watching.until(|event| event.name == "removed").await;
    house.engine.apply(heartbeat("default/e", None)).await;
    watching.until(|event| event.data["name"] == "e").await;
    let mut missed = Stream::open(&house, Some(&seen)).await.beginning().await;
    assert_eq!(missed.pop().unwrap().name, "synced");
    let told: Vec<(&str, &str)> =
        missed.iter().map(|event| (event.name.as_str(), event.data["name"].as_str().unwrap())).collect();
    assert_eq!(told, [("check", "b"), ("removed", "c"), ("check", "e")]);
    assert_eq!(missed[0].data["response"], "second");
}

#[tokio::test]
async fn resuming_after_an_event_in_the_middle_repeats_nothing_before_it() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/a", None)).await;
    house.engine.apply(heartbeat("default/b", None)).await;
    let mut stream = Stream::open(&house, None).await;
    house.engine.report(&parse("default/a"), good("one")).unwrap();
    let first = stream.until(|event| event.data["response"] == "one").await;
    house.engine.report(&parse("default/b"), good("two")).unwrap();
    let second = stream.until(|event| event.data["response"] == "two").await;
    let mut missed = Stream::open(&house, Some(&first.id)).await.beginning().await;
    assert_eq!(missed.pop().unwrap().name, "synced");
    assert_eq!(missed, [second]);
    let nothing = Stream::open(&house, Some(&missed[0].id)).await.beginning().await;
    assert_eq!(nothing.iter().map(|event| event.name.as_str()).collect::<Vec<_>>(), ["synced"]);
}

#[tokio::test]
async fn an_id_of_another_process_of_part_of_a_snapshot_or_of_nothing_begins_anew() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/a", None)).await;
    let mut stream = Stream::open(&house, None).await;
    stream.until(|event| event.name == "check" || event.name == "snapshot").await;
    let beginning = Stream::open(&house, None).await.beginning().await;
    let part = beginning[0].id.clone();
    let future = beginning[1].id.replace('-', "-9");
    for id in [part.as_str(), future.as_str(), "0-1", "1", "", "x-y", "-"] {
        let mut stream = Stream::open(&house, Some(id)).await;
        assert_eq!(names_in(&stream.beginning().await), ["a"], "{id}");
    }
}

/// What a client knows that does as the documentation says: responses by name.
#[derive(Default)]
struct Client {
    known: BTreeMap<String, String>,
    synced: bool,
}

impl Client {
    fn learn(&mut self, item: &Value) {
        let text = |field: &str| item[field].as_str().unwrap().to_owned();
        self.known.insert(text("name"), text("response"));
    }

    fn take(&mut self, event: &Event) {
        match event.name.as_str() {
            "snapshot" => {
                if std::mem::take(&mut self.synced) {
                    self.known.clear();
                }
                event.data["items"].as_array().unwrap().iter().for_each(|item| self.learn(item));
            }
            "synced" => self.synced = true,
            "check" => self.learn(&event.data),
            _ => drop(self.known.remove(event.data["name"].as_str().unwrap())),
        }
    }
}

#[tokio::test]
async fn a_reader_that_is_too_slow_gets_a_fresh_snapshot_and_no_gap() {
    let house = House::build().await;
    let names: Vec<String> = (0..3000).map(|number| format!("check-{number:04}")).collect();
    house.engine.replace_all(names.iter().map(|name| heartbeat(&format!("ns/{name}"), None)).collect()).await;
    let mut stream = Stream::open(&house, None).await;
    let words = "x".repeat(8000);
    for round in ["first", "second", "third"] {
        for name in &names {
            while house.engine.report(&parse(&format!("ns/{name}")), good(&format!("{round} {words}"))).is_err() {
                tokio::task::yield_now().await;
            }
        }
        house.until("ns/check-2999", |row| row.standing.response.starts_with(round)).await;
    }
    let mut client = Client::default();
    let mut begun = 0;
    while !(client.known.len() == 3000 && client.known.values().all(|response| response.starts_with("third"))) {
        let event = stream.next().await;
        begun += usize::from(event.name == "synced");
        client.take(&event);
    }
    while begun < 2 {
        begun += usize::from(stream.next().await.name == "synced");
    }
    let scrape = send(house.metrics, http::Method::GET, "/metrics", &[]).await;
    assert!(!scrape.text().contains("healthcheck_event_stream_restarts_total 0\n"));
}

#[tokio::test]
async fn a_check_that_becomes_overdue_is_told_though_nothing_happened_to_it() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/job", None)).await;
    house.engine.report(&parse("default/job"), good("done")).unwrap();
    house.until("default/job", |row| row.standing.healthy()).await;
    let mut stream = Stream::open(&house, None).await;
    stream.until(|event| event.name == "synced").await;
    house.stall("default/job").await;
    let told = stream.until(|event| event.data["stale"] == true).await;
    assert_eq!((told.name.as_str(), &told.data["name"]), ("check", &json!("job")));
}

#[tokio::test]
async fn a_quiet_stream_sends_a_comment_every_fifteen_seconds() {
    let house = House::build().await;
    let mut stream = Stream::open(&house, None).await;
    stream.beginning().await;
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    assert_eq!(stream.block().await.unwrap(), ":");
    assert_eq!(begun.elapsed().as_secs(), 15);
}

#[tokio::test]
async fn streams_beyond_the_bound_are_refused_and_counted_and_places_come_back() {
    let house = House::build().await;
    let mut streams = Vec::new();
    for _ in 0..256 {
        streams.push(Stream::open(&house, None).await);
    }
    let refused = house.get("/api/v1/events").await;
    refused.problem(503);
    assert!(!refused.header("retry-after").is_empty());
    let gauge = || async {
        let scrape = send(house.metrics, http::Method::GET, "/metrics", &[]).await;
        let line =
            scrape.text().lines().find(|line| line.starts_with("healthcheck_event_streams ")).unwrap().to_owned();
        assert!(scrape.text().contains("healthcheck_event_stream_bound_hits_total 1\n"));
        line
    };
    assert_eq!(gauge().await, "healthcheck_event_streams 256");
    drop(streams);
    while gauge().await != "healthcheck_event_streams 0" {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn streams_end_when_the_server_is_to_stop() {
    let mut house = House::build().await;
    house.engine.apply(check("default/web")).await;
    let mut stream = Stream::open(&house, None).await;
    stream.beginning().await;
    let begun = std::time::Instant::now();
    house.shutdown.cancel();
    while stream.block().await.is_some() {}
    for server in house.servers.drain(..) {
        server.await.unwrap();
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "nothing had to be cut");
}
