//! A real Prometheus server scrapes and is asked what it has understood.

use std::{net::TcpListener, process::Stdio, time::Duration};

use health_model::{Outcome, Reason};
use http::Method;
use serde_json::Value;

use crate::house::{House, heartbeat, parse, send};

/// A port that nobody listens on right now.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[tokio::test]
async fn a_prometheus_server_scrapes_and_finds_status_time_codes_and_failures() {
    let house = House::build().await;
    house.engine.apply(heartbeat("shop/web", None)).await;
    let outcome = Outcome {
        duration: Duration::from_millis(250),
        status_code: Some(503),
        ..Outcome::new(Reason::UnexpectedStatus, "503 Service Unavailable")
    };
    house.engine.report(&parse("shop/web"), outcome).unwrap();
    house.until("shop/web", |row| row.tally.probes == 1).await;

    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("prometheus.yml");
    let target = house.metrics;
    let text = format!(
        "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: checks\n  honor_labels: true\n  \
         static_configs: [{{targets: ['{target}']}}]\n"
    );
    std::fs::write(&config, text).unwrap();
    let port = free_port();
    let _server = tokio::process::Command::new("prometheus")
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
        .arg(format!("--web.listen-address=127.0.0.1:{port}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap_or_else(|error| panic!("prometheus: {error}; install it: apt-get install prometheus"));

    for (query, expected) in [
        ("healthcheck_status", "0"),
        ("healthcheck_response_time", "250"),
        ("healthcheck_response_codes%7Bcode%3D%22503%22%7D", "1"),
        ("healthcheck_failures_total%7Breason%3D%22UnexpectedStatus%22%7D", "1"),
    ] {
        let found = asked(port, query).await;
        assert_eq!(found["metric"]["namespace"], "shop", "{query}");
        assert_eq!(found["metric"]["name"], "web", "{query}");
        assert_eq!(found["value"][1], expected, "{query}");
    }
    assert_eq!(asked(port, "healthcheck_build_info").await["value"][1], "1");
    let kind = get(port, "/api/v1/metadata?metric=healthcheck_response_codes").await.unwrap();
    assert_eq!(kind["data"]["healthcheck_response_codes"][0]["type"], "counter");
}

/// The first series that a query finds; asks again until there is one.
async fn asked(port: u16, query: &str) -> Value {
    let mut rests = tokio::time::interval(Duration::from_millis(100));
    let found = async {
        loop {
            rests.tick().await;
            if let Some(answer) = get(port, &format!("/api/v1/query?query={query}")).await {
                let first = answer["data"]["result"][0].clone();
                if first.is_object() {
                    return first;
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found).await.unwrap_or_else(|_| panic!("{query} found nothing"))
}

async fn get(port: u16, path: &str) -> Option<Value> {
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    tokio::net::TcpStream::connect(address).await.ok()?;
    serde_json::from_slice(&send(address, Method::GET, path, &[]).await.body).ok()
}
