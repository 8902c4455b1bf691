//! The socket that echo requests leave by: unprivileged where the system allows it, raw where we are allowed that.

use std::{io, net::SocketAddr, os::fd::AsRawFd as _};

use health_model::Reason;
use nix::sys::socket::{MsgFlags, recv, setsockopt, sockopt};
use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;

use crate::failure::Failure;

/// What to do where neither kind of socket may be opened.
const REMEDY: &str = "this process may not send ICMP: allow its group in the sysctl net.ipv4.ping_group_range \
                      (\"0 2147483647\" allows all), or give it the capability NET_RAW";
/// EMSGSIZE.
const MESSAGE_TOO_LONG: i32 = 90;

/// A socket for echo requests to one address.
#[derive(Debug)]
pub(super) struct IcmpSocket {
    socket: UdpSocket,
    /// On a raw socket: the identifier that is ours.
    pub(super) raw: Option<u16>,
}

impl IcmpSocket {
    /// Opens a socket and connects it, so that only the target's packets, and errors about it, come in.
    ///
    /// # Errors
    /// `ProberFault` when we may not (with what to allow) or cannot, `Unreachable` without a route.
    pub(super) fn open(address: SocketAddr) -> Result<Self, Failure> {
        let (socket, raw) = Self::allowed(address).map_err(|error| not_allowed(&error))?;
        Self::connected(socket, raw, address).map_err(|error| Failure::io(&error, address, "opening an ICMP socket"))
    }

    fn allowed(address: SocketAddr) -> io::Result<(Socket, Option<u16>)> {
        let (domain, protocol) =
            if address.is_ipv4() { (Domain::IPV4, Protocol::ICMPV4) } else { (Domain::IPV6, Protocol::ICMPV6) };
        match Socket::new(domain, Type::DGRAM.nonblocking(), Some(protocol)) {
            Ok(socket) => Ok((socket, None)),
            Err(error) if Failure::ours(&error).is_some() => Err(error),
            Err(_) => {
                let identifier = rand::random();
                let socket = Socket::new(domain, Type::RAW.nonblocking(), Some(protocol))?;
                socket.attach_filter(&replies_only(address.is_ipv4(), identifier))?;
                Ok((socket, Some(identifier)))
            }
        }
    }

    fn connected(socket: Socket, raw: Option<u16>, address: SocketAddr) -> io::Result<Self> {
        // Without it the kernel keeps "host unreachable" and the like to itself.
        if address.is_ipv4() {
            setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?;
        }
        socket.connect(&address.into())?;
        Ok(Self { socket: UdpSocket::from_std(socket.into())?, raw })
    }

    /// Sends one request.
    pub(super) async fn send(&self, packet: &[u8]) -> io::Result<()> {
        self.socket.send(packet).await.map(drop)
    }

    /// A packet that has come already, whether or not its coming was announced.
    pub(super) fn take(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?)
    }

    /// Waits for a packet, or for an error that the network reports about one of ours.
    pub(super) async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.recv(buffer).await
    }
}

fn not_allowed(error: &io::Error) -> Failure {
    Failure::ours(error).unwrap_or_else(|| Failure::new(Reason::ProberFault, format!("{REMEDY} ({error})")))
}

/// Whether a send failed because the packet is larger than any can be.
pub(super) fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(MESSAGE_TOO_LONG)
}

/// A raw socket sees all ICMP of its target. This lets in echo replies with our identifier alone, before they take room
/// in the receive buffer. ICMPv6 is seen without its IP header, IPv4 with it.
fn replies_only(v4: bool, identifier: u16) -> [SockFilter; 7] {
    const LOAD_IP_HEADER_LENGTH: u16 = 0xb1;
    const LOAD_BYTE_BEHIND: u16 = 0x50;
    const LOAD_WORD_BEHIND: u16 = 0x48;
    const SET_INDEX: u16 = 0x01;
    const JUMP_IF_EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let header = if v4 { LOAD_IP_HEADER_LENGTH } else { SET_INDEX };
    let reply = if v4 { 0 } else { 129 };
    [
        SockFilter::new(header, 0, 0, 0),
        SockFilter::new(LOAD_BYTE_BEHIND, 0, 0, 0),
        SockFilter::new(JUMP_IF_EQUAL, 0, 3, reply),
        SockFilter::new(LOAD_WORD_BEHIND, 0, 0, 4),
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(identifier)),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
