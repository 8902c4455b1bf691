//! `/metrics`, read as text.

use std::{process::Stdio, sync::Arc, time::Duration};

use health_model::{CertificateFacts, Outcome, Phases, Reason};
use http::Method;
use tokio::io::AsyncWriteExt;

use crate::house::{House, bad, good, heartbeat, parse, send};

pub(crate) async fn scrape(house: &House) -> String {
    let answer = send(house.metrics, Method::GET, "/metrics", &[]).await;
    assert_eq!(answer.status, 200);
    answer.text().to_owned()
}

#[track_caller]
fn has(text: &str, line: &str) {
    let family = line.split(['{', ' ']).next().unwrap();
    let alike: Vec<&str> = text.lines().filter(|found| found.contains(family)).collect();
    assert!(alike.contains(&line), "{line}\nis not among\n{}", alike.join("\n"));
}

fn everything() -> Outcome {
    let at = |text: &str| text.parse().unwrap();
    Outcome {
        duration: Duration::from_micros(234_500),
        phases: Phases {
            resolve: Some(Duration::from_millis(1)),
            connect: Some(Duration::from_millis(2)),
            tls: Some(Duration::from_millis(4)),
            processing: Some(Duration::from_millis(8)),
            transfer: Some(Duration::from_millis(16)),
        },
        status_code: Some(503),
        certificate: Some(Arc::new(CertificateFacts {
            not_after: at("2031-01-01T00:00:00Z"),
            not_before: at("2020-01-01T00:00:00Z"),
            chain_not_after: at("2030-01-01T00:00:00Z"),
            issuer: String::new(),
            subject: String::new(),
            dns_names: Vec::new(),
            chain_length: 2,
            fingerprint: String::new(),
        })),
        ..Outcome::new(Reason::UnexpectedStatus, "503 Service Unavailable")
    }
}

#[tokio::test]
async fn every_series_that_the_contract_names_is_there() {
    let house = House::build().await;
    house.engine.apply(heartbeat("shop/web", None)).await;
    house.engine.report(&parse("shop/web"), everything()).unwrap();
    house.engine.report(&parse("shop/web"), everything()).unwrap();
    house.until("shop/web", |row| row.tally.probes == 2).await;
    let text = scrape(&house).await;
    for line in [
        r#"healthcheck_status{namespace="shop",name="web"} 0"#,
        r#"healthcheck_response_time{namespace="shop",name="web"} 234.5"#,
        r#"healthcheck_response_codes{namespace="shop",name="web",code="503"} 2"#,
        r#"healthcheck_failures_total{namespace="shop",name="web",reason="UnexpectedStatus"} 2"#,
        r#"healthcheck_probe_duration_seconds{namespace="shop",name="web",phase="resolve"} 0.001"#,
        r#"healthcheck_probe_duration_seconds{namespace="shop",name="web",phase="connect"} 0.002"#,
        r#"healthcheck_probe_duration_seconds{namespace="shop",name="web",phase="tls"} 0.004"#,
        r#"healthcheck_probe_duration_seconds{namespace="shop",name="web",phase="processing"} 0.008"#,
        r#"healthcheck_probe_duration_seconds{namespace="shop",name="web",phase="transfer"} 0.016"#,
        r#"healthcheck_certificate_expiry_timestamp_seconds{namespace="shop",name="web"} 1893456000.0"#,
        "healthcheck_probes_in_flight 0",
        "# TYPE healthcheck_response_codes counter",
        "# TYPE healthcheck_failures_total counter",
        "# TYPE healthcheck_schedule_lag_seconds histogram",
    ] {
        has(&text, line);
    }
    let last = text.lines().find(|line| line.starts_with("healthcheck_last_probe_timestamp_seconds{")).unwrap();
    let seconds: f64 = last.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(seconds > 1.7e9 && seconds < 5e9, "{last}");
}

#[tokio::test]
async fn the_lag_histogram_has_the_published_boundaries() {
    let house = House::build().await;
    house.check_that_says("default/web", good("fine")).await;
    let text = scrape(&house).await;
    let buckets: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("healthcheck_schedule_lag_seconds_bucket{le=\""))
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(buckets, ["0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "1.0", "5.0", "+Inf"]);
    let count = text.lines().find_map(|line| line.strip_prefix("healthcheck_schedule_lag_seconds_count ")).unwrap();
    let all = text.lines().find_map(|line| line.strip_prefix("healthcheck_schedule_lag_seconds_bucket{le=\"+Inf\"} "));
    assert_eq!(Some(count), all);
    assert!(count.parse::<u64>().unwrap() >= 1);
}

#[tokio::test]
async fn every_series_of_a_check_ends_with_the_check() {
    let house = House::build().await;
    for id in ["shop/web", "shop/api"] {
        house.engine.apply(heartbeat(id, None)).await;
        house.engine.report(&parse(id), everything()).unwrap();
        house.until(id, |row| row.tally.probes == 1).await;
    }
    let families = |text: &str, name: &str| -> Vec<String> {
        let label = format!("name=\"{name}\"");
        text.lines()
            .filter(|line| line.contains(&label))
            .map(|line| line.split('{').next().unwrap().to_owned())
            .collect()
    };
    let before = scrape(&house).await;
    assert_eq!(families(&before, "web").len(), 11, "{:?}", families(&before, "web"));
    house.engine.remove(parse("shop/web")).await;
    let after = scrape(&house).await;
    assert_eq!(families(&after, "web"), [""; 0]);
    assert_eq!(families(&after, "api").len(), 11);
}

#[tokio::test]
async fn labels_are_escaped_and_hold_no_words_of_a_target() {
    let house = House::build().await;
    house.check_that_says("default/a\"b\\c\nd", bad(Reason::Timeout, "Timeout: https://secret.example/token")).await;
    let text = scrape(&house).await;
    has(&text, r#"healthcheck_status{namespace="default",name="a\"b\\c\nd"} 0"#);
    assert!(!text.contains("secret.example"));
    assert!(!text.contains("192.0.2.1"));
}

#[tokio::test]
async fn a_check_that_has_never_run_has_a_status_and_no_measurements() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/job", None)).await;
    let text = scrape(&house).await;
    has(&text, r#"healthcheck_status{namespace="default",name="job"} 0"#);
    assert_eq!(text.lines().filter(|line| line.contains("name=\"job\"")).count(), 1);
}

#[tokio::test]
async fn an_overdue_check_is_not_healthy_and_counted() {
    let house = House::build().await;
    house.engine.apply(heartbeat("default/job", None)).await;
    house.engine.report(&parse("default/job"), good("done")).unwrap();
    house.until("default/job", |row| row.standing.healthy()).await;
    has(&scrape(&house).await, "healthcheck_overdue_checks 0");
    house.stall("default/job").await;
    let text = scrape(&house).await;
    has(&text, r#"healthcheck_status{namespace="default",name="job"} 0"#);
    has(&text, "healthcheck_overdue_checks 1");
    has(&text, "healthcheck_stale_checks 1");
    has(&text, "healthcheck_schedule_stands_still 1");
}

#[tokio::test]
async fn the_format_is_the_classic_one_whatever_else_the_scraper_takes() {
    let house = House::build().await;
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let answer = send(house.metrics, Method::GET, "/metrics", &[("accept", accept)]).await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    assert!(!answer.text().contains("# EOF"));
}

#[tokio::test]
async fn the_process_and_the_build_are_described() {
    let text = scrape(&House::build().await).await;
    has(&text, &format!("healthcheck_build_info{{version=\"{}\"}} 1", env!("CARGO_PKG_VERSION")));
    for family in
        ["process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"]
    {
        assert!(text.lines().any(|line| line.starts_with(&format!("{family} "))), "{family}");
    }
}

/// Names that existing dashboards rely on, though the conventions would have other ones.
const PUBLISHED_ALIKE: [&str; 2] = [
    "healthcheck_response_codes counter metrics should have \"_total\" suffix",
    "healthcheck_response_time use base unit",
];

#[tokio::test]
async fn promtool_finds_nothing_but_the_published_names() {
    let house = House::build().await;
    house.engine.apply(heartbeat("shop/web", None)).await;
    house.engine.report(&parse("shop/web"), everything()).unwrap();
    house.check_that_says("default/a\"b\\c\nd", good("fine")).await;
    let text = scrape(&house).await;
    let mut promtool = tokio::process::Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("promtool: {error}; install it: apt-get install prometheus"));
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
    let output = promtool.wait_with_output().await.unwrap();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let unexpected: Vec<&str> =
        said.lines().filter(|line| !PUBLISHED_ALIKE.iter().any(|known| line.starts_with(known))).collect();
    assert_eq!(unexpected, [""; 0], "{text}");
}

#[tokio::test]
async fn every_family_has_help_and_type_and_appears_once() {
    let house = House::build().await;
    house.check_that_says("default/web", good("fine")).await;
    let text = scrape(&house).await;
    let described = |kind: &str| -> Vec<&str> {
        let prefix = format!("# {kind} ");
        text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(|rest| rest.split(' ').next().unwrap()).collect()
    };
    let (mut helps, types) = (described("HELP"), described("TYPE"));
    assert_eq!(helps, types);
    helps.sort_unstable();
    let all = helps.len();
    helps.dedup();
    assert_eq!(helps.len(), all);
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let name = sample.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        assert!(types.contains(&name) || types.contains(&family), "{sample}");
    }
}
