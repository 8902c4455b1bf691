//! From a host and a port to an open connection: resolve, address policy, dial, TLS.

mod dial;

use std::net::{IpAddr, SocketAddr};

use health_model::{Host, IpFamily, Reason};
use tokio::net::TcpStream;

use crate::{
    failure::Failure,
    trace::{Phase, Trace},
};

/// The family one run of a probe is bound to; `Both` is two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// Whatever answers first (RFC 8305).
    Any,
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
}

impl Family {
    /// The family as people call it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Any => "either family",
            Self::V4 => "IPv4",
            Self::V6 => "IPv6",
        }
    }

    /// Whether an address belongs to it.
    pub const fn admits(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }

    /// The families that a check's `ipFamily` asks for, one run each.
    pub const fn runs(family: IpFamily) -> &'static [Self] {
        match family {
            IpFamily::Any => &[Self::Any],
            IpFamily::V4 => &[Self::V4],
            IpFamily::V6 => &[Self::V6],
            IpFamily::Both => &[Self::V4, Self::V6],
        }
    }
}

/// Opens connections for every protocol.
#[derive(Debug, Default)]
pub struct Connector {}

impl Connector {
    /// The addresses of a host.
    ///
    /// # Errors
    /// When there is none.
    pub async fn resolve(
        &self,
        host: &Host,
        port: u16,
        family: Family,
        trace: &mut Trace,
    ) -> Result<Vec<SocketAddr>, Failure> {
        trace.enter(Phase::Resolve);
        let addresses: Vec<SocketAddr> = match host {
            Host::Address(address) => vec![SocketAddr::new(*address, port)],
            Host::Name(name) => tokio::net::lookup_host((name.as_str(), port))
                .await
                .map_err(|error| Failure::new(Reason::NameNotResolved, format!("{name} does not resolve ({error})")))?
                .filter(|address| family.admits(address.ip()))
                .collect(),
        };
        if addresses.is_empty() {
            return Err(Failure::new(Reason::NameNotResolved, format!("{host} has no {} address", family.as_str())));
        }
        Ok(addresses)
    }

    /// A TCP connection to a host.
    ///
    /// # Errors
    /// When none of its addresses can be connected to.
    pub async fn tcp(&self, host: &Host, port: u16, family: Family, trace: &mut Trace) -> Result<TcpStream, Failure> {
        let addresses = self.resolve(host, port, family, trace).await?;
        trace.enter(Phase::Connect);
        let stream = dial::dial(&addresses, trace).await?;
        trace.leave();
        Ok(stream)
    }
}
