//! `udp`: one datagram, and what comes back.
//!
//! UDP has no handshake, so what silence means depends on what was asked for: with `expect` it is a [`Reason::Timeout`];
//! without, it is good, for many services never answer, while a host on which nobody listens says so (ICMP port
//! unreachable) unless a firewall swallows it. How long the refusal is waited for is [`REFUSAL_WAIT`].

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use health_model::{Pattern, Reason, UdpProbe};
use tokio::net::UdpSocket;

use crate::{
    Ask,
    dialogue::{Heard, confidential},
    failure::Failure,
    trace::{Phase, Trace},
};

/// Without `expect`: how long an answer or a refusal is waited for.
const REFUSAL_WAIT: Duration = Duration::from_millis(500);
/// With `expect`: how long a matching datagram is waited for after one that does not match.
const MORE_WAIT: Duration = Duration::from_secs(1);
/// The verdict on an answer that does not match is spoken this long before the deadline, at most.
const LONGEST_MARGIN: Duration = Duration::from_millis(50);
/// The margin is at most this part of the time there is.
const MARGIN_PART: u32 = 20;
/// The largest datagram there is.
const LARGEST: usize = 65_536;

/// Sends the datagram to the first address that does not refuse it.
pub(crate) async fn probe(ask: &Ask<'_>, udp: &UdpProbe, trace: &mut Trace) -> Result<String, Failure> {
    let addresses = ask.connector.resolve(&udp.host, udp.port, ask.family, trace).await?;
    let mut refused = None;
    for address in addresses {
        trace.remote = Some(address);
        match ask_address(udp, address, ask.deadline, trace).await {
            Err(failure) if matches!(failure.reason, Reason::ConnectionRefused | Reason::Unreachable) => {
                trace.note(failure.message.as_str());
                refused = Some(failure);
            }
            other => return other,
        }
    }
    Err(refused.unwrap_or_else(|| Failure::new(Reason::NameNotResolved, format!("{} has no address", udp.host))))
}

async fn ask_address(
    udp: &UdpProbe,
    address: SocketAddr,
    deadline: Instant,
    trace: &mut Trace,
) -> Result<String, Failure> {
    let broken = |error: io::Error| Failure::io(&error, address, "sending a datagram");
    trace.enter(Phase::Connect);
    let socket = connected(address).await.map_err(broken)?;
    trace.enter(Phase::Processing);
    socket.send(&udp.send).await.map_err(broken)?;
    let result = match &udp.expect {
        Some(expect) => expected(&socket, udp, expect, deadline, trace).await,
        None => unrefused(&socket, address, deadline).await,
    };
    trace.leave();
    result
}

/// A socket on a port that the kernel chooses at random; it hears only this peer.
pub(crate) async fn connected(address: SocketAddr) -> io::Result<UdpSocket> {
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    report_errors(&socket, address)?;
    Ok(socket)
}

/// Has the kernel report not only "port unreachable" but "host unreachable" and the like, too.
fn report_errors(socket: &UdpSocket, address: SocketAddr) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};
    if address.is_ipv4() {
        setsockopt(socket, sockopt::Ipv4RecvErr, &true)?;
    } else {
        setsockopt(socket, sockopt::Ipv6RecvErr, &true)?;
    }
    Ok(())
}

async fn unrefused(socket: &UdpSocket, address: SocketAddr, deadline: Instant) -> Result<String, Failure> {
    let now = Instant::now();
    let until = now + REFUSAL_WAIT.min(deadline.saturating_duration_since(now) / 2);
    let mut buffer = vec![0; LARGEST];
    match tokio::time::timeout_at(until.into(), socket.recv(&mut buffer)).await {
        Ok(Ok(length)) => Ok(format!("Answered with {length} bytes")),
        Ok(Err(error)) => Err(Failure::io(&error, address, "waiting for an answer")),
        Err(_) => Ok("Sent, not refused".to_owned()),
    }
}

async fn expected(
    socket: &UdpSocket,
    udp: &UdpProbe,
    expect: &Pattern,
    deadline: Instant,
    trace: &mut Trace,
) -> Result<String, Failure> {
    let left = deadline.saturating_duration_since(Instant::now());
    let verdict = deadline - LONGEST_MARGIN.min(left / MARGIN_PART);
    let mut buffer = vec![0; LARGEST];
    let mut heard = Heard::hiding(confidential(&udp.send).collect());
    let mut until = None;
    loop {
        let received = match until {
            None => socket.recv(&mut buffer).await,
            Some(until) => match tokio::time::timeout_at(Instant::into(until), socket.recv(&mut buffer)).await {
                Ok(received) => received,
                Err(_) => return Err(heard.unexpected(expect, "what came is")),
            },
        };
        let length = received.map_err(|error| trace.broken(&error, "waiting for an answer"))?;
        heard.extend(&buffer[..length]);
        heard.note(trace);
        if heard.take_match(expect) {
            return Ok("Answered as expected".to_owned());
        }
        if heard.is_full() {
            return Err(heard.unexpected(expect, "64 KiB came without it"));
        }
        until.get_or_insert_with(|| verdict.min(Instant::now() + MORE_WAIT));
    }
}
