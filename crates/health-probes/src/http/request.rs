//! What is sent on one hop: method, target, headers, credentials, body.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use health_model::{BasicCredentials, HttpAuth, HttpProbe};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version,
    header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONNECTION, COOKIE, HOST, PROXY_AUTHORIZATION, USER_AGENT},
};
use http_body_util::Full;
use url::{Position, Url};

use super::redirect::Hop;
use crate::failure::Failure;

/// What we call ourselves.
const AGENT: &str = concat!("health-check-operator/", env!("CARGO_PKG_VERSION"));
/// What we can undo, where something looks at the body.
const ENCODINGS: &str = "gzip, deflate, br, zstd";
/// Headers of a check that say nothing secret, and so may go to another origin than the check's own.
const HARMLESS: &[&str] = &[
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "content-type",
    "pragma",
    "user-agent",
];
/// Headers of a connection, which HTTP/2 knows not (RFC 9113 section 8.2.2).
const HOP_BY_HOP: &[&str] =
    &["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "content-length"];

/// Whether a header of this name says nothing secret.
pub(crate) fn is_harmless(name: &str) -> bool {
    name.eq_ignore_ascii_case("host") || HARMLESS.iter().any(|harmless| name.eq_ignore_ascii_case(harmless))
}

/// How a request travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Travel {
    /// HTTP/1.1 to the server itself.
    Http1,
    /// HTTP/1.1 to a proxy that passes it on (RFC 9112 section 3.2.2).
    Http1ByProxy,
    /// HTTP/2.
    Http2,
}

/// Parses the check's method.
pub(super) fn method(http: &HttpProbe) -> Result<Method, Failure> {
    Method::from_bytes(http.method.as_bytes()).map_err(|_| Failure::configuration("method: is no HTTP method"))
}

/// Builds the request of one hop. `token` is the bearer token had from the OAuth 2 server, `proxy` who we are to a proxy
/// that passes plain requests on.
pub(super) fn build(
    http: &HttpProbe,
    hop: &Hop,
    travel: Travel,
    token: Option<&str>,
    looks_at_body: bool,
) -> Result<Request<Full<Bytes>>, Failure> {
    let mut headers = HeaderMap::with_capacity(http.headers.len() + 6);
    let mut host = None;
    for header in &http.headers {
        let name = HeaderName::from_bytes(header.name.as_bytes())
            .map_err(|_| Failure::configuration(format!("headers: {:?} is no header name", header.name)))?;
        if !hop.own_origin && !HARMLESS.contains(&name.as_str()) {
            continue;
        }
        let value = secret(header.value.expose()).ok_or_else(|| {
            Failure::configuration(format!("headers: the value of {name} holds a line break or the like"))
        })?;
        if name == HOST {
            host = Some(value);
        } else if travel != Travel::Http2 || !HOP_BY_HOP.contains(&name.as_str()) {
            headers.append(name, value);
        }
    }
    defaults(&mut headers, travel, looks_at_body);
    if hop.own_origin
        && !headers.contains_key(AUTHORIZATION)
        && let Some(value) = authorization(http, token)?
    {
        headers.insert(AUTHORIZATION, value);
    }
    if let Some(cookies) = hop.cookies.header_for(&hop.url) {
        headers.append(COOKIE, cookies);
    }
    if travel == Travel::Http1ByProxy
        && let Some(own) = http.proxy.as_ref().and_then(|proxy| proxy.credentials.as_ref())
    {
        headers.insert(PROXY_AUTHORIZATION, basic(own)?);
    }
    let body = match &http.body {
        Some(body) if hop.with_body => Bytes::copy_from_slice(body.expose().as_bytes()),
        _ => Bytes::new(),
    };
    let uri = target(&hop.url, travel, host.as_ref())?;
    if travel != Travel::Http2 {
        let host = match host {
            Some(host) => host,
            None => {
                HeaderValue::from_str(authority(&hop.url)).map_err(|_| Failure::configuration("url: has no host"))?
            }
        };
        headers.insert(HOST, host);
    }
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = hop.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    if travel == Travel::Http2 {
        *request.version_mut() = Version::HTTP_2;
    }
    Ok(request)
}

fn defaults(headers: &mut HeaderMap, travel: Travel, looks_at_body: bool) {
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(USER_AGENT, AGENT);
    default(ACCEPT, "*/*");
    if looks_at_body {
        default(ACCEPT_ENCODING, ENCODINGS);
    }
    if travel != Travel::Http2 {
        default(CONNECTION, "close");
    }
}

/// Host and port as they belong into `Host`: the port only when it is not the scheme's.
fn authority(url: &Url) -> &str {
    &url[Position::BeforeHost..Position::AfterPort]
}

fn target(url: &Url, travel: Travel, host: Option<&HeaderValue>) -> Result<Uri, Failure> {
    let path = &url[Position::BeforePath..Position::AfterQuery];
    let written = match travel {
        Travel::Http1 => path.parse(),
        Travel::Http1ByProxy => format!("{}://{}{path}", url.scheme(), authority(url)).parse(),
        Travel::Http2 => {
            let authority = host.and_then(|host| host.to_str().ok()).unwrap_or_else(|| authority(url));
            format!("{}://{authority}{path}", url.scheme()).parse()
        }
    };
    written.map_err(|_| Failure::configuration("url: cannot be sent as written (or the Host header is no host)"))
}

fn authorization(http: &HttpProbe, token: Option<&str>) -> Result<Option<HeaderValue>, Failure> {
    match &http.auth {
        None => Ok(None),
        Some(HttpAuth::Basic(own)) => basic(own).map(Some),
        Some(HttpAuth::Bearer(token)) => bearer(token.expose()).map(Some),
        Some(HttpAuth::OAuth2(_)) => token.map(bearer).transpose(),
    }
}

fn bearer(token: &str) -> Result<HeaderValue, Failure> {
    secret(&format!("Bearer {token}"))
        .ok_or_else(|| Failure::configuration("bearerToken: holds a line break or the like"))
}

/// `Basic` credentials (RFC 7617), for `Authorization` and `Proxy-Authorization` alike.
pub(super) fn basic(own: &BasicCredentials) -> Result<HeaderValue, Failure> {
    let pair = STANDARD.encode(format!("{}:{}", own.username.expose(), own.password.expose()));
    secret(&format!("Basic {pair}")).ok_or_else(|| Failure::configuration("basicAuth: cannot be sent"))
}

/// A value that is shown nowhere and is kept out of HTTP/2's tables.
fn secret(value: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(value.as_bytes()).ok()?;
    value.set_sensitive(true);
    Some(value)
}
