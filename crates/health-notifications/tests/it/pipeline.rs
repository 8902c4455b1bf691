//! The whole pipeline against a real provider on the loopback.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use health_notifications::{
    Entry, FileLedger, LedgerChange, LedgerError, LedgerFuture, LedgerKey, LedgerStore, MemoryLedger,
    NotificationSettings, Notifications,
};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::{
    build::{Target, rule, rule_spec, slack},
    provider::{Answer, Provider},
};

fn quick() -> NotificationSettings {
    let mut settings = NotificationSettings { rate_limited: false, ..Default::default() };
    settings.retrying.first = Duration::from_millis(20);
    settings
}

fn start(ledger: Arc<dyn LedgerStore>) -> (Notifications, CancellationToken) {
    let shutdown = CancellationToken::new();
    (Notifications::start(quick(), ledger, shutdown.clone()).unwrap(), shutdown)
}

fn text(request: &crate::provider::Received) -> String {
    request.json()["text"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_failure_is_told_and_its_end_too() {
    let provider = Provider::start().await;
    let (pipeline, _stop) = start(Arc::new(MemoryLedger::default()));
    let mut web = Target::new("web");
    pipeline.set_rules(vec![rule("team", rule_spec(&["web"], slack(&provider.url)))]);
    pipeline.observe(web.fails(Timestamp::now()));
    pipeline.synced();
    let told = provider.wait_for(1).await;
    assert!(text(&told[0]).starts_with("*web* is failing: connection refused (since "), "{}", text(&told[0]));
    pipeline.observe(web.passes(Timestamp::now()));
    let told = provider.wait_for(2).await;
    assert!(text(&told[1]).starts_with("*web* has recovered after "), "{}", text(&told[1]));
}

#[tokio::test]
async fn a_message_is_offered_again_until_it_is_accepted() {
    let provider = Provider::start().await;
    provider.script([Answer::Says("503 Service Unavailable", Vec::new()), Answer::Resets]);
    let ledger = Arc::new(MemoryLedger::default());
    let (pipeline, _stop) = start(ledger.clone());
    let mut web = Target::new("web");
    pipeline.set_rules(vec![rule("team", rule_spec(&["web"], slack(&provider.url)))]);
    pipeline.observe(web.fails(Timestamp::now()));
    pipeline.synced();
    provider.wait_for(3).await;
    let mut changes = pipeline.changes();
    while pipeline.metrics().not_delivering.len() == 1 {
        changes.changed().await.unwrap();
    }
    let delivered = pipeline.metrics().delivered[&health_model::ChannelKind::Slack];
    assert_eq!((delivered.accepted, delivered.retried, delivered.rejected), (1, 2, 0));
}

#[tokio::test]
async fn a_restart_tells_nothing_again_and_closes_what_was_opened() {
    let provider = Provider::start().await;
    let directory = tempfile::tempdir().unwrap();
    let rules = || vec![rule("team", rule_spec(&["web"], slack(&provider.url)))];
    let mut web = Target::new("web");
    let (pipeline, stop) = start(Arc::new(FileLedger::open(directory.path()).unwrap()));
    pipeline.set_rules(rules());
    pipeline.observe(web.fails(Timestamp::now()));
    pipeline.synced();
    provider.wait_for(1).await;
    stop.cancel();
    pipeline.stopped().await;

    let (pipeline, _stop) = start(Arc::new(FileLedger::open(directory.path()).unwrap()));
    pipeline.set_rules(rules());
    web.standing = web.standing.clone().restore();
    pipeline.observe(web.seen());
    pipeline.synced();
    pipeline.observe(web.fails(Timestamp::now()));
    pipeline.observe(web.passes(Timestamp::now()));
    let told = provider.wait_for(2).await;
    assert!(text(&told[1]).contains("has recovered"), "{}", text(&told[1]));
    assert_eq!(told.len(), 2);
}

/// A ledger that cannot be written until it is mended.
#[derive(Debug, Default)]
struct Broken {
    memory: MemoryLedger,
    mended: AtomicBool,
}

impl LedgerStore for Broken {
    fn load(&self) -> LedgerFuture<'_, Vec<(LedgerKey, Entry)>> {
        self.memory.load()
    }

    fn write<'a>(&'a self, changes: &'a [LedgerChange]) -> LedgerFuture<'a, ()> {
        if self.mended.load(Ordering::Relaxed) {
            return self.memory.write(changes);
        }
        Box::pin(async { Err(LedgerError::Unavailable("the disk is full".to_owned())) })
    }
}

#[tokio::test]
async fn a_ledger_that_cannot_be_written_holds_nothing_up_and_is_written_when_it_can() {
    let provider = Provider::start().await;
    let ledger = Arc::new(Broken::default());
    let (pipeline, _stop) = start(ledger.clone());
    let mut web = Target::new("web");
    pipeline.set_rules(vec![rule("team", rule_spec(&["web"], slack(&provider.url)))]);
    pipeline.observe(web.fails(Timestamp::now()));
    pipeline.synced();
    provider.wait_for(1).await;
    let told = |pipeline: &Notifications| pipeline.metrics().delivered.values().any(|sent| sent.accepted == 1);
    let mut changes = pipeline.changes();
    while !told(&pipeline) {
        changes.changed().await.unwrap();
    }
    let metrics = pipeline.metrics();
    assert!(metrics.ledger_failures >= 1 && metrics.ledger_unwritten == 1, "{metrics:?}");
    assert!(ledger.memory.entries().is_empty());
    ledger.mended.store(true, Ordering::Relaxed);
    let patience = tokio::time::Instant::now() + Duration::from_secs(60);
    while ledger.memory.entries().is_empty() {
        assert!(tokio::time::Instant::now() < patience, "it was never written");
        tokio::task::yield_now().await;
    }
    assert_eq!(ledger.memory.entries().values().next().unwrap().times, 1, "as it stands now");
}
