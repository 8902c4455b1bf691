//! The scripts that run the tests: what their last line says, and that failures cannot hide behind it.
//! Must not run the tests of the project: it is one of them.

use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::project;

/// The last line that `ci/count` makes of cargo's output and exit status, and whether it ended well.
fn count(status: &str, output: &str) -> (String, bool) {
    let mut child = Command::new(project::root().join("ci/count"))
        .arg(status)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(output.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    (said.lines().last().unwrap_or_default().to_owned(), output.status.success())
}

fn result(outcome: &str, passed: u32, failed: u32, ignored: u32) -> String {
    format!("test result: {outcome}. {passed} passed; {failed} failed; {ignored} ignored; 0 measured; 0 filtered out\n")
}

#[test]
fn the_last_line_adds_up_all_test_binaries() {
    let output =
        ["noise\n".to_owned(), result("ok", 12, 0, 1), "12 passed; by the way\n".to_owned(), result("ok", 3, 0, 0)];
    assert_eq!(count("0", &output.concat()), ("15 passed, 0 failed, 1 skipped".to_owned(), true));
}

#[test]
fn a_failed_test_fails_the_run() {
    let output = [result("ok", 12, 0, 0), result("FAILED", 3, 2, 0)].concat();
    assert_eq!(count("101", &output), ("15 passed, 2 failed, 0 skipped".to_owned(), false));
}

#[test]
fn a_crashed_test_binary_fails_the_run_although_it_reports_nothing() {
    let output = [result("ok", 12, 0, 0), "error: test failed (signal: 11, SIGSEGV)\n".to_owned()].concat();
    assert_eq!(count("101", &output), ("12 passed, 1 failed, 0 skipped".to_owned(), false));
}

#[test]
fn a_run_without_any_test_is_a_failed_run() {
    assert_eq!(count("0", "Finished\n"), ("0 passed, 1 failed, 0 skipped".to_owned(), false));
    assert_eq!(count("0", &result("ok", 0, 0, 0)), ("0 passed, 1 failed, 0 skipped".to_owned(), false));
}
