//! Opens TCP connections: a fresh socket each time.

use std::net::SocketAddr;

use tokio::net::{TcpSocket, TcpStream};

use crate::{failure::Failure, trace::Trace};

/// Connects to the first address that answers.
pub(super) async fn dial(addresses: &[SocketAddr], trace: &mut Trace) -> Result<TcpStream, Failure> {
    let mut last = None;
    for &address in addresses {
        trace.remote = Some(address);
        match dial_one(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                trace.note(format!("{address}: {error}"));
                last = Some(Failure::io(&error, address, "connecting"));
            }
        }
    }
    Err(last.unwrap_or_else(|| Failure::protocol("no address to connect to")))
}

async fn dial_one(address: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_nodelay(true)?;
    socket.connect(address).await
}
