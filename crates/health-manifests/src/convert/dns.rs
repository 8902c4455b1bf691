//! `dns`.

use health_model::{DnsProbe, DnsServer, DnsTransport, Host};

use super::{
    Conversion,
    tcp::is_name,
    tcp::transpose,
    tls::TlsUse,
    url::{UrlShape, without_user_info},
};
use crate::{
    path::FieldPath,
    resource::dns::{Dns, DnsTransportSpec, RcodeSpec, RecordTypeSpec},
};

impl Conversion<'_> {
    /// Reads the section.
    pub(crate) fn dns(&mut self, path: &FieldPath<'_>, dns: &Dns) -> Option<DnsProbe> {
        let Dns { name, record_type, server, transport, expected_rcode, expected_answers, answer_expression, tls } =
            dns;
        let transport = transport.map_or(DnsTransport::Udp, Into::into);
        let encrypted = matches!(transport, DnsTransport::Tls | DnsTransport::Https);
        let good_name = name == "." || is_name(name);
        if !good_name {
            let remedy = "write one like example.org";
            self.fault_showing(path.key("name"), format!("{:?}", without_user_info(name)), ("is no DNS name", remedy));
        }
        if tls.is_some() && !encrypted {
            self.fault(path, "has tls without a transport that speaks it", "set transport to Tls or Https");
        }
        let server = match server {
            Some(server) => self.dns_server(&path.key("server"), server, transport),
            None if encrypted => {
                let remedy = "give server, such as 9.9.9.9 or dns.example.org:853";
                self.fault(path, "needs a server for this transport", remedy);
                None
            }
            None => Some(DnsServer::System),
        };
        let answer_expression =
            answer_expression.as_deref().map(|text| self.pattern(&path.key("answerExpression"), text));
        let tls = self.tls(&path.key("tls"), tls.as_ref(), TlsUse::Scheme);
        Some(DnsProbe {
            name: good_name.then(|| name.clone())?,
            record_type: record_type.unwrap_or(RecordTypeSpec::A).as_str().to_owned(),
            server: server?,
            transport,
            expected_rcode: expected_rcode.unwrap_or(RcodeSpec::NOERROR).as_str().to_owned(),
            expected_answers: expected_answers.clone(),
            answer_expression: transpose(answer_expression)?,
            tls: tls?.0,
        })
    }

    fn dns_server(&mut self, path: &FieldPath<'_>, text: &str, transport: DnsTransport) -> Option<DnsServer> {
        if text.contains("://") {
            if transport != DnsTransport::Https {
                self.fault(path, "is a URL", "write host:port, or set transport to Https");
                return None;
            }
            return self.url(path, text, UrlShape::PAGE).map(|(url, _)| DnsServer::Url(url));
        }
        let (host, port) = self.host_and_port(path, text)?;
        Some(DnsServer::Address { host, port })
    }

    /// Reads `host`, `host:port`, `[v6]`, `[v6]:port` or a bare IPv6 address.
    pub(crate) fn host_and_port(&mut self, path: &FieldPath<'_>, text: &str) -> Option<(Host, Option<u16>)> {
        if text.parse::<std::net::Ipv6Addr>().is_ok() {
            return Some((Host::parse(text), None));
        }
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if !text.ends_with(']') => (host, Some(port)),
            _ => (text, None),
        };
        let port = match port.map(str::parse::<u16>) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => {
                let remedy = "write a number from 1 to 65535 after the colon";
                self.fault_showing(path, format!("{:?}", without_user_info(text)), ("has no valid port", remedy));
                return None;
            }
        };
        self.host(path, host).map(|host| (host, port))
    }
}

impl From<DnsTransportSpec> for DnsTransport {
    fn from(spec: DnsTransportSpec) -> Self {
        match spec {
            DnsTransportSpec::Udp => Self::Udp,
            DnsTransportSpec::Tcp => Self::Tcp,
            DnsTransportSpec::Tls => Self::Tls,
            DnsTransportSpec::Https => Self::Https,
        }
    }
}
