//! Where a server listens, as the user writes it: `:port`, `host:port` or `[v6]:port`.

use std::{fmt, net::Ipv6Addr, str::FromStr};

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BindAddress {
    /// The host: a name or an address without brackets; `None` means every address of both families.
    pub(crate) host: Option<String>,
    /// The port; 0 lets the system choose.
    pub(crate) port: u16,
}

impl FromStr for BindAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORMS: &str = "write :8080, 127.0.0.1:8080, localhost:8080 or [::1]:8080";
        let (host, port) = text.rsplit_once(':').ok_or_else(|| match text.parse::<u16>() {
            Ok(port) => format!("a colon is missing: write :{port}"),
            Err(_) => format!("it has no port; {FORMS}"),
        })?;
        let port = port.parse().map_err(|_| format!("its port is not a number from 0 to 65535; {FORMS}"))?;
        let host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').ok_or_else(|| format!("a bracket is not closed; {FORMS}"))?,
            None if host.parse::<Ipv6Addr>().is_ok() => {
                return Err(format!("an IPv6 address needs brackets: write [{host}]:{port}"));
            }
            None => host,
        };
        let literal = host.parse::<Ipv6Addr>().is_ok();
        if !literal && host.chars().any(|c| c.is_whitespace() || "/[]:".contains(c)) {
            return Err(format!("its host is not a name or an address; {FORMS}"));
        }
        Ok(Self { host: (!host.is_empty()).then(|| host.to_owned()), port })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.as_deref() {
            None => write!(f, ":{}", self.port),
            Some(host) if host.contains(':') => write!(f, "[{host}]:{}", self.port),
            Some(host) => write!(f, "{host}:{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_three_forms_are_read_and_written_back() {
        for text in [":8080", ":0", "127.0.0.1:8080", "localhost:65535", "[::1]:8082", "[::]:1"] {
            assert_eq!(text.parse::<BindAddress>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn a_bad_address_is_answered_with_the_remedy() {
        let remedy = |text: &str| text.parse::<BindAddress>().unwrap_err();
        assert_eq!(remedy("8080"), "a colon is missing: write :8080");
        assert_eq!(remedy("::1:8080"), "an IPv6 address needs brackets: write [::1]:8080");
        assert!(remedy("localhost").starts_with("it has no port"));
        assert!(remedy("localhost:http").starts_with("its port is not a number"));
        assert!(remedy(":70000").starts_with("its port is not a number"));
        assert!(remedy("[::1:80").starts_with("a bracket is not closed"));
        assert!(remedy("http://a:80").starts_with("its host is not a name"));
    }
}
