//! TARGET of `probe`: a URL made into the manifest that says the same, so that one parser judges both.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use url::Url;

/// What a target may look like.
const FORMS: &str = "write https://host/path, tcp://host:port, tls://host:port, dns://server/name?type=A, \
                     grpc://host:port/service, icmp://host, udp://host:port?send=text or wss://host/path";

/// Makes the manifest of a check that asks this target.
///
/// # Errors
/// What is wrong with the target, and what to write.
pub(crate) fn manifest(target: &str) -> Result<Value, String> {
    let Some((scheme, _)) = target.split_once("://") else {
        return Err(format!("{target} has no scheme; {FORMS}"));
    };
    let url = Url::parse(target).map_err(|error| format!("the target cannot be read ({error}); {FORMS}"))?;
    let probe = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => json!({"http": {"url": target}}),
        "ws" | "wss" => json!({"websocket": {"url": target}}),
        "tcp" => json!({"tcp": {"host": host(&url)?, "port": port(&url)?}}),
        "tls" => json!({"tcp": {"host": host(&url)?, "port": port(&url)?, "tls": {"enabled": true}}}),
        "grpc" => json!({"grpc": grpc(&url, false)?}),
        "grpcs" => json!({"grpc": grpc(&url, true)?}),
        "icmp" => json!({"icmp": {"host": host(&url)?}}),
        "udp" => json!({"udp": udp(&url)?}),
        "dns" => json!({"dns": dns(&url)?}),
        other => return Err(format!("nothing is asked by {other}://; {FORMS}")),
    };
    let mut spec = json!({"testInterval": 60});
    if let (Value::Object(spec), Value::Object(probe)) = (&mut spec, probe) {
        spec.extend(probe);
    }
    Ok(json!({
        "apiVersion": "check.cloudders.com/v1alpha1",
        "kind": "HealthCheck",
        "metadata": {"name": "probe", "namespace": "default"},
        "spec": spec,
    }))
}

fn host(url: &Url) -> Result<String, String> {
    let host = url.host_str().filter(|host| !host.is_empty());
    let host = host.ok_or_else(|| format!("the target names no host; {FORMS}"))?;
    Ok(host.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn port(url: &Url) -> Result<u16, String> {
    url.port().ok_or_else(|| format!("the target names no port; {FORMS}"))
}

fn path(url: &Url) -> String {
    url.path().trim_start_matches('/').to_owned()
}

fn parameters(url: &Url, known: &[&str]) -> Result<BTreeMap<String, String>, String> {
    let parameters: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    match parameters.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(format!("{}:// takes no parameter {name}; known: {}", url.scheme(), known.join(", "))),
        None => Ok(parameters),
    }
}

fn grpc(url: &Url, tls: bool) -> Result<Value, String> {
    Ok(json!({"host": host(url)?, "port": port(url)?, "service": path(url), "tls": {"enabled": tls}}))
}

fn udp(url: &Url) -> Result<Value, String> {
    let mut probe = json!({"host": host(url)?, "port": port(url)?});
    for (name, value) in parameters(url, &["send", "expect"])? {
        probe[name] = Value::String(value);
    }
    Ok(probe)
}

fn dns(url: &Url) -> Result<Value, String> {
    let name = path(url);
    if name.is_empty() {
        return Err(format!("the target names nothing to look up; {FORMS}"));
    }
    let mut probe = json!({"name": name});
    if let Some(server) = url.host_str().filter(|host| !host.is_empty()) {
        probe["server"] = url.port().map_or_else(|| server.to_owned(), |port| format!("{server}:{port}")).into();
    }
    for (name, value) in parameters(url, &["type", "transport"])? {
        probe[name] = Value::String(value);
    }
    Ok(probe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_scheme_becomes_the_section_that_says_the_same() {
        let spec = |target: &str| manifest(target).unwrap()["spec"].clone();
        assert_eq!(spec("https://a/b?c=d")["http"], json!({"url": "https://a/b?c=d"}));
        assert_eq!(spec("wss://a/b")["websocket"], json!({"url": "wss://a/b"}));
        assert_eq!(spec("tcp://a:1")["tcp"], json!({"host": "a", "port": 1}));
        assert_eq!(spec("tcp://[::1]:1")["tcp"], json!({"host": "::1", "port": 1}));
        assert_eq!(spec("tls://a:1")["tcp"]["tls"], json!({"enabled": true}));
        assert_eq!(
            spec("grpc://a:1/s")["grpc"],
            json!({"host": "a", "port": 1, "service": "s", "tls": {"enabled": false}})
        );
        assert_eq!(spec("icmp://a")["icmp"], json!({"host": "a"}));
        assert_eq!(spec("udp://a:1?send=x")["udp"], json!({"host": "a", "port": 1, "send": "x"}));
        assert_eq!(spec("dns://[::1]:53/b?type=MX")["dns"], json!({"name": "b", "server": "[::1]:53", "type": "MX"}));
        assert_eq!(spec("dns:///b")["dns"], json!({"name": "b"}));
    }

    #[test]
    fn what_cannot_be_asked_is_answered_with_the_forms() {
        for target in ["example.org", "ftp://a", "tcp://a", "tcp://:1", "dns://a", "icmp://", "udp://a:1?sned=x"] {
            let error = manifest(target).unwrap_err();
            assert!(error.contains("write https://") || error.contains("known: send"), "{target}: {error}");
        }
    }
}
