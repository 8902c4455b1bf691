//! Addresses: their scheme, their host, and the user info that is taken out of them.

use health_model::{BasicCredentials, Sensitive};
use url::Url;

use super::Conversion;
use crate::path::FieldPath;

/// An address that a field accepts.
#[derive(Clone, Copy)]
pub(crate) struct UrlShape {
    /// The schemes, lower case.
    schemes: [&'static str; 2],
    /// One that would do.
    example: &'static str,
}

impl UrlShape {
    /// What an HTTP probe asks.
    pub(crate) const HTTP: Self = Self { schemes: ["http", "https"], example: "https://example.org/health" };
    /// A page or an endpoint.
    pub(crate) const PAGE: Self = Self { schemes: ["http", "https"], example: "https://example.org/path" };
    /// An HTTP proxy.
    pub(crate) const PROXY: Self = Self { schemes: ["http", "https"], example: "http://proxy.example.org:3128" };
    /// A WebSocket.
    pub(crate) const WEBSOCKET: Self = Self { schemes: ["ws", "wss"], example: "wss://example.org/path" };

    /// Whether a text begins with one of the schemes and a host.
    fn fits(self, text: &str) -> bool {
        let Some((scheme, rest)) = text.split_once("://") else { return false };
        let known = self.schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known));
        known && !rest.is_empty() && !rest.starts_with('/')
    }

    fn remedy(self) -> String {
        format!("write one like {}", self.example)
    }
}

impl Conversion<'_> {
    /// Reads an address and takes the user info out of it.
    pub(crate) fn url(
        &mut self,
        path: &FieldPath<'_>,
        text: &str,
        shape: UrlShape,
    ) -> Option<(Url, Option<BasicCredentials>)> {
        let shown = format!("{:?}", without_user_info(text));
        if !shape.fits(text) {
            let message = format!("is no {} address", shape.schemes.join(" or "));
            self.fault_showing(path, shown, (message, shape.remedy()));
            return None;
        }
        let mut url = match Url::parse(text) {
            Ok(url) if url.host_str().is_some_and(|host| !host.is_empty()) && url.port() != Some(0) => url,
            Ok(_) => {
                self.fault_showing(path, shown, ("names no host or port that can be asked", shape.remedy()));
                return None;
            }
            Err(error) => {
                self.fault_showing(path, shown, (format!("is no address ({error})"), shape.remedy()));
                return None;
            }
        };
        let credentials = user_info(&url);
        let _ = url.set_password(None).and_then(|()| url.set_username(""));
        Some((url, credentials))
    }
}

fn user_info(url: &Url) -> Option<BasicCredentials> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| Sensitive::new(percent_decoded(text));
    Some(BasicCredentials { username: decoded(url.username()), password: decoded(url.password().unwrap_or_default()) })
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let digit = |index: usize| bytes.get(index).and_then(|byte| char::from(*byte).to_digit(16));
    let (mut decoded, mut index) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(index) {
        match (byte, digit(index + 1), digit(index + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high * 16 + low).unwrap_or(b'%'));
                index += 3;
            }
            _ => {
                decoded.push(*byte);
                index += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

/// The text with everything between scheme and `@` left out, and without its query, for people.
pub(crate) fn without_user_info(text: &str) -> String {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}{}", &text[..scheme + 3], &text[at + 1..]),
        (None, Some(at)) => text[at + 1..].to_owned(),
        _ => text.to_owned(),
    }
}
