//! DNS messages as bytes: the question, and what of an answer may be believed.

use hickory_proto::{
    op::{Edns, Message, MessageType, Query, ResponseCode},
    rr::{DNSClass, Name, RData, Record, RecordType},
};

/// The size of UDP answers that reach everybody without fragments (DNS flag day 2020).
const UDP_PAYLOAD: u16 = 1232;
/// Answers that are looked at; a message has room for some thousands.
const MOST_ANSWERS: usize = 1000;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// Absolute.
    pub(super) name: Name,
    pub(super) kind: RecordType,
}

impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.name.to_ascii();
        let shown = if name.len() > 1 { name.trim_end_matches('.') } else { &name };
        write!(f, "{} {}", shown, self.kind)
    }
}

/// What a server answered, of what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    /// RFC 6895 section 2.3, with the upper bits of EDNS.
    pub(super) rcode: u16,
    /// Records of the type asked for, in presentation format, lower case but for TXT, without final dots.
    pub(super) records: Vec<String>,
    /// The server had more to say than fits into a datagram.
    pub(super) truncated: bool,
}

impl Answer {
    /// Whether the name has what was asked for.
    pub(super) const fn found_something(&self) -> bool {
        self.rcode == 0 && !self.records.is_empty()
    }

    /// Whether another server may know better: SERVFAIL, NOTIMP, REFUSED.
    pub(super) const fn is_refusal(&self) -> bool {
        matches!(self.rcode, 2 | 4 | 5)
    }
}

/// Why some bytes are not the answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    /// It answers another question, or none. Over UDP it may come from anybody.
    #[error("it does not answer our question: {0}")]
    Foreign(&'static str),
    /// It is no DNS message.
    #[error("it is no DNS message ({0})")]
    Broken(String),
}

/// The bytes of a question.
pub(super) fn encode(question: &Question, id: u16) -> Result<Vec<u8>, String> {
    let mut message = Message::query();
    message.metadata.id = id;
    message.metadata.recursion_desired = true;
    let mut query = Query::query(question.name.clone(), question.kind);
    query.set_query_class(DNSClass::IN);
    message.add_query(query);
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD).set_version(0);
    message.set_edns(edns);
    message.to_vec().map_err(|error| error.to_string())
}

/// Reads the answer to a question that was asked with this id.
pub(super) fn decode(bytes: &[u8], question: &Question, id: u16) -> Result<Answer, NoAnswer> {
    if bytes.get(..2).is_some_and(|first| first != id.to_be_bytes()) {
        return Err(NoAnswer::Foreign("the id is another"));
    }
    let message = Message::from_vec(bytes).map_err(|error| NoAnswer::Broken(error.to_string()))?;
    if message.metadata.message_type != MessageType::Response {
        return Err(NoAnswer::Foreign("it is a query"));
    }
    let rcode = u16::from(message.metadata.response_code);
    match message.queries.as_slice() {
        [asked] if asked.name() == &question.name && asked.query_type() == question.kind => {}
        // A server that could not read the question need not repeat it.
        [] if message.metadata.response_code != ResponseCode::NoError => {}
        [] => return Err(NoAnswer::Foreign("it repeats no question")),
        _ => return Err(NoAnswer::Foreign("it repeats another question")),
    }
    let records = (message.answers.iter())
        .filter(|record| question.kind == RecordType::ANY || record.record_type() == question.kind)
        .take(MOST_ANSWERS)
        .map(present)
        .collect();
    Ok(Answer { rcode, records, truncated: message.metadata.truncation })
}

/// A record's data in presentation format.
fn present(record: &Record) -> String {
    match &record.data {
        RData::TXT(text) => text.txt_data.iter().map(|part| String::from_utf8_lossy(part)).collect(),
        data => normalised(&data.to_string()),
    }
}

/// Lower case, and no word with a final dot but the root itself.
pub(super) fn normalised(data: &str) -> String {
    let mut text = String::with_capacity(data.len());
    for word in data.split_whitespace() {
        if !text.is_empty() {
            text.push(' ');
        }
        let bare = if word.len() > 1 { word.strip_suffix('.').unwrap_or(word) } else { word };
        text.extend(bare.chars().flat_map(char::to_lowercase));
    }
    text
}

/// The mnemonics of RFC 6895 section 2.3.
const RCODES: &[(u16, &str)] = &[
    (0, "NOERROR"),
    (1, "FORMERR"),
    (2, "SERVFAIL"),
    (3, "NXDOMAIN"),
    (4, "NOTIMP"),
    (5, "REFUSED"),
    (6, "YXDOMAIN"),
    (7, "YXRRSET"),
    (8, "NXRRSET"),
    (9, "NOTAUTH"),
    (10, "NOTZONE"),
    (16, "BADVERS"),
    (23, "BADCOOKIE"),
];

/// The mnemonic of a response code.
pub(super) fn rcode_word(code: u16) -> String {
    RCODES
        .iter()
        .find(|(known, _)| *known == code)
        .map_or_else(|| format!("RCODE{code}"), |(_, word)| (*word).to_owned())
}
