//! The stream of events, as a client that reads it line by line sees it.

use std::time::Duration;

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
    text: String,
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
        Self { body: response.into_body(), text: String::new() }
    }

    /// The next block of lines, without its empty last one; nothing when the stream has ended.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                return Some(block);
            }
            let frame = tokio::time::timeout(Duration::from_secs(60), self.body.frame()).await.unwrap()?;
            self.text.push_str(std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap());
        }
    }

    async fn next(&mut self) -> Event {
        loop {
            let block = self.block().await.expect("the stream goes on");
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
    stream.until(|event| event.name == "synced").await;
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
    let mut stream = Stream::open(&house, None).await;
    let seen = stream.beginning().await.last().unwrap().id.clone();
    drop(stream);
    house.engine.report(&parse("default/b"), good("first")).unwrap();
    house.until("default/b", |row| row.standing.response == "first").await;
    house.engine.report(&parse("default/b"), bad(Reason::ReportedUnhealthy, "second")).unwrap();
    house.engine.remove(parse("default/c")).await;
    house.engine.apply(heartbeat("default/e", None)).await;
    house.until("default/b", |row| row.standing.response == "second").await;
    let missed = resumed(&house, &seen, 3).await;
    let told: Vec<(&str, &str)> =
        missed.iter().map(|event| (event.name.as_str(), event.data["name"].as_str().unwrap())).collect();
    assert_eq!(told.len(), 3, "{told:?}");
    for expected in [("check", "b"), ("removed", "c"), ("check", "e")] {
        assert!(told.contains(&expected), "{told:?}");
    }
    let b = missed.iter().find(|event| event.data["name"] == "b").unwrap();
    assert_eq!(b.data["response"], "second");
}

/// Resumes until the hub, which gathers changes, has told at least so many; everything but `synced`.
async fn resumed(house: &House, id: &str, most: usize) -> Vec<Event> {
    let mut stream = Stream::open(house, Some(id)).await;
    let mut events = stream.beginning().await;
    while events.len() <= most {
        events.push(stream.next().await);
    }
    events.retain(|event| event.name != "synced");
    events
}

#[tokio::test]
async fn resuming_after_an_event_in_the_middle_repeats_nothing_before_it() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/a", None)).await;
    house.engine.apply(heartbeat("default/b", None)).await;
    let mut stream = Stream::open(&house, None).await;
    stream.beginning().await;
    house.engine.report(&parse("default/a"), good("one")).unwrap();
    let first = stream.next().await;
    house.engine.report(&parse("default/b"), good("two")).unwrap();
    stream.next().await;
    let missed = resumed(&house, &first.id, 1).await;
    assert_eq!(missed.len(), 1);
    assert_eq!(missed[0].data["response"], "two");
}

#[tokio::test]
async fn an_id_of_another_process_of_part_of_a_snapshot_or_of_nothing_begins_anew() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/a", None)).await;
    let mut stream = Stream::open(&house, None).await;
    let beginning = stream.beginning().await;
    let part = beginning[0].id.clone();
    let future = beginning[1].id.replace('-', "-9");
    for id in [part.as_str(), future.as_str(), "0-1", "1", "", "x-y", "-"] {
        let mut stream = Stream::open(&house, Some(id)).await;
        assert_eq!(names_in(&stream.beginning().await), ["a"], "{id}");
    }
}

#[tokio::test]
async fn a_reader_that_is_too_slow_gets_a_fresh_snapshot_and_no_gap() {
    let house = House::build().await;
    house.engine.replace_all((0..3000).map(|number| heartbeat(&format!("ns/check-{number:04}"), None)).collect()).await;
    let mut stream = Stream::open(&house, None).await;
    stream.beginning().await;
    for round in 0..6 {
        let words = "x".repeat(900);
        for number in 0..3000 {
            let id = parse(&format!("ns/check-{number:04}"));
            while house.engine.report(&id, good(&format!("{round} {words}"))).is_err() {
                tokio::task::yield_now().await;
            }
        }
        house.until("ns/check-2999", |row| row.standing.response.starts_with(&round.to_string())).await;
        gathered().await;
    }
    let mut fresh = Vec::new();
    loop {
        let event = stream.next().await;
        match event.name.as_str() {
            "snapshot" => fresh.push(event),
            "synced" => break,
            _ => {}
        }
    }
    assert_eq!(names_in(&fresh).len(), 3000);
    let scrape = send(house.metrics, http::Method::GET, "/metrics", &[]).await;
    assert!(!scrape.text().contains("healthcheck_event_stream_restarts_total 0\n"));
    let items = fresh.iter().flat_map(|event| event.data["items"].as_array().unwrap());
    let behind = items.filter(|item| !item["response"].as_str().unwrap().starts_with('5')).count();
    if behind > 0 {
        let last =
            stream.until(|event| event.data["response"].as_str().is_some_and(|text| text.starts_with('5'))).await;
        assert_eq!(last.name, "check");
    }
}

/// Lets the hub take in what the board has: it gathers changes for some milliseconds.
async fn gathered() {
    tokio::time::pause();
    tokio::time::advance(Duration::from_millis(100)).await;
    tokio::time::resume();
    tokio::task::yield_now().await;
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
