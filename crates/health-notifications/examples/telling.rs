//! A process that tells, made to be killed: `telling DIRECTORY URL`, driven by lines on standard input.
//!
//! The first line names every check and how its first probe ended (`web fails db passes`); each further line is one more
//! result (`web passes`). It tells a webhook and keeps its ledger in the directory.
#![expect(clippy::unwrap_used, reason = "it is part of a test, and fails by panicking")]

#[path = "../tests/it/build.rs"]
#[expect(dead_code, unreachable_pub, reason = "shared with the tests, which use all of it")]
mod build;

use std::{collections::BTreeMap, io::BufRead, path::Path, sync::Arc, time::Duration};

use build::{Target, rule, rule_spec};
use health_model::{Channel, LabelSelector, Texts};
use health_notifications::{FileLedger, NotificationSettings, Notifications};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let (directory, url) = (arguments[1].as_str(), arguments[2].as_str());
    let ledger = Arc::new(FileLedger::open(Path::new(directory)).unwrap());
    let mut settings = NotificationSettings { rate_limited: false, ..Default::default() };
    settings.retrying.first = Duration::from_millis(20);
    let pipeline = Notifications::start(settings, ledger, CancellationToken::new()).unwrap();
    let mut spec = rule_spec(&[], webhook(url));
    spec.selector = Some(LabelSelector::default());
    pipeline.set_rules(vec![rule("team", spec)]);
    let mut targets = BTreeMap::new();
    for (number, line) in std::io::stdin().lock().lines().enumerate() {
        let line = line.unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        for pair in words.chunks(2) {
            let target = targets.entry(pair[0].to_owned()).or_insert_with(|| Target::new(pair[0]));
            let now = Timestamp::now();
            pipeline.observe(if pair[1] == "fails" { target.fails(now) } else { target.passes(now) });
        }
        if number == 0 {
            pipeline.synced();
        }
    }
}

fn webhook(url: &str) -> Channel {
    Channel::Webhook {
        url: url.into(),
        method: "POST".to_owned(),
        headers: Vec::new(),
        body: None,
        hmac_secret: None,
        texts: Texts::default(),
    }
}
