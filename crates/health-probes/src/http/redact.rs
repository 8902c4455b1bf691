//! Keeps what we sent in confidence out of what we show: a server may reflect our own credentials at us.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use health_model::{BasicCredentials, HttpAuth, HttpProbe, confidential_parameters};
use http::HeaderMap;

use crate::{failure::Failure, trace::Trace};

use super::{body::EVIDENCE, redirect::Cookies, request::is_harmless};

/// What stands in place of a secret.
const REDACTED: &str = "[redacted]";
/// What stands at the end of a text that was cut to be shown.
const CUT: &str = "…";
/// Shorter texts are no secrets anybody could keep, and redacting them would garble everything.
const SHORTEST: usize = 3;
/// A cut may leave the beginning of a secret at the end of a text; from this length on it is taken away.
const SHORTEST_REST: usize = 4;
/// Response headers kept at most.
const MOST_HEADERS: usize = 64;
/// Characters of a response header's value that are kept.
const LONGEST_VALUE: usize = 512;
/// Response headers whose values are never kept.
const SECRET_HEADERS: &[&str] = &["authorization", "authentication-info", "cookie", "set-cookie", "set-cookie2"];
/// Parts of the names of headers whose values are never kept.
const SECRET_WORDS: &[&str] =
    &["auth", "token", "secret", "password", "session", "api-key", "apikey", "signature", "credential"];

/// The texts that must not be shown.
#[derive(Default)]
pub(crate) struct Redactor(Vec<String>);

impl Redactor {
    /// These texts, in every form in which they are likely to come back.
    pub(crate) fn hiding<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redactor = Self::default();
        for secret in secrets {
            redactor.add(secret);
        }
        redactor.longest_first();
        redactor
    }

    /// The failure, and what the trace keeps of it, without any of them.
    pub(crate) fn failure(&self, failure: Failure, trace: &mut Trace) -> Failure {
        trace.redact(|line| self.text(line));
        trace.body = trace.body.take().map(|body| self.text(body));
        Failure { message: self.text(failure.message), ..failure }
    }

    /// Everything confidential that this check sends, in every form in which it is likely to come back.
    pub(super) fn of(http: &HttpProbe, token: Option<&str>, cookies: &Cookies) -> Self {
        let mut redactor = Self::default();
        for header in http.headers.iter().filter(|header| !is_harmless(&header.name)) {
            redactor.add(header.value.expose());
            // `Authorization: Bearer x` and the like: the part that matters.
            if let Some((_, credential)) = header.value.expose().split_once(' ') {
                redactor.add(credential);
            }
        }
        match &http.auth {
            None => {}
            Some(HttpAuth::Basic(own)) => redactor.add_pair(own),
            Some(HttpAuth::Bearer(token)) => redactor.add(token.expose()),
            Some(HttpAuth::OAuth2(oauth)) => {
                redactor.add(oauth.client_id.expose());
                redactor.add(oauth.client_secret.expose());
            }
        }
        if let Some(own) = http.proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref()) {
            redactor.add_pair(own);
        }
        if let Some(body) = &http.body {
            redactor.add(body.expose());
        }
        for value in confidential_parameters(&http.url) {
            redactor.add(&value);
        }
        if let Some(token) = token {
            redactor.add(token);
        }
        for value in cookies.values() {
            redactor.add(value);
        }
        redactor.longest_first();
        redactor
    }

    /// So that no secret is left half inside another.
    fn longest_first(&mut self) {
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        self.0.dedup();
    }

    fn add_pair(&mut self, own: &BasicCredentials) {
        self.add(own.username.expose());
        self.add(own.password.expose());
        self.add(&STANDARD.encode(format!("{}:{}", own.username.expose(), own.password.expose())));
    }

    fn add(&mut self, secret: &str) {
        let secret = secret.trim();
        if secret.len() < SHORTEST {
            return;
        }
        let in_json = serde_json::Value::from(secret).to_string();
        let in_json = in_json.trim_matches('"').to_owned();
        let in_url: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
        let in_path = in_url.replace('+', "%20");
        let in_html = secret.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        // As a header's name, or as a host that a redirect leads to.
        let in_lower_case = secret.to_ascii_lowercase();
        for form in [secret.to_owned(), in_lower_case, in_json, in_url, in_path, in_html, STANDARD.encode(secret)] {
            if !self.0.contains(&form) {
                self.0.push(form);
            }
        }
    }

    /// The text without any of them, nor the beginning of one where the text was cut.
    pub(crate) fn text(&self, text: String) -> String {
        let text = self.0.iter().fold(text, |text, secret| {
            if text.contains(secret.as_str()) { text.replace(secret.as_str(), REDACTED) } else { text }
        });
        if !text.contains(CUT) {
            return text;
        }
        let mut pieces: Vec<String> = text.split(CUT).map(str::to_owned).collect();
        if let Some((_whole, cut)) = pieces.split_last_mut() {
            cut.iter_mut().for_each(|piece| self.drop_rest(piece));
        }
        pieces.join(CUT)
    }

    /// The beginning of a body, for the evidence.
    pub(crate) fn body(&self, bytes: &[u8]) -> String {
        // A secret may begin before the cut and end after it: look further than what is kept.
        let longest = self.0.first().map_or(0, String::len);
        let seen = &bytes[..bytes.len().min(EVIDENCE + longest)];
        let mut text = self.text(String::from_utf8_lossy(seen).into_owned());
        let cut = bytes.len() >= EVIDENCE;
        if cut {
            text.truncate(text.floor_char_boundary(EVIDENCE));
            self.drop_rest(&mut text);
        }
        text
    }

    /// Takes the beginning of a secret from the end of a text that was cut.
    fn drop_rest(&self, text: &mut String) {
        for secret in &self.0 {
            let rest = (SHORTEST_REST..secret.len()).rev().filter(|end| secret.is_char_boundary(*end));
            for end in rest {
                if text.ends_with(&secret[..end]) {
                    text.truncate(text.len() - end);
                    text.push_str(REDACTED);
                    return;
                }
            }
        }
    }

    /// A header's name, which a peer chooses as freely as its value. Names come in lower case, whatever was sent.
    fn name(&self, name: &str) -> String {
        let reflects = self.0.iter().any(|secret| name.contains(&secret.to_ascii_lowercase()));
        if reflects { REDACTED.to_owned() } else { name.to_owned() }
    }

    /// Response headers, for the evidence.
    pub(super) fn headers(&self, headers: &HeaderMap) -> Vec<(String, String)> {
        let shown = headers.iter().take(MOST_HEADERS).map(|(name, value)| {
            let name = name.as_str();
            let value = if is_secret(name) {
                REDACTED.to_owned()
            } else {
                let mut value = self.text(String::from_utf8_lossy(value.as_bytes()).into_owned());
                if value.len() > LONGEST_VALUE {
                    value.truncate(value.floor_char_boundary(LONGEST_VALUE));
                    self.drop_rest(&mut value);
                }
                value
            };
            (self.name(name), value)
        });
        shown.collect()
    }
}

fn is_secret(name: &str) -> bool {
    SECRET_HEADERS.contains(&name) || SECRET_WORDS.iter().any(|word| name.contains(word))
}
