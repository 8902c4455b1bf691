//! Where a redirect leads and what may be taken along. Pure: nothing is sent here.

use health_model::{HttpProbe, Reason};
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{LOCATION, SET_COOKIE},
};
use url::Url;

use crate::failure::Failure;

/// Cookies carried from hop to hop at most.
const MOST_COOKIES: usize = 50;
/// Longest cookie that is carried, in bytes.
const LONGEST_COOKIE: usize = 4096;

/// One request on the way.
#[derive(Clone, Debug)]
pub(super) struct Hop {
    /// Where it goes.
    pub(super) url: Url,
    /// How.
    pub(super) method: Method,
    /// Whether the check's body goes along.
    pub(super) with_body: bool,
    /// Whether it goes where the check said, so that credentials may go along.
    pub(super) own_origin: bool,
    /// What earlier hops set.
    pub(super) cookies: Cookies,
    /// How many redirects led here.
    pub(super) redirects: u32,
}

impl Hop {
    /// The request the check asks for.
    pub(super) fn first(http: &HttpProbe, method: Method) -> Self {
        Self {
            url: http.url.clone(),
            method,
            with_body: http.body.is_some(),
            own_origin: true,
            cookies: Cookies::default(),
            redirects: 0,
        }
    }

    /// The request that an answer redirects to; `None` when it is no redirect.
    ///
    /// # Errors
    /// `TooManyRedirects` at the limit, `ProtocolError` for a target that is not followed.
    pub(super) fn next(
        &self,
        http: &HttpProbe,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Option<Self>, Failure> {
        let Some(location) = headers.get(LOCATION).filter(|_| is_redirect(status)) else { return Ok(None) };
        let line = super::status_line(status);
        if self.redirects >= http.max_redirects {
            return Err(Failure::new(
                Reason::TooManyRedirects,
                format!("{line}: more than {} redirects (maxRedirects): is it a loop?", http.max_redirects),
            ));
        }
        let location = String::from_utf8_lossy(location.as_bytes()).into_owned();
        let mut url = self
            .url
            .join(&location)
            .map_err(|error| Failure::protocol(format!("{line}: the redirect's Location is no URL ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(Failure::protocol(format!(
                "{line}: redirected to the scheme {:?}: only http and https are followed",
                url.scheme()
            )));
        }
        // User info in a Location is somebody else's idea of who we are.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        url.set_fragment(None);
        let mut cookies = self.cookies.clone();
        cookies.store(&self.url, headers);
        let own_origin = same_origin(&http.url, &url);
        let (method, with_body) = carried(status, self.method.clone(), self.with_body);
        if with_body && !own_origin {
            return Err(Failure::protocol(format!(
                "{line}: redirected with its body to another origin ({}), where it is not sent: set url to it",
                super::origin(&url)
            )));
        }
        Ok(Some(Self { url, method, with_body, own_origin, cookies, redirects: self.redirects + 1 }))
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// Method and body of the next hop (RFC 9110 section 15.4, as browsers do it).
fn carried(status: StatusCode, method: Method, with_body: bool) -> (Method, bool) {
    match status.as_u16() {
        301 | 302 if method == Method::POST => (Method::GET, false),
        303 if method != Method::HEAD => (Method::GET, false),
        _ => (method, with_body),
    }
}

/// Whether what belongs to one origin may be sent to the other: the same scheme, host and port, or the upgrade of the same
/// host from http to https on their own ports.
fn same_origin(own: &Url, other: &Url) -> bool {
    let upgrade = own.scheme() == "http"
        && other.scheme() == "https"
        && own.port().is_none()
        && other.port().is_none()
        && own.host_str() == other.host_str();
    own.origin() == other.origin() || upgrade
}

/// The cookies that hops have set (RFC 6265), for as long as one probe lasts.
#[derive(Clone, Debug, Default)]
pub(super) struct Cookies(Vec<Cookie>);

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    domain: String,
    /// Whether hosts below the domain get it too.
    below: bool,
    path: String,
    secure: bool,
}

impl Cookies {
    fn store(&mut self, url: &Url, headers: &HeaderMap) {
        for header in headers.get_all(SET_COOKIE) {
            let Some((cookie, expired)) = header.to_str().ok().and_then(|text| Cookie::parse(text, url)) else {
                continue;
            };
            self.0.retain(|known| {
                (&known.name, &known.domain, &known.path) != (&cookie.name, &cookie.domain, &cookie.path)
            });
            if !expired && self.0.len() < MOST_COOKIES {
                self.0.push(cookie);
            }
        }
    }

    /// The `Cookie` header for a request, if any cookie goes there.
    pub(super) fn header_for(&self, url: &Url) -> Option<HeaderValue> {
        let mut text = String::new();
        for cookie in self.0.iter().filter(|cookie| cookie.goes_to(url)) {
            if !text.is_empty() {
                text.push_str("; ");
            }
            text.push_str(&cookie.name);
            text.push('=');
            text.push_str(&cookie.value);
        }
        let mut value = HeaderValue::try_from(text).ok().filter(|value| !value.is_empty())?;
        value.set_sensitive(true);
        Some(value)
    }

    /// The values of every cookie, to be kept out of what is shown.
    pub(super) fn values(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|cookie| cookie.value.as_str())
    }
}

impl Cookie {
    /// A cookie, and whether it is to be forgotten.
    fn parse(text: &str, url: &Url) -> Option<(Self, bool)> {
        if text.len() > LONGEST_COOKIE {
            return None;
        }
        let mut parts = text.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let host = url.host_str()?.to_ascii_lowercase();
        let mut cookie = Self {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            domain: host.clone(),
            below: false,
            path: default_path(url.path()).to_owned(),
            secure: false,
        };
        let (mut lifetime, mut past) = (None, false);
        for attribute in parts {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" => {
                    let domain = value.trim().trim_start_matches('.').to_ascii_lowercase();
                    // A bare top-level domain, or somebody else's, is refused.
                    if !domain.contains('.') && domain != host || !is_below(&host, &domain) {
                        return None;
                    }
                    (cookie.domain, cookie.below) = (domain, url.domain().is_some());
                }
                "path" if value.trim().starts_with('/') => cookie.path = value.trim().to_owned(),
                "secure" => cookie.secure = true,
                "max-age" => lifetime = value.trim().parse::<i64>().ok(),
                "expires" => {
                    let now = std::time::SystemTime::now();
                    past = httpdate::parse_http_date(value.trim()).is_ok_and(|expires| expires <= now);
                }
                _ => {}
            }
        }
        // Max-Age wins over Expires (RFC 6265 section 5.3).
        let expired = lifetime.map_or(past, |seconds: i64| seconds <= 0);
        (!cookie.name.is_empty()).then_some((cookie, expired))
    }

    fn goes_to(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default().to_ascii_lowercase();
        let host_fits = host == self.domain || (self.below && is_below(&host, &self.domain));
        let path_fits = url
            .path()
            .strip_prefix(self.path.as_str())
            .is_some_and(|rest| rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/'));
        host_fits && path_fits && (!self.secure || url.scheme() == "https")
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

/// RFC 6265 section 5.1.4.
fn default_path(path: &str) -> &str {
    match path.rfind('/') {
        None | Some(0) => "/",
        Some(end) => &path[..end],
    }
}
