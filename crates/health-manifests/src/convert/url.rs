//! Addresses: their scheme, their host, and the user info that is taken out of them.

use health_model::{BasicCredentials, Sensitive};
use url::Url;

use super::Conversion;
use crate::path::FieldPath;

impl Conversion<'_> {
    /// Reads an address with one of these schemes and takes the user info out of it.
    pub(crate) fn url(
        &mut self,
        path: &FieldPath<'_>,
        text: &str,
        schemes: &[&str],
    ) -> Option<(Url, Option<BasicCredentials>)> {
        let shown = without_user_info(text);
        let wanted = format!("write one like {}://example.org/path", schemes.last().copied().unwrap_or("https"));
        let mut url = match Url::parse(text) {
            Ok(url) => url,
            Err(error) => {
                self.fault_showing(path, shown, (format!("is no address ({error})"), wanted));
                return None;
            }
        };
        if !schemes.contains(&url.scheme()) {
            let message = format!("is no {} address", schemes.join(" or "));
            self.fault_showing(path, shown, (message, wanted));
            return None;
        }
        if url.host_str().is_none_or(str::is_empty) || url.port() == Some(0) {
            self.fault_showing(path, shown, ("names no host or port that can be asked", wanted));
            return None;
        }
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
