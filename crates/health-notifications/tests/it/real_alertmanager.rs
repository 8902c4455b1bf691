//! Alerts in a real Alertmanager (Debian's).

use std::time::Duration;

use health_model::{Channel, Texts};
use health_notifications::{
    Destination, Message, Telling,
    channel::{Transport, Verdict},
};
use health_testkit::daemon::{Daemon, Home, free_port};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::channels::{destination, message};

struct Alertmanager {
    _daemon: Daemon,
    port: u16,
}

impl Alertmanager {
    fn start() -> Self {
        let home = Home::new().unwrap();
        let config = home.write("alertmanager.yml", "route:\n  receiver: none\nreceivers:\n- name: none\n").unwrap();
        let port = free_port().unwrap();
        let arguments = [
            format!("--config.file={}", config.display()),
            "--storage.path=data".to_owned(),
            format!("--web.listen-address=127.0.0.1:{port}"),
            "--cluster.listen-address=".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let daemon = home.start("prometheus-alertmanager", "prometheus-alertmanager", &arguments, &[port]).unwrap();
        Self { _daemon: daemon, port }
    }

    fn destination(&self) -> Destination {
        let url = format!("http://127.0.0.1:{}", self.port).parse().unwrap();
        destination(Channel::Alertmanager { urls: vec![url], texts: Texts::default() })
    }

    async fn alerts(&self) -> Vec<Value> {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.unwrap();
        stream.write_all(b"GET /api/v2/alerts?active=true HTTP/1.0\r\nhost: localhost\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }
}

async fn deliver(alertmanager: &Alertmanager, message: &Message) {
    let transport = Transport::new(Duration::from_secs(30), None).unwrap();
    let (verdict, said) = transport.deliver_and_quote(&alertmanager.destination(), message).await;
    assert_eq!(verdict, Verdict::Accepted, "{said}");
}

/// Fails since a minute ago.
fn firing(now: Timestamp) -> Message {
    let mut firing = message(Telling::Firing, &["web"]);
    (firing.now, firing.members[0].since) = (now, now - SignedDuration::from_secs(60));
    firing
}

fn time(alert: &Value, field: &str) -> Timestamp {
    alert[field].as_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn it_shows_the_alert_and_its_end() {
    let alertmanager = Alertmanager::start();
    let now = Timestamp::now();
    deliver(&alertmanager, &firing(now)).await;
    let alerts = alertmanager.alerts().await;
    assert_eq!(alerts[0]["labels"]["healthcheck"], "web", "{alerts:?}");
    assert_eq!(alerts[0]["status"]["state"], "active", "{alerts:?}");
    let mut resolved = firing(now);
    resolved.telling = Telling::Resolved;
    resolved.members[0].ended = Some(now);
    deliver(&alertmanager, &resolved).await;
    assert!(alertmanager.alerts().await.is_empty());
}

#[tokio::test]
async fn every_refresh_puts_its_end_off_and_it_stays_one_alert() {
    let alertmanager = Alertmanager::start();
    let now = Timestamp::now();
    deliver(&alertmanager, &firing(now)).await;
    let first = alertmanager.alerts().await.remove(0);
    let mut again = firing(now);
    again.now = now + SignedDuration::from_secs(60);
    deliver(&alertmanager, &again).await;
    let alerts = alertmanager.alerts().await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(time(&alerts[0], "startsAt"), time(&first, "startsAt"));
    assert_eq!(time(&alerts[0], "endsAt").duration_since(time(&first, "endsAt")).as_secs(), 60);
    assert!(time(&first, "endsAt") > now + SignedDuration::from_secs(4 * 60), "it outlasts several lost refreshes");
}
