//! Render: a rule's template and a message become the words that people read. Pure.
//!
//! `%variable%` is replaced; an unknown one is left as it stands. What goes into a template that is JSON is escaped for
//! JSON, so that no response can break or forge a payload; where words can call people, those of a target are disarmed. A
//! group renders the template once.

use health_model::Texts;
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::{
    debt::Telling,
    message::{Member, Message},
};

/// `message`, when the rule has none.
const DEFAULT_MESSAGE: &str = "*%check%* is failing: %response% (since %failing_since%)";
/// `resolveMessage`, when the rule has none.
const DEFAULT_RESOLVE: &str = "*%check%* has recovered after %duration%";
/// Said of a check that is no longer watched, when the rule has no `resolveMessage`.
const DEFAULT_UNWATCHED: &str = "*%check%* is no longer watched (it was failing since %failing_since%)";
/// Names that are written out; of the others only the number is told.
const NAMES: usize = 10;
/// What a variable says that is not the same for all checks of a message.
const SEVERAL: &str = "several";

/// A message in words.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Rendered {
    /// The words; of a template that is JSON, what it became.
    pub(crate) plain: String,
    /// The payload, where the template is JSON.
    pub(crate) json: Option<Value>,
    /// What had to be said and found no place in the payload.
    pub(crate) note: Option<String>,
}

/// Renders the template that fits the message.
pub(crate) fn render(texts: &Texts, message: &Message) -> Rendered {
    render_disarmed(texts, message, str::to_owned)
}

/// Renders the template that fits the message; what comes from outside the template goes through `disarm` first.
pub(crate) fn render_disarmed(texts: &Texts, message: &Message, disarm: fn(&str) -> String) -> Rendered {
    let own = if message.telling.is_firing() { &texts.message } else { &texts.resolve_message };
    let Some(template) = own.as_deref() else {
        let words = default_words(message, disarm);
        let note = note(None, message).map(|note| disarm(&note));
        return Rendered { plain: with_note(&words, note), json: None, note: None };
    };
    let note = note(Some(template), message).map(|note| disarm(&note));
    let looks_like_json = template.trim_start().starts_with(['{', '[']);
    let json = looks_like_json
        .then(|| expand(template, message, |value| escaped(&disarm(value))))
        .and_then(|text| serde_json::from_str(&text).ok());
    let Some(mut json) = json else {
        let plain = expand(template, message, disarm);
        return Rendered { plain: with_note(&plain, note), json: None, note: None };
    };
    let note = note.filter(|note| !append_to_text(&mut json, note));
    Rendered { plain: json.to_string(), json: Some(json), note }
}

fn with_note(words: &str, note: Option<String>) -> String {
    note.map_or_else(|| words.trim_end().to_owned(), |note| format!("{} {note}", words.trim_end()))
}

/// What is said when the rule has no words of its own.
fn default_words(message: &Message, disarm: fn(&str) -> String) -> String {
    if message.members.len() > 1 {
        return disarm(&of_several(message));
    }
    let template = match message.telling {
        Telling::Firing | Telling::Flapping => DEFAULT_MESSAGE,
        Telling::Summary | Telling::Resolved => DEFAULT_RESOLVE,
        Telling::Unwatched => DEFAULT_UNWATCHED,
    };
    expand(template, message, disarm)
}

/// The same of several checks: what they do not have in common is left out, or told as a range.
fn of_several(message: &Message) -> String {
    let names = names(&message.members);
    match message.telling {
        Telling::Firing | Telling::Flapping => {
            let response = same(&message.members, |member| Some(response(member, message)));
            let why = response.map(|response| format!(": {response}")).unwrap_or_default();
            format!("*{names}* are failing{why} ({})", since(message))
        }
        Telling::Summary | Telling::Resolved => {
            let spans = message.members.iter().map(|member| (member.ended.unwrap_or(message.now), member.since));
            let mut spans: Vec<SignedDuration> = spans.map(|(end, start)| end.duration_since(start)).collect();
            spans.sort_unstable();
            let (shortest, longest) = (spans.first().copied(), spans.last().copied());
            let (shortest, longest) = (in_words(shortest.unwrap_or_default()), in_words(longest.unwrap_or_default()));
            let after = if shortest == longest { shortest } else { format!("{shortest} to {longest}") };
            format!("*{names}* have recovered after {after}")
        }
        Telling::Unwatched => format!("*{names}* are no longer watched (they were failing {})", since(message)),
    }
}

/// What the words do not say by themselves: the number, the common cause, and what is particular about this message.
/// `template`: the rule's own, if it has one.
fn note(template: Option<&str>, message: &Message) -> Option<String> {
    let mut parts = Vec::new();
    let count = message.members.len();
    if count > 1 {
        let said = template.is_some_and(|template| template.contains("%count%"));
        let number = (!said).then(|| format!("{count} checks"));
        parts.extend(number.into_iter().chain(common_cause(message)));
    }
    match message.telling {
        Telling::Flapping => parts.push(flapping(message)),
        Telling::Summary => parts.push(was_failing(message)),
        Telling::Unwatched if template.is_some() => parts.push("no longer watched".to_owned()),
        Telling::Firing | Telling::Resolved | Telling::Unwatched => {}
    }
    if message.test {
        parts.push("this is a test".to_owned());
    }
    (!parts.is_empty()).then(|| format!("({})", parts.join("; ")))
}

/// `since …`, of several checks perhaps `the first since …`.
fn since(message: &Message) -> String {
    let first = message.members.iter().map(|member| member.since).min().unwrap_or(message.now);
    match same(&message.members, |member| Some(instant(member.since))) {
        Some(since) => format!("since {since}"),
        None => format!("the first since {}", instant(first)),
    }
}

fn was_failing(message: &Message) -> String {
    let subject = if message.members.len() > 1 { "they were" } else { "it was" };
    let response = same(&message.members, |member| Some(member.response.clone()));
    let why = response.map(|response| format!(": {response}")).unwrap_or_default();
    format!("{subject} failing {}{why}", since(message))
}

fn flapping(message: &Message) -> String {
    let most = message.members.iter().filter_map(|member| member.turns).max();
    let (turns, window) = most.unwrap_or_default();
    format!("flapping, {turns} changes in {} min", window.as_secs().div_ceil(60))
}

/// Same reason, same host or same address: then it is worth saying.
fn common_cause(message: &Message) -> Option<String> {
    if !message.telling.is_firing() {
        return None;
    }
    let reason = same(&message.members, |member| Some(member.reason.as_str().to_owned()));
    let host = same(&message.members, host).or_else(|| same(&message.members, address));
    match (reason, host) {
        (Some(reason), Some(host)) => Some(format!("all {reason} at {host}")),
        (Some(reason), None) => Some(format!("all {reason}")),
        (None, Some(host)) => Some(format!("all at {host}")),
        (None, None) => None,
    }
}

fn host(member: &Member) -> Option<String> {
    member.snapshot.as_ref()?.definition.spec.as_ref().ok()?.probe.host_key()
}

fn address(member: &Member) -> Option<String> {
    let outcome = member.snapshot.as_ref()?.standing.last_outcome.as_ref()?;
    outcome.remote_address.map(|address| address.ip().to_string())
}

fn same(members: &[Member], value: impl Fn(&Member) -> Option<String>) -> Option<String> {
    let first = value(members.first()?)?;
    members.iter().all(|member| value(member).as_ref() == Some(&first)).then_some(first)
}

fn common(members: &[Member], value: impl Fn(&Member) -> String) -> String {
    same(members, |member| Some(value(member))).unwrap_or_else(|| SEVERAL.to_owned())
}

/// Puts a note behind the first text of a payload.
fn append_to_text(payload: &mut Value, note: &str) -> bool {
    match payload {
        Value::Object(fields) => {
            if let Some(Value::String(text)) = fields.get_mut("text") {
                text.push(' ');
                text.push_str(note);
                return true;
            }
            fields.values_mut().any(|value| append_to_text(value, note))
        }
        Value::Array(values) => values.iter_mut().any(|value| append_to_text(value, note)),
        _ => false,
    }
}

fn escaped(text: &str) -> String {
    let quoted = Value::from(text).to_string();
    quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()
}

/// Replaces every `%variable%` that there is.
fn expand(template: &str, message: &Message, escape: impl Fn(&str) -> String) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find('%') {
        let (before, tail) = rest.split_at(start);
        text.push_str(before);
        let word = tail.get(1..).unwrap_or_default();
        let value = word.find('%').and_then(|end| Some((end, variable(word.get(..end)?, message)?)));
        match value {
            Some((end, value)) => {
                text.push_str(&escape(&value));
                rest = word.get(end + 1..).unwrap_or_default();
            }
            None => {
                text.push('%');
                rest = word;
            }
        }
    }
    text.push_str(rest);
    text
}

/// The value of a variable; `None`: there is no such variable.
pub(crate) fn variable(name: &str, message: &Message) -> Option<String> {
    let of_all = |value: fn(&Member, &Message) -> String| common(&message.members, |member| value(member, message));
    Some(match name {
        "check" => names(&message.members),
        "count" => message.members.len().to_string(),
        "status" => message.telling.status().to_owned(),
        "triggerTime" => instant(message.now),
        "namespace" => of_all(|member, _| member.check.namespace().to_owned()),
        "target" => of_all(|member, _| target(member)),
        "response" => of_all(response),
        "reason" => of_all(reason),
        "response_time" => of_all(|member, _| response_time(member)),
        "response_code" => of_all(|member, _| response_code(member)),
        "search_type" => of_all(|member, _| search(member).map(|(kind, _)| kind.to_owned()).unwrap_or_default()),
        "search_used" => of_all(|member, _| search(member).map(|(_, used)| used).unwrap_or_default()),
        "failing_since" => of_all(|member, _| instant(member.since)),
        "duration" => {
            of_all(|member, message| in_words(member.ended.unwrap_or(message.now).duration_since(member.since)))
        }
        "runbook" => of_all(|member, _| runbook(member)),
        _ => return None,
    })
}

/// The first names, and how many more.
fn names(members: &[Member]) -> String {
    let shown: Vec<&str> = members.iter().take(NAMES).map(|member| member.check.name()).collect();
    let more = members.len().saturating_sub(NAMES);
    if more == 0 { shown.join(", ") } else { format!("{} and {more} more", shown.join(", ")) }
}

/// RFC 3339, whole seconds, UTC.
pub(crate) fn instant(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A span in words: `4m 10s`, `2h 5m`, `3d 1h`.
fn in_words(span: SignedDuration) -> String {
    let seconds = u64::try_from(span.as_secs()).unwrap_or_default();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m {}s", seconds % 60),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// What is asked, as far as known.
pub(crate) fn target(member: &Member) -> String {
    let spec = member.snapshot.as_ref().and_then(|check| check.definition.spec.as_ref().ok());
    spec.map_or_else(|| member.target.clone(), |spec| spec.probe.target())
}

/// While it fails, what it failed with; afterwards, what it says now.
pub(crate) fn response(member: &Member, message: &Message) -> String {
    let now = member.snapshot.as_ref().map(|check| &check.standing);
    let resolved = message.telling == Telling::Resolved;
    match now.filter(|standing| resolved || standing.reason == member.reason) {
        Some(standing) => standing.response.clone(),
        None => member.response.clone(),
    }
}

/// While it fails, why; afterwards, the reason of the last word.
pub(crate) fn reason(member: &Member, message: &Message) -> String {
    let now = member.snapshot.as_ref().filter(|_| message.telling == Telling::Resolved);
    now.map_or(member.reason, |check| check.standing.reason).as_str().to_owned()
}

fn response_time(member: &Member) -> String {
    let outcome = member.snapshot.as_ref().and_then(|check| check.standing.last_outcome.as_ref());
    let measured = outcome.and_then(|outcome| outcome.measured());
    measured.map(|span| format!("{}ms", span.as_millis())).unwrap_or_default()
}

fn response_code(member: &Member) -> String {
    let outcome = member.snapshot.as_ref().and_then(|check| check.standing.last_outcome.as_ref());
    outcome.and_then(|outcome| outcome.status_code).map(|code| code.to_string()).unwrap_or_default()
}

fn search(member: &Member) -> Option<(&'static str, String)> {
    let spec = member.snapshot.as_ref()?.definition.spec.as_ref().ok()?;
    let search = spec.probe.search()?;
    Some((search.type_word(), search.used().to_owned()))
}

/// `runbookUrl`, or nothing.
pub(crate) fn runbook(member: &Member) -> String {
    let spec = member.snapshot.as_ref().and_then(|check| check.definition.spec.as_ref().ok());
    spec.and_then(|spec| spec.runbook_url.clone()).unwrap_or_default()
}
