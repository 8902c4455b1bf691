//! A URL as it may be shown: without the values of query parameters that look like credentials. User info is taken out of
//! URLs before they get here. What is secret in a path cannot be told from what is not.

use url::Url;

/// What stands in place of a value.
const REDACTED: &str = "[redacted]";
/// Words that make a parameter's name that of a credential wherever they stand in it.
const ANYWHERE: &[&str] =
    &["token", "secret", "passw", "signature", "credential", "session", "apikey", "authoriz", "jwt", "cookie"];
/// Words that do so at the end of the name: `api_key`, `hmac-sig`, `X-Auth`.
const AT_THE_END: &[&str] = &["key", "sig", "auth", "pass", "pwd", "pin", "otp", "hmac"];

/// Whether a query parameter of this name looks like a credential.
pub fn is_confidential_parameter(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ANYWHERE.iter().any(|word| name.contains(word)) || AT_THE_END.iter().any(|word| name.ends_with(word))
}

/// The values in a URL's query that look like credentials, decoded.
pub fn confidential_parameters(url: &Url) -> Vec<String> {
    let pairs = url.query_pairs().filter(|(name, value)| !value.is_empty() && is_confidential_parameter(name));
    pairs.map(|(_, value)| value.into_owned()).collect()
}

/// The URL with those values redacted; otherwise as written.
pub fn shown_url(url: &Url) -> String {
    let Some(query) = url.query().filter(|_| !confidential_parameters(url).is_empty()) else { return url.to_string() };
    let redacted = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        // Decoded, as the server reads it: `t%6Fken` is a token, too.
        let decoded = url::form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned());
        let confidential = pair.len() > name.len() + 1 && decoded.is_some_and(|name| is_confidential_parameter(&name));
        if confidential { format!("{name}={REDACTED}") } else { pair.to_owned() }
    };
    let shown: Vec<String> = query.split('&').map(redacted).collect();
    let fragment = url.fragment().map(|fragment| format!("#{fragment}")).unwrap_or_default();
    format!("{}?{}{fragment}", &url[..url::Position::AfterPath], shown.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_look_like_credentials_are_not_shown() {
        let table = [
            ("https://a.example/?token=abc", "https://a.example/?token=[redacted]"),
            ("https://a.example/x?q=1&API_KEY=abc&b=2#f", "https://a.example/x?q=1&API_KEY=[redacted]&b=2#f"),
            ("https://a.example/?X-Amz-Signature=abc", "https://a.example/?X-Amz-Signature=[redacted]"),
            ("https://a.example/?sv=1&sig=a%2Fb", "https://a.example/?sv=1&sig=[redacted]"),
            ("https://a.example/?t%6Fken=abc", "https://a.example/?t%6Fken=[redacted]"),
            ("https://a.example/?accessToken=a=b=c", "https://a.example/?accessToken=[redacted]"),
            ("https://a.example/?user=me&password=p&", "https://a.example/?user=me&password=[redacted]&"),
        ];
        for (written, shown) in table {
            assert_eq!(shown_url(&Url::parse(written).unwrap()), shown);
        }
    }

    #[test]
    fn everything_else_is_shown_as_written() {
        for written in [
            "https://a.example/",
            "https://a.example/?q=token",
            "https://a.example/?token",
            "https://a.example/?token=",
            "https://a.example/?page=1&author=me&b=%20",
        ] {
            assert_eq!(shown_url(&Url::parse(written).unwrap()), written);
        }
    }
}
