//! `Retry-After` (RFC 9110 section 10.2.3): seconds, or a date. What is done about it is the model's business.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, header};
use jiff::Timestamp;

/// How long the peer asks us to stay away; `None` when it does not say, or says it unreadably. A date in the past is zero.
pub(crate) fn read(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than fit are a very long time.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::from(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::seconds("120", Some(120))]
    #[case::zero("0", Some(0))]
    #[case::beyond_all("99999999999999999999999", Some(u64::MAX))]
    #[case::date("Wed, 21 Oct 2015 07:28:30 GMT", Some(30))]
    #[case::past("Wed, 21 Oct 2015 07:27:00 GMT", Some(0))]
    #[case::negative("-5", None)]
    #[case::words("soon", None)]
    #[case::nothing("", None)]
    fn seconds_and_dates_are_read(#[case] value: &str, #[case] seconds: Option<u64>) {
        let headers = HeaderMap::from_iter([(header::RETRY_AFTER, value.parse().unwrap())]);
        let now = "2015-10-21T07:28:00Z".parse().unwrap();
        assert_eq!(read(&headers, now), seconds.map(Duration::from_secs));
    }

    #[test]
    fn nothing_said_is_nothing_known() {
        assert_eq!(read(&HeaderMap::new(), Timestamp::UNIX_EPOCH), None);
    }
}
