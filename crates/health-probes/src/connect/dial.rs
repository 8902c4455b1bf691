//! Opens TCP connections: a fresh socket each time, several addresses raced (RFC 8305).

use std::{io, net::SocketAddr, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use health_model::Reason;
use tokio::{
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep},
};

use crate::{failure::Failure, trace::Trace};

/// How long one address is waited for before the next is tried beside it (RFC 8305 section 5).
const ATTEMPT_DELAY: Duration = Duration::from_millis(250);
/// The kernel never chooses a local port below this one, so a socket cannot meet itself there.
const FIRST_CHOSEN_PORT: u16 = 1024;

/// Connects to the first address that answers, in the order given, leaving its address in `trace.remote`.
///
/// # Errors
/// When none answers: the failure that says most about the target.
pub(super) async fn dial(addresses: &[SocketAddr], trace: &mut Trace) -> Result<TcpStream, Failure> {
    match addresses {
        [only] => {
            trace.remote = Some(*only);
            connect(*only).await.map_err(|error| Failure::io(&error, *only, "connecting"))
        }
        several => Box::pin(race(several, trace)).await,
    }
}

async fn race(addresses: &[SocketAddr], trace: &mut Trace) -> Result<TcpStream, Failure> {
    let attempt = |address: SocketAddr| async move { (address, connect(address).await) };
    let mut waiting = addresses.iter().copied();
    let mut running = FuturesUnordered::new();
    let mut failures = Vec::new();
    let mut delay = std::pin::pin!(sleep(ATTEMPT_DELAY));
    let mut start_another = true;
    loop {
        if start_another && let Some(address) = waiting.next() {
            trace.remote = Some(address);
            running.push(attempt(address));
            delay.as_mut().reset(Instant::now() + ATTEMPT_DELAY);
        }
        start_another = tokio::select! {
            biased;
            Some((address, result)) = running.next() => match result {
                Ok(stream) => {
                    trace.remote = Some(address);
                    return Ok(stream);
                }
                Err(error) => {
                    let failure = Failure::io(&error, address, "connecting");
                    trace.note(format!("{address}: {}", failure.message));
                    failures.push((address, failure));
                    true
                }
            },
            () = delay.as_mut(), if waiting.len() > 0 => true,
            else => return Err(most_telling(failures, trace)),
        };
    }
}

/// Of several addresses that all failed, the failure that says most about the target: a refusal rather than a missing
/// route, and a missing address of ours in one family last of all.
fn most_telling(failures: Vec<(SocketAddr, Failure)>, trace: &mut Trace) -> Failure {
    let rank = |address: &SocketAddr, reason: Reason| match reason {
        Reason::ProberFault if address.is_ipv6() => 3,
        Reason::ProberFault => 1,
        Reason::Unreachable => 2,
        _ => 0,
    };
    let count = failures.len();
    let telling = failures.into_iter().min_by_key(|(address, failure)| rank(address, failure.reason));
    match telling {
        Some((address, mut failure)) => {
            trace.remote = Some(address);
            if count > 1 {
                failure.message = format!("{} ({count} addresses tried, none answers)", failure.message);
            }
            failure
        }
        None => Failure::new(Reason::NameNotResolved, "there is no address to connect to"),
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    if address.port() >= FIRST_CHOSEN_PORT && stream.local_addr()? == address {
        // Nobody listens, but the kernel chose the target's own port for us and both SYNs crossed.
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}
