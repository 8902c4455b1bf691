//! `http`, and the fields that the flat shape of versions up to 0.2 shares with it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    tls::{SslCheck, Tls},
    value::{BasicAuth, NamedValueOrRef, NumberOrText, SecretText, ValueOrRef, ValueSource},
};

/// An HTTP or HTTPS request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!(has(self.body) && has(self.bodyFrom))").message("has two bodies; keep body or bodyFrom"))]
#[x_kube(validation = Rule::new("[has(self.basicAuth), has(self.bearerToken), has(self.oauth2)].filter(x, x).size() <= 1").message("has several kinds of credentials; keep one of basicAuth, bearerToken and oauth2"))]
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.tls.enabled)").message("has no effect here; remove it: the address says whether TLS is spoken").field_path(".tls.enabled"))]
#[x_kube(validation = Rule::new("!has(self.tls) || !has(self.tls.startTls)").message("works in tcp only; remove it").field_path(".tls.startTls"))]
#[x_kube(validation = Rule::new("!has(self.httpVersion) || self.httpVersion != 'HTTP2' || self.url.matches('^[hH][tT][tT][pP][sS]:')").message("needs an https address; write H2C for HTTP/2 without TLS").field_path(".httpVersion"))]
#[x_kube(validation = Rule::new("!has(self.httpVersion) || self.httpVersion != 'H2C' || !self.url.matches('^[hH][tT][tT][pP][sS]:')").message("needs an http address; write HTTP2 for HTTP/2 over TLS").field_path(".httpVersion"))]
#[x_kube(validation = Rule::new("!(has(self.basicAuth) || has(self.bearerToken) || has(self.oauth2)) || !self.url.matches('^[^/]*//[^/?#]*@')").message("holds user info beside other credentials; keep one of the two").field_path(".url"))]
pub struct Http {
    /// Target, `http://` or `https://`. User info in it is sent as basic auth and shown nowhere.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/health"))]
    pub url: UrlText,
    /// Method (default GET).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 32))]
    #[x_kube(validation = Rule::new("self.matches('^[-!#$%&*+.^_`|~0-9A-Za-z]+$')").message("is no method that can be sent; write GET, HEAD, POST, …"))]
    pub method: Option<String>,
    /// Headers to send. `Host` overrides the authority.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub headers: Vec<NamedValueOrRef>,
    /// Body to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<SecretText>,
    /// Body to send, read from a Secret or ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_from: Option<ValueSource>,
    /// User name and password (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic_auth: Option<BasicAuth>,
    /// Bearer token (RFC 6750).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bearer_token: Option<ValueOrRef>,
    /// A token from an OAuth 2 server, by client credentials (RFC 6749).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oauth2: Option<OAuth2>,
    /// Status codes that are healthy: codes, classes ("4xx") and ranges ("200-204"); default ["2xx"].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    #[x_kube(validation = Rule::new("self.all(one, type(one) == int ? one >= 100 && one <= 599 : one.matches('^ *([1-5](xx|XX)|[1-5][0-9]{2}( *- *[1-5][0-9]{2})?) *$'))").message("is no status; write a code (200), a class (\"2xx\") or a range (\"200-204\")"))]
    pub expected_status: Option<Vec<NumberOrText>>,
    /// What the body must contain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub search_for: Option<SearchFor>,
    /// What response headers must be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub expected_headers: Vec<ExpectedHeader>,
    /// What the JSON body must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub expected_json: Vec<ExpectedJson>,
    /// CEL expressions over `response {status, headers, body, json, latencySeconds, certificate}` that must be true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub assertions: Vec<AssertionSpec>,
    /// Whether redirects are followed (default true).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow_redirects: Option<bool>,
    /// Most redirects followed (default 10).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub max_redirects: Option<i64>,
    /// HTTP version (default Auto: HTTP/2 where the server agrees on it, else HTTP/1.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_version: Option<HttpVersion>,
    /// Most bytes of the body, after decompression (default 1048576).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 67_108_864))]
    pub max_body_bytes: Option<i64>,
    /// Proxy to go through, `http://` or `https://`. User info in it is sent to the proxy and shown nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like http://proxy.example.org:3128"))]
    pub proxy_url: Option<UrlText>,
    /// How TLS is spoken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// What the certificate must satisfy beyond being valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssl_check: Option<SslCheck>,
}

/// An address in which credentials may stand: its `Debug` shows nothing.
pub type UrlText = SecretText;

/// What the body must contain: exactly one of `string` and `expression`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.string) != has(self.expression)").message("needs exactly one of string and expression; keep one of them"))]
pub struct SearchFor {
    /// Text that must be found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub string: Option<String>,
    /// Regular expression that must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
    /// Whether it must not be found (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
}

/// What one response header must be: `value`, `expression`, `absent`, or none of them for merely present.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.value), has(self.expression), has(self.absent) && self.absent].filter(x, x).size() <= 1").message("asks for several things at once; keep one of value, expression and absent"))]
pub struct ExpectedHeader {
    /// Name, compared without case.
    #[schemars(length(min = 1, max = 256))]
    #[x_kube(validation = Rule::new("self.matches('^[-!#$%&*+.^_`|~0-9A-Za-z]+$')").message("is no header name; use letters, digits and hyphens, as in X-Api-Key"))]
    pub name: String,
    /// Exact value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 4096))]
    pub value: Option<String>,
    /// Regular expression that must match the value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
    /// Whether it must not be there (default false).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absent: Option<bool>,
}

/// What every node that a JSONPath selects must be: `value`, `expression`, or neither for merely present.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExpectedJson {
    /// JSONPath (RFC 9535), such as `$.status`. At least one node must be selected.
    #[schemars(length(min = 1, max = 1024))]
    pub path: String,
    /// JSON value that every selected node must equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_json")]
    pub value: Option<Value>,
    /// Regular expression that must match every selected node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
}

fn any_json(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "x-kubernetes-preserve-unknown-fields": true })
}

/// A condition of one's own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssertionSpec {
    /// CEL expression that must be true, such as `response.json.queue < 100`.
    #[schemars(length(min = 1, max = 4096))]
    pub expression: String,
    /// What to say when it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}

/// Client credentials for an OAuth 2 server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OAuth2 {
    /// Where tokens are had.
    #[x_kube(validation = Rule::new("self.matches('^[hH][tT][tT][pP][sS]?://[^/]')").message("is no http or https address; write one like https://example.org/path"))]
    pub token_url: UrlText,
    /// The client's id.
    pub client_id: ValueOrRef,
    /// The client's secret.
    pub client_secret: ValueOrRef,
    /// Scopes to ask for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256)))]
    pub scopes: Vec<String>,
}

/// HTTP version (default Auto: HTTP/2 where the server agrees on it, else HTTP/1.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(inline)]
pub enum HttpVersion {
    /// HTTP/2 where ALPN agrees on it, else HTTP/1.1.
    Auto,
    /// HTTP/1.1 only.
    #[serde(rename = "HTTP1")]
    Http1,
    /// HTTP/2 over TLS only.
    #[serde(rename = "HTTP2")]
    Http2,
    /// HTTP/2 without TLS.
    H2C,
}
