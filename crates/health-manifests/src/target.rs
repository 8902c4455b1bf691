//! A check from one word of the command line: `https://example.org`, `tcp://host:port`, `dns://server/name?type=A`.

use health_model::CheckSpec;
use serde_json::{Map, Value, json};

use crate::{
    convert::{Conversion, url::without_user_info},
    path::FieldPath,
    problem::{Fault, Problem},
    resource::health_check::HealthCheckSpec,
    schema, structure,
    tree::Node,
};

/// The schemes a target may have.
const SCHEMES: &str = "http, https, ws, wss, tcp, tls, dns, grpc, grpcs, icmp or udp";

/// Reads a target: `http(s)://…`, `ws(s)://…`, `tcp://host:port`, `tls://host:port`, `dns://server/name?type=A` (an
/// empty server is the system's), `grpc(s)://host:port/service`, `icmp://host`, `udp://host:port` (an empty datagram
/// cannot be asked about: it sends one newline). Everything else of the check is at its default; the interval is 60 s.
///
/// # Errors
/// What is wrong with the target, its user info left out.
pub fn check_from_target(target: &str) -> Result<CheckSpec, Box<Problem>> {
    let fault = |fault: Fault| Box::new(problem(target, fault));
    let spec = spec_of(target).map_err(fault)?;
    let document = json!({ "spec": spec });
    let mut faults = Vec::new();
    structure::check_document(&Node::from(&document), schema::health_check(), &FieldPath::root(""), &mut faults);
    let spec = serde_json::from_value::<HealthCheckSpec>(Value::Object(spec));
    let mut conversion = Conversion::new("", None);
    let converted = spec.ok().filter(|_| faults.is_empty()).and_then(|spec| conversion.check("", &spec));
    faults.append(&mut conversion.faults);
    match (converted, faults.into_iter().next()) {
        (Some(spec), None) => Ok(spec),
        (_, Some(found)) => Err(fault(found)),
        (None, None) => Err(fault(Fault::new("", "cannot be understood", format!("write {SCHEMES}://…")))),
    }
}

fn problem(target: &str, fault: Fault) -> Problem {
    let Fault { field: _, value: _, message, remedy } = fault;
    let value = Some(format!("{:?}", without_user_info(target)));
    Problem {
        source: "command line".to_owned(),
        line: None,
        object: None,
        field: Some("TARGET".to_owned()),
        value,
        message,
        remedy,
    }
}

fn spec_of(target: &str) -> Result<Map<String, Value>, Fault> {
    let Some((scheme, rest)) = target.split_once("://") else {
        return Err(Fault::new("", "names no scheme", format!("put {SCHEMES} and :// in front")));
    };
    let (section, content) = match scheme.to_ascii_lowercase().as_str() {
        "http" | "https" => ("http", json!({ "url": target })),
        "ws" | "wss" => ("websocket", json!({ "url": target })),
        "tcp" => ("tcp", address(rest, None)?),
        "tls" => ("tcp", merged(address(rest, Some(443))?, json!({ "tls": { "enabled": true } }))),
        "grpc" => ("grpc", grpc(rest)?),
        "grpcs" => ("grpc", merged(grpc(rest)?, json!({ "tls": { "enabled": true } }))),
        "udp" => ("udp", merged(address(rest, None)?, json!({ "send": "\\n" }))),
        "icmp" => ("icmp", json!({ "host": rest.trim_end_matches('/') })),
        "dns" => ("dns", dns(rest)),
        _ => return Err(Fault::new("", "has an unknown scheme", format!("write {SCHEMES}"))),
    };
    let mut spec = Map::new();
    spec.insert("testInterval".to_owned(), json!(60));
    spec.insert(section.to_owned(), content);
    Ok(spec)
}

/// `host:port`, a final slash allowed.
fn address(rest: &str, default_port: Option<u16>) -> Result<Value, Fault> {
    let rest = rest.trim_end_matches('/');
    let bare = rest.ends_with(']') || !rest.contains(':');
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !bare => (host, port.parse::<u16>().ok()),
        _ => (rest, default_port),
    };
    match port {
        Some(port) if port > 0 => Ok(json!({ "host": host, "port": port })),
        _ => Err(Fault::new("", "names no port", "write host:port, as in tcp://example.org:443 or tcp://[::1]:443")),
    }
}

fn grpc(rest: &str) -> Result<Value, Fault> {
    let (authority, service) = rest.split_once('/').unwrap_or((rest, ""));
    Ok(merged(address(authority, None)?, json!({ "service": service })))
}

/// `server/name?type=A`; without a slash, all of it is the name.
fn dns(rest: &str) -> Value {
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (server, name) = path.split_once('/').unwrap_or(("", path));
    let mut section = json!({ "name": name });
    if !server.is_empty() {
        section = merged(section, json!({ "server": server }));
    }
    if let Some(record_type) = query.split('&').find_map(|pair| pair.strip_prefix("type=")) {
        section = merged(section, json!({ "type": record_type.to_ascii_uppercase() }));
    }
    section
}

fn merged(mut section: Value, more: Value) -> Value {
    if let (Some(section), Value::Object(more)) = (section.as_object_mut(), more) {
        section.extend(more);
    }
    section
}
