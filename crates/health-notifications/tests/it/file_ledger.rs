//! The ledger on disk: whatever is found there, what was written whole is read again.

use std::{fs, path::Path, sync::Arc};

use health_model::{ChannelKind, CheckId, Reason, RuleId};
use health_notifications::{DestinationKey, Entry, FileLedger, LedgerChange, LedgerKey, LedgerStore};
use serde_json::json;

use crate::build::at;

fn change(check: &str, since: i64) -> LedgerChange {
    let destination = DestinationKey { channel: ChannelKind::Slack, label: Arc::from("url") };
    let key = LedgerKey { rule: RuleId::new("default", "team"), destination, check: CheckId::new("default", check) };
    let entry = json!({"since": at(since), "phase": "Told", "reason": Reason::ConnectionRefused});
    LedgerChange { key, entry: serde_json::from_value(entry).unwrap() }
}

fn gone(check: &str) -> LedgerChange {
    LedgerChange { entry: None, ..change(check, 0) }
}

/// What a process that starts now would read: checks and since when they fail, in seconds.
async fn kept(directory: &Path) -> Vec<(String, i64)> {
    let entries: Vec<(LedgerKey, Entry)> = FileLedger::open(directory).unwrap().load().await.unwrap();
    let seconds = |entry: &Entry| entry.since.duration_since(at(0)).as_secs();
    entries.iter().map(|(key, entry)| (key.check.name().to_owned(), seconds(entry))).collect()
}

fn expected(of: &[(&str, i64)]) -> Vec<(String, i64)> {
    of.iter().map(|(name, since)| ((*name).to_owned(), *since)).collect()
}

#[tokio::test]
async fn the_newest_of_each_key_is_kept_and_what_was_forgotten_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let ledger = FileLedger::open(home.path()).unwrap();
    ledger.write(&[change("api", 1), change("db", 2), change("web", 3)]).await.unwrap();
    ledger.write(&[change("api", 10), gone("db")]).await.unwrap();
    assert_eq!(kept(home.path()).await, expected(&[("api", 10), ("web", 3)]));
}

#[tokio::test]
async fn a_torn_last_line_is_dropped_and_the_next_write_is_whole() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("told.jsonl");
    FileLedger::open(home.path()).unwrap().write(&[change("api", 1), change("web", 2)]).await.unwrap();
    let whole = fs::read(&file).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    // Torn at every byte of the second line, its line break included.
    for length in first..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        assert_eq!(kept(home.path()).await, expected(&[("api", 1)]), "torn at {length}");
        FileLedger::open(home.path()).unwrap().write(&[change("db", 3)]).await.unwrap();
        assert_eq!(kept(home.path()).await, expected(&[("api", 1), ("db", 3)]), "torn at {length}");
    }
}

#[tokio::test]
async fn a_line_that_nobody_understands_costs_only_itself() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("told.jsonl");
    FileLedger::open(home.path()).unwrap().write(&[change("api", 1), change("web", 2)]).await.unwrap();
    let text = fs::read_to_string(&file).unwrap();
    let (first, second) = text.split_once('\n').unwrap();
    fs::write(&file, format!("{first}\n{{\"from\": \"another version\"}}\n\u{1}\u{2}\n{second}")).unwrap();
    assert_eq!(kept(home.path()).await, expected(&[("api", 1), ("web", 2)]));
}

#[tokio::test]
async fn the_file_is_rewritten_before_it_outgrows_what_it_holds() {
    let home = tempfile::tempdir().unwrap();
    let ledger = FileLedger::open(home.path()).unwrap();
    let lines = || fs::read_to_string(home.path().join("told.jsonl")).unwrap().lines().count();
    let mut most = 0;
    for batch in 0..60 {
        let changes: Vec<LedgerChange> = (0..100).map(|turn| change("web", batch * 100 + turn)).collect();
        ledger.write(&changes).await.unwrap();
        most = most.max(lines());
    }
    assert!(most <= 4200, "{most} lines for one entry");
    assert!(lines() < most, "it was rewritten");
    assert_eq!(kept(home.path()).await, expected(&[("web", 5999)]));
    // What a crash in the middle of a rewrite leaves behind is nobody's.
    fs::write(home.path().join("told.jsonl.new"), "half a li").unwrap();
    assert_eq!(kept(home.path()).await, expected(&[("web", 5999)]));
}

#[test]
fn where_nothing_can_be_kept_the_error_names_the_file() {
    let home = tempfile::tempdir().unwrap();
    let a_file = home.path().join("file");
    fs::write(&a_file, "").unwrap();
    fs::create_dir_all(home.path().join("folder/told.jsonl")).unwrap();
    // Nobody may write into /proc, not even root.
    for directory in [a_file.as_path(), &home.path().join("folder"), Path::new("/proc")] {
        let error = FileLedger::open(directory).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{}/told.jsonl: ", directory.display())), "{error}");
    }
}
