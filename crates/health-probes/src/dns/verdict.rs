//! Whether an answer is the expected one.

use std::{fmt::Write as _, net::SocketAddr};

use health_model::{DnsProbe, Reason};
use hickory_proto::rr::RecordType;

use super::message::{Answer, Question, normalised, rcode_word};
use crate::{dialogue::shown, failure::Failure};

/// Answers that the response names.
const NAMED: usize = 10;
/// The rcode that promises answers.
const NO_ERROR: &str = "NOERROR";

/// Judges an answer of `server`; the text lists what came.
pub(super) fn judge(
    dns: &DnsProbe,
    question: &Question,
    answer: &Answer,
    server: SocketAddr,
) -> Result<String, Failure> {
    let said = rcode_word(answer.rcode);
    let came = listed(&answer.records);
    let unexpected =
        |what: String| Failure::new(Reason::UnexpectedAnswer, format!("{said} for {question} from {server}: {what}"));
    if said != dns.expected_rcode {
        return Err(unexpected(format!("expected {}", dns.expected_rcode)));
    }
    if said == NO_ERROR && answer.records.is_empty() {
        return Err(unexpected("but no such record".to_owned()));
    }
    for expected in &dns.expected_answers {
        let wanted = expectation(expected, question.kind);
        if !answer.records.iter().any(|record| normalised(record) == wanted) {
            return Err(unexpected(format!("expected the answer {expected:?}, came {came}")));
        }
    }
    if let Some(expression) = &dns.answer_expression {
        // TXT keeps its case, and yet is found by an expression written in lower case.
        let matches = |record: &String| {
            expression.is_match(record.as_bytes()) || expression.is_match(normalised(record).as_bytes())
        };
        if !answer.records.iter().any(matches) {
            return Err(unexpected(format!("expected an answer that matches {expression:?}, came {came}")));
        }
    }
    Ok(if answer.records.is_empty() { said } else { format!("{said}: {came}") })
}

/// An expected answer as answers are presented, however it was written.
fn expectation(written: &str, kind: RecordType) -> String {
    let written = written.trim();
    match kind {
        RecordType::AAAA => {
            written.parse::<std::net::Ipv6Addr>().map_or_else(|_| normalised(written), |a| a.to_string())
        }
        RecordType::TXT => {
            let bare = written.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(written);
            normalised(&bare.replace("\" \"", ""))
        }
        _ => normalised(written),
    }
}

/// The first few answers, each cut to a readable length.
fn listed(records: &[String]) -> String {
    if records.is_empty() {
        return "none".to_owned();
    }
    let mut text = String::new();
    for (at, record) in records.iter().take(NAMED).enumerate() {
        let separator = if at == 0 { "" } else { ", " };
        let _ = write!(text, "{separator}{}", shown(record.as_bytes()).replace(char::is_control, " "));
    }
    if records.len() > NAMED {
        let _ = write!(text, " and {} more", records.len() - NAMED);
    }
    text
}
