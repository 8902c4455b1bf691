//! `tcp`.

use health_model::{DialogueStep, Host, TcpProbe};

use super::{Conversion, escape::unescape, tls::TlsUse, url::without_user_info};
use crate::{
    path::FieldPath,
    resource::{
        tcp::{DialogueStepSpec, Tcp},
        tls::SslCheck,
    },
};

impl Conversion<'_> {
    /// Reads the section.
    pub(crate) fn tcp(&mut self, path: &FieldPath<'_>, tcp: &Tcp, outer_ssl: Option<&SslCheck>) -> Option<TcpProbe> {
        let Tcp { host, ipv4, port, dialogue, expect_refused, tls, ssl_check } = tcp;
        let expect_refused = expect_refused.unwrap_or(false);
        let host = match (host, ipv4) {
            (Some(host), None) => self.host(&path.key("host"), host),
            (None, Some(address)) => self.ipv4(&path.key("ipv4"), address),
            _ => {
                self.fault(path, "needs exactly one target", "give host or ipv4");
                None
            }
        };
        let port = self.port(&path.key("port"), *port);
        if expect_refused && (!dialogue.is_empty() || tls.is_some() || ssl_check.is_some()) {
            let remedy = "drop expectRefused, or dialogue, tls and sslCheck";
            self.fault(path, "cannot both be refused and talk", remedy);
        }
        let dialogue = self.dialogue(&path.key("dialogue"), dialogue);
        let tls = self.tls(&path.key("tls"), tls.as_ref(), TlsUse::SwitchOrStartTls);
        let days = self.ssl_check(ssl_check.as_ref(), outer_ssl);
        let (tls, start_tls) = tls?;
        self.ssl_check_needs_tls(path, days, &tls);
        Some(TcpProbe {
            host: host?,
            port: port?,
            dialogue: dialogue?,
            expect_refused,
            tls,
            start_tls,
            certificate_expiry_days: days,
        })
    }

    /// Reads a host: a name or an address.
    pub(crate) fn host(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Host> {
        let host = Host::parse(text.trim());
        let good = match &host {
            Host::Address(_) => true,
            Host::Name(name) => is_name(name),
        };
        if !good {
            let remedy = "write a DNS name or an address, without scheme, port or path";
            self.fault_showing(path, format!("{:?}", without_user_info(text)), ("is no host", remedy));
        }
        good.then_some(host)
    }

    fn ipv4(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Host> {
        let address = text.trim().parse::<std::net::Ipv4Addr>().ok();
        if address.is_none() {
            let remedy = "write one like 127.0.0.1, or use host for names and IPv6";
            self.fault_showing(path, format_args!("{text:?}"), ("is no IPv4 address", remedy));
        }
        address.map(|address| Host::Address(address.into()))
    }

    /// Reads a port.
    pub(crate) fn port(&mut self, path: &FieldPath<'_>, port: i64) -> Option<u16> {
        let number = u16::try_from(port).ok().filter(|port| *port > 0);
        if number.is_none() {
            self.fault_showing(path, port, ("is out of range", "write a number from 1 to 65535"));
        }
        number
    }

    pub(crate) fn dialogue(&mut self, path: &FieldPath<'_>, steps: &[DialogueStepSpec]) -> Option<Vec<DialogueStep>> {
        let read = |(index, step): (usize, &DialogueStepSpec)| {
            let path = path.index(index);
            let DialogueStepSpec { send, expect } = step;
            if send.is_none() && expect.is_none() {
                self.fault(path, "does nothing", "give send, expect, or both");
            }
            let send = send.as_deref().map(|text| self.bytes(&path.key("send"), text));
            let expect = expect.as_deref().map(|text| self.multi_line_pattern(&path.key("expect"), text));
            Some(DialogueStep { send: transpose(send)?, expect: transpose(expect)? })
        };
        steps.iter().enumerate().map(read).collect::<Vec<_>>().into_iter().collect()
    }

    /// Undoes the escapes of a text to send.
    pub(crate) fn bytes(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Vec<u8>> {
        unescape(text)
            .map_err(|escape| {
                let message = format!("holds an unknown escape ({escape})");
                self.fault(path, message, "use \\r, \\n, \\t, \\0, \\\\ or \\xNN");
            })
            .ok()
    }

    /// `sslCheck` inside the probe or beside it.
    pub(crate) fn ssl_check(&mut self, inside: Option<&SslCheck>, beside: Option<&SslCheck>) -> Option<u32> {
        if inside.is_some() && beside.is_some() {
            self.fault("spec", "has sslCheck beside and inside the probe", "keep one of the two");
        }
        super::tls::expiry_days(inside.or(beside))
    }

    /// A certificate can only be looked at where TLS is spoken.
    pub(crate) fn ssl_check_needs_tls(
        &mut self,
        path: &FieldPath<'_>,
        days: Option<u32>,
        tls: &health_model::TlsOptions,
    ) {
        if days.is_some() && !tls.enabled {
            self.fault(path, "has sslCheck without TLS", "add tls: {enabled: true}");
        }
    }
}

/// An optional result that must not be lost: `Some(None)` is a fault already noted.
pub(crate) fn transpose<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        Some(None) => None,
        Some(Some(value)) => Some(Some(value)),
        None => Some(None),
    }
}

/// A DNS name as resolvers take it: labels of up to 63 letters, digits, hyphens and underscores.
pub(crate) fn is_name(name: &str) -> bool {
    let bare = name.strip_suffix('.').unwrap_or(name);
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(|c| c.is_alphanumeric() || c == '-' || c == '_')
    };
    !bare.is_empty() && bare.len() <= 253 && bare.split('.').all(label)
}
