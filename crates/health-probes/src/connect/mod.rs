//! From a host and a port to an open connection: resolve → address policy → dial → TLS.
//!
//! Every protocol comes through here; none opens a socket to a name by another way. A probe does:
//!
//! ```text
//! let stream = ask.connector.tcp(&host, port, ask.family, trace).await?;           // phases resolve, connect
//! let peer = TlsPeer { host: &host, options: &probe.tls, alpn: Alpn::None };
//! let stream = ask.connector.tls(stream, &peer, trace).await?;                      // phase tls; certificate judged
//! tls::check_expiry(trace, probe.certificate_expiry_days, Timestamp::now())?;       // sslCheck
//! ```
//! or, where no TCP is spoken (ICMP, UDP), takes [`Connector::resolve`], whose addresses have passed the policy, and opens
//! a socket of its own to the first of them. STARTTLS is [`Connector::tcp`], a dialogue, then [`Connector::tls`].
//!
//! Phases, the address, the certificate and the attempts are left in the [`Trace`]. The deadline is not this module's
//! business: whoever runs a probe drops it when the deadline passes.

mod dial;
mod hosts;
mod policy;
mod query;
mod resolve;

use std::net::{IpAddr, SocketAddr};

use health_model::{Host, IpFamily, Reason};
use hickory_resolver::proto::rr::Name;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

pub use policy::{AddressPolicy, PolicyError};
pub use resolve::{Resolver, ResolverSettings};

use crate::{
    failure::Failure,
    tls::{TlsClients, TlsPeer},
    trace::{Phase, Trace},
};

/// The family one run of a probe is bound to; `ipFamily: Both` is two runs.
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
            Self::Any => "IP",
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

/// The system's name servers and how it completes names, as `resolv.conf` says.
#[derive(Debug)]
pub(crate) struct SystemNameServers {
    /// In the order in which to ask them.
    pub(crate) addresses: Vec<SocketAddr>,
    /// The domains appended to names that are not absolute.
    pub(crate) search: Vec<Name>,
    /// With so many dots, a name is asked for as written first.
    pub(crate) ndots: usize,
}

/// What a connector is made of.
#[derive(Clone, Debug, Default)]
pub struct ConnectSettings {
    /// Which targets may be asked.
    pub address_policy: AddressPolicy,
    /// Where names are looked up.
    pub resolver: ResolverSettings,
}

/// Opens connections for every protocol. One per process: it holds the caches of names and of TLS configurations, all
/// bounded, and no connection.
#[derive(Debug)]
pub struct Connector {
    policy: AddressPolicy,
    resolver: Resolver,
    tls: TlsClients,
}

impl Connector {
    /// Sets up the caches and reads the resolver's files.
    pub fn new(settings: ConnectSettings) -> Self {
        let ConnectSettings { address_policy, resolver } = settings;
        Self { policy: address_policy, resolver: Resolver::new(resolver), tls: TlsClients::default() }
    }

    /// How many names and TLS configurations are kept, and how many of each may be.
    pub(crate) fn levels(&self) -> [(usize, usize); 2] {
        [self.resolver.level(), self.tls.level()]
    }

    /// The rules that every target passes.
    pub const fn policy(&self) -> &AddressPolicy {
        &self.policy
    }

    /// The addresses of a host in the order in which to try them, never empty, each of them allowed by the policy.
    /// Phase `resolve`.
    ///
    /// A name with several addresses loses those that the policy forbids; it fails only when none is left.
    ///
    /// # Errors
    /// `NameNotResolved`, `InvalidConfiguration` (a literal of the other family), `AddressForbidden`, `Timeout`.
    pub async fn resolve(
        &self,
        host: &Host,
        port: u16,
        family: Family,
        trace: &mut Trace,
    ) -> Result<Vec<SocketAddr>, Failure> {
        trace.enter(Phase::Resolve);
        self.policy.check_host(host)?;
        match host {
            Host::Address(address) => self.literal(*address, port, family).map(|address| vec![address]),
            Host::Name(name) => {
                let addresses = self.resolver.resolve(name, family).await?;
                self.permitted(&addresses, host, port, trace)
            }
        }
    }

    /// A TCP connection to a host: a fresh socket, `TCP_NODELAY`. Phases `resolve` and `connect`; the address that
    /// answered (or failed last) is in `trace.remote`.
    ///
    /// # Errors
    /// As [`Connector::resolve`], and `ConnectionRefused`, `ConnectionReset`, `Unreachable`, `Timeout`; `ProberFault` when
    /// sockets or local ports have run out here.
    pub async fn tcp(&self, host: &Host, port: u16, family: Family, trace: &mut Trace) -> Result<TcpStream, Failure> {
        let stream = match host {
            Host::Address(address) => {
                // The common case, without a list on the heap.
                self.policy.check_host(host)?;
                let address = self.literal(*address, port, family)?;
                trace.enter(Phase::Connect);
                dial::dial(&[address], trace).await?
            }
            Host::Name(_) => {
                let addresses = self.resolve(host, port, family, trace).await?;
                trace.enter(Phase::Connect);
                dial::dial(&addresses, trace).await?
            }
        };
        trace.leave();
        Ok(stream)
    }

    /// A TCP connection to the first of these addresses that answers; they have passed the policy, or need not. Phase
    /// `connect`.
    ///
    /// # Errors
    /// As [`Connector::tcp`].
    pub(crate) async fn dial(&self, addresses: &[SocketAddr], trace: &mut Trace) -> Result<TcpStream, Failure> {
        trace.enter(Phase::Connect);
        let stream = dial::dial(addresses, trace).await?;
        trace.leave();
        Ok(stream)
    }

    /// What the system says about name servers, for probes that ask them themselves. The address policy does not apply
    /// to these: who writes a manifest does not choose them.
    ///
    /// # Errors
    /// `ProberFault` when the system names none.
    pub(crate) fn system_name_servers(&self) -> Result<SystemNameServers, Failure> {
        let system = self.resolver.system();
        if system.addresses.is_empty() {
            let problem = system.name_servers.as_ref().err().map_or("it names none", String::as_str);
            return Err(Failure::new(
                Reason::ProberFault,
                format!("there is no name server of the system to ask ({problem}): give dns.server"),
            ));
        }
        Ok(SystemNameServers {
            addresses: system.addresses.clone(),
            search: system.search.clone(),
            ndots: system.ndots,
        })
    }

    /// TLS on an open connection. Phase `tls`; the facts of the certificate are in `trace.certificate` also when the
    /// handshake or the judgement fails. Never resumes a session.
    ///
    /// # Errors
    /// `CertificateExpired`, `CertificateNotYetValid`, `CertificateNameMismatch`, `CertificateUntrusted` in this order;
    /// `TlsHandshakeFailed`, `ConnectionReset`; `InvalidConfiguration` when `tls` cannot be used as written.
    pub async fn tls<S>(&self, stream: S, peer: &TlsPeer<'_>, trace: &mut Trace) -> Result<TlsStream<S>, Failure>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send,
    {
        trace.enter(Phase::Tls);
        let stream = self.tls.handshake(stream, peer, trace).await?;
        trace.leave();
        Ok(stream)
    }

    fn literal(&self, address: IpAddr, port: u16, family: Family) -> Result<SocketAddr, Failure> {
        if family.admits(address) {
            Ok(SocketAddr::new(address, port))
        } else {
            Err(Failure::configuration(format!(
                "ipFamily: {address} is no {} address: change ipFamily, or give a name",
                family.as_str()
            )))
        }
    }

    fn permitted(
        &self,
        addresses: &[IpAddr],
        host: &Host,
        port: u16,
        trace: &mut Trace,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let mut allowed = Vec::with_capacity(addresses.len());
        let mut refused = None;
        for &address in addresses {
            match self.policy.check_address(address, host) {
                Ok(()) => allowed.push(SocketAddr::new(address, port)),
                Err(failure) => {
                    trace.note(failure.message.as_str());
                    refused = Some(failure);
                }
            }
        }
        match refused {
            Some(failure) if allowed.is_empty() => Err(failure),
            _ => Ok(allowed),
        }
    }
}
