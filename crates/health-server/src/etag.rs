//! Entity tags: what a client already has need not be sent again (RFC 9110 sections 8.8.3 and 13.1.2).
//!
//! Tags are weak, because the same content goes out under several content encodings. They are made from content, never
//! from a clock, so they survive restarts and change exactly when an answer does.

use std::hash::Hasher;

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use siphasher::sip::SipHasher13;

/// A weak entity tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntityTag(HeaderValue);

/// The content's fingerprint.
pub(crate) fn fingerprint(content: &[u8]) -> u64 {
    let mut hasher = SipHasher13::new();
    hasher.write(content);
    hasher.finish()
}

impl EntityTag {
    /// The tag of a content by its fingerprint.
    pub(crate) fn from_fingerprint(fingerprint: u64) -> Self {
        let text = format!("W/\"{fingerprint:016x}\"");
        Self(HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("W/\"0\"")))
    }

    /// Whether `If-None-Match` (one or several header lines, lists, `*`) names this tag; compared weakly.
    pub(crate) fn is_known_to(&self, headers: &HeaderMap) -> bool {
        let own = opaque(self.0.to_str().unwrap_or_default());
        headers
            .get_all(header::IF_NONE_MATCH)
            .iter()
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','))
            .map(str::trim)
            .any(|candidate| candidate == "*" || opaque(candidate) == own)
    }

    /// Answers with a JSON body, or with 304 when the client has it already.
    pub(crate) fn answer(&self, headers: &HeaderMap, body: axum::body::Bytes) -> Response {
        let tag = (header::ETAG, self.0.clone());
        if self.is_known_to(headers) {
            return (StatusCode::NOT_MODIFIED, [tag]).into_response();
        }
        let json = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ([tag, json], body).into_response()
    }
}

/// The quoted part of a tag: weak comparison ignores the prefix.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(lines: &[&'static str]) -> HeaderMap {
        lines.iter().map(|line| (header::IF_NONE_MATCH, HeaderValue::from_static(line))).collect()
    }

    #[test]
    fn a_tag_is_recognised_weak_strong_in_lists_and_by_a_star() {
        let tag = EntityTag::from_fingerprint(0xabc);
        for known in [
            &["W/\"0000000000000abc\""][..],
            &["\"0000000000000abc\""],
            &["\"x\", W/\"0000000000000abc\""],
            &["\"x\"", "\"0000000000000abc\""],
            &["*"],
        ] {
            assert!(tag.is_known_to(&asked(known)), "{known:?}");
        }
        for unknown in [&[][..], &["\"x\""], &["0000000000000abc"], &["W/\"0000000000000ab\""]] {
            assert!(!tag.is_known_to(&asked(unknown)), "{unknown:?}");
        }
    }

    #[test]
    fn different_content_has_different_tags() {
        assert_ne!(fingerprint(b"{}"), fingerprint(b"{ }"));
        assert_ne!(EntityTag::from_fingerprint(1), EntityTag::from_fingerprint(2));
    }
}
