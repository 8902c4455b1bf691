//! `http`, in both published shapes.

use health_model::{
    Assertion, HeaderExpectation, HeaderRule, HttpAuth, HttpProbe, HttpProxy, HttpVersion, JsonExpectation, JsonRule,
    Search, SearchMatcher, StatusSet,
};

use super::{Conversion, tcp::transpose, tls::TlsUse, url::UrlShape, value::is_token_byte};
use crate::{
    path::FieldPath,
    resource::{
        http::{AssertionSpec, ExpectedHeader, ExpectedJson, Http, HttpVersion as HttpVersionSpec, OAuth2, SearchFor},
        tls::SslCheck,
        value::{NumberOrText, SecretText},
    },
};

/// What stands beside the section.
#[derive(Clone, Copy, Default)]
pub(crate) struct Beside<'a> {
    pub(crate) search_for: Option<&'a SearchFor>,
    pub(crate) ssl_check: Option<&'a SslCheck>,
}

impl Conversion<'_> {
    /// Reads the section.
    pub(crate) fn http(&mut self, path: &FieldPath<'_>, http: &Http, beside: Beside<'_>) -> Option<HttpProbe> {
        let url = self.url(&path.key("url"), &http.url.0, UrlShape::HTTP);
        let method = self.method(&path.key("method"), http.method.as_deref());
        let headers = self.headers(&path.key("headers"), &http.headers);
        let body = self.body(path, http);
        let auth = self.auth(path, http);
        let expected_status = self.statuses(&path.key("expectedStatus"), http.expected_status.as_deref());
        let search = self.search_beside(path, http.search_for.as_ref(), beside.search_for);
        let expected_headers = self.each(&path.key("expectedHeaders"), &http.expected_headers, Self::expected_header);
        let expected_json = self.each(&path.key("expectedJson"), &http.expected_json, Self::expected_json);
        let assertions = self.each(&path.key("assertions"), &http.assertions, Self::assertion);
        let proxy = http.proxy_url.as_ref().map(|url| self.proxy(&path.key("proxyUrl"), url));
        let tls = self.tls(&path.key("tls"), http.tls.as_ref(), TlsUse::Scheme);
        let certificate_expiry_days = self.ssl_check(http.ssl_check.as_ref(), beside.ssl_check);
        let (url, user_info) = url?;
        let version = self.version(path, http.http_version, url.scheme());
        if user_info.is_some() && auth.as_ref().is_some_and(Option::is_some) {
            self.fault(path.key("url"), "holds user info beside other credentials", "keep one of the two");
        }
        Some(HttpProbe {
            url,
            method: method?,
            headers,
            body: body?,
            auth: auth?.or_else(|| user_info.map(HttpAuth::Basic)),
            expected_status: expected_status?,
            search: search?,
            expected_headers: expected_headers?,
            expected_json: expected_json?,
            assertions: assertions?,
            follow_redirects: http.follow_redirects.unwrap_or(true),
            max_redirects: bounded(http.max_redirects).unwrap_or(HttpProbe::DEFAULT_MAX_REDIRECTS),
            version,
            max_body_bytes: bounded(http.max_body_bytes).unwrap_or(HttpProbe::DEFAULT_MAX_BODY_BYTES),
            proxy: transpose(proxy)?,
            tls: tls?.0,
            certificate_expiry_days,
        })
    }

    pub(crate) fn method(&mut self, path: &FieldPath<'_>, method: Option<&str>) -> Option<String> {
        let method = method.unwrap_or("GET");
        let good = method.bytes().all(is_token_byte) && !method.eq_ignore_ascii_case("CONNECT");
        if !good {
            self.fault_showing(
                path,
                format_args!("{method:?}"),
                ("is no method that can be sent", "write GET, HEAD, POST, …"),
            );
        }
        good.then(|| method.to_owned())
    }

    fn body(&mut self, path: &FieldPath<'_>, http: &Http) -> Option<Option<health_model::Sensitive>> {
        match (&http.body, &http.body_from) {
            (None, None) => Some(None),
            (Some(SecretText(body)), None) => Some(Some(body.as_str().into())),
            (None, Some(source)) => self.source(&path.key("bodyFrom"), source).map(|read| Some(read.into_sensitive())),
            (Some(_), Some(_)) => {
                self.fault(path, "has two bodies", "keep body or bodyFrom");
                None
            }
        }
    }

    fn auth(&mut self, path: &FieldPath<'_>, http: &Http) -> Option<Option<HttpAuth>> {
        match (&http.basic_auth, &http.bearer_token, &http.oauth2) {
            (None, None, None) => Some(None),
            (Some(basic), None, None) => {
                self.basic(&path.key("basicAuth"), basic).map(|basic| Some(HttpAuth::Basic(basic)))
            }
            (None, Some(token), None) => {
                self.sensitive(&path.key("bearerToken"), token).map(|token| Some(HttpAuth::Bearer(token)))
            }
            (None, None, Some(oauth2)) => self.oauth2(&path.key("oauth2"), oauth2).map(Some),
            _ => {
                let remedy = "keep one of basicAuth, bearerToken and oauth2";
                self.fault(path, "has several kinds of credentials", remedy);
                None
            }
        }
    }

    fn oauth2(&mut self, path: &FieldPath<'_>, oauth2: &OAuth2) -> Option<HttpAuth> {
        let OAuth2 { token_url, client_id, client_secret, scopes } = oauth2;
        let token_url = self.url(&path.key("tokenUrl"), &token_url.0, UrlShape::PAGE);
        let client_id = self.sensitive(&path.key("clientId"), client_id);
        let client_secret = self.sensitive(&path.key("clientSecret"), client_secret);
        let (token_url, user_info) = token_url?;
        if user_info.is_some() {
            self.fault(path.key("tokenUrl"), "holds user info", "use clientId and clientSecret");
        }
        Some(HttpAuth::OAuth2(health_model::OAuth2 {
            token_url,
            client_id: client_id?,
            client_secret: client_secret?,
            scopes: scopes.clone(),
        }))
    }

    fn statuses(&mut self, path: &FieldPath<'_>, elements: Option<&[NumberOrText]>) -> Option<StatusSet> {
        let Some(elements) = elements else { return Some(StatusSet::default()) };
        let texts: Vec<String> = elements.iter().map(status_text).collect();
        for (index, text) in texts.iter().enumerate() {
            if StatusSet::parse(&[text]).is_err() {
                let remedy = "write a code (200), a class (\"2xx\") or a range (\"200-204\")";
                self.fault_showing(path.index(index), format_args!("{text:?}"), ("is no status", remedy));
            }
        }
        StatusSet::parse(&texts).ok()
    }

    /// `searchFor` inside the section or beside it.
    fn search_beside(
        &mut self,
        path: &FieldPath<'_>,
        inside: Option<&SearchFor>,
        beside: Option<&SearchFor>,
    ) -> Option<Option<Search>> {
        let spec = FieldPath::root("spec");
        match (inside, beside) {
            (None, None) => Some(None),
            (Some(search), None) => self.search(&path.key("searchFor"), search).map(Some),
            (None, Some(search)) => self.search(&spec.key("searchFor"), search).map(Some),
            (Some(_), Some(_)) => {
                self.fault(spec, "has searchFor beside and inside http", "keep one of the two");
                None
            }
        }
    }

    fn search(&mut self, path: &FieldPath<'_>, search: &SearchFor) -> Option<Search> {
        let SearchFor { string, expression, absent } = search;
        let matcher = match (string, expression) {
            (Some(text), None) => SearchMatcher::Text(text.clone()),
            (None, Some(expression)) => SearchMatcher::Expression(self.pattern(&path.key("expression"), expression)?),
            _ => {
                self.fault(path, "needs exactly one of string and expression", "keep one of them");
                return None;
            }
        };
        Some(Search { matcher, absent: absent.unwrap_or(false) })
    }

    fn expected_header(&mut self, path: &FieldPath<'_>, header: &ExpectedHeader) -> Option<HeaderExpectation> {
        let ExpectedHeader { name, value, expression, absent } = header;
        let good_name = self.header_name(path, name);
        let rule = match (value, expression, absent.unwrap_or(false)) {
            (None, None, false) => HeaderRule::Present,
            (None, None, true) => HeaderRule::Absent,
            (Some(value), None, false) => HeaderRule::Value(value.clone()),
            (None, Some(expression), false) => {
                HeaderRule::Expression(self.pattern(&path.key("expression"), expression)?)
            }
            _ => {
                self.fault(path, "asks for several things at once", "keep one of value, expression and absent");
                return None;
            }
        };
        good_name.then(|| HeaderExpectation { name: name.clone(), rule })
    }

    fn expected_json(&mut self, path: &FieldPath<'_>, json: &ExpectedJson) -> Option<JsonExpectation> {
        let ExpectedJson { path: query, value, expression } = json;
        let rule = match (value, expression) {
            (None, None) => Some(JsonRule::Present),
            (Some(value), None) => Some(JsonRule::Value(value.clone())),
            (None, Some(expression)) => self.pattern(&path.key("expression"), expression).map(JsonRule::Expression),
            (Some(_), Some(_)) => {
                self.fault(path, "asks for two things at once", "keep value or expression");
                None
            }
        };
        let query = self.json_path(&path.key("path"), query)?;
        Some(JsonExpectation { path: query, rule: rule? })
    }

    fn assertion(&mut self, path: &FieldPath<'_>, assertion: &AssertionSpec) -> Option<Assertion> {
        let AssertionSpec { expression, message } = assertion;
        let expression = self.cel(&path.key("expression"), expression)?;
        Some(Assertion { expression, message: message.clone() })
    }

    fn proxy(&mut self, path: &FieldPath<'_>, url: &SecretText) -> Option<HttpProxy> {
        let (url, credentials) = self.url(path, &url.0, UrlShape::PROXY)?;
        Some(HttpProxy { url, credentials })
    }

    fn version(&mut self, path: &FieldPath<'_>, version: Option<HttpVersionSpec>, scheme: &str) -> HttpVersion {
        let path = path.key("httpVersion");
        match (version, scheme) {
            (Some(HttpVersionSpec::Http2), "http") => {
                self.fault_showing(path, "HTTP2", ("needs an https address", "write H2C for HTTP/2 without TLS"));
            }
            (Some(HttpVersionSpec::H2C), "https") => {
                self.fault_showing(path, "H2C", ("needs an http address", "write HTTP2 for HTTP/2 over TLS"));
            }
            _ => {}
        }
        match version {
            None | Some(HttpVersionSpec::Auto) => HttpVersion::Auto,
            Some(HttpVersionSpec::Http1) => HttpVersion::Http1,
            Some(HttpVersionSpec::Http2) => HttpVersion::Http2,
            Some(HttpVersionSpec::H2C) => HttpVersion::H2c,
        }
    }

    /// Converts every element, so that each gets its say; `None` when one could not be.
    pub(crate) fn each<S, T>(
        &mut self,
        path: &FieldPath<'_>,
        elements: &[S],
        convert: impl Fn(&mut Self, &FieldPath<'_>, &S) -> Option<T>,
    ) -> Option<Vec<T>> {
        let converted: Vec<Option<T>> =
            elements.iter().enumerate().map(|(index, element)| convert(self, &path.index(index), element)).collect();
        converted.into_iter().collect()
    }
}

fn status_text(element: &NumberOrText) -> String {
    match element {
        NumberOrText::Number(code) => code.to_string(),
        NumberOrText::Text(text) => text.clone(),
    }
}

/// A number that the schema has already kept within bounds.
fn bounded<T: TryFrom<i64>>(number: Option<i64>) -> Option<T> {
    number.and_then(|number| T::try_from(number).ok())
}
