//! Taking the ports, before anything else is done: a taken one is found at once, and its flag named.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener as StdListener, ToSocketAddrs},
};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;

use crate::cli::BindAddress;

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 1024;

/// Why an address could not be taken.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address} ({flag}): {cause}; {remedy}")]
pub(crate) struct ListenError {
    address: String,
    flag: &'static str,
    cause: io::Error,
    remedy: &'static str,
}

/// Takes an address for the server that `flag` configures. Must be called within a tokio runtime.
///
/// # Errors
/// As [`bind_plain`].
pub(crate) fn bind(address: &BindAddress, flag: &'static str) -> Result<TcpListener, ListenError> {
    let listener = bind_plain(address, flag)?;
    let ready = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
    ready.map_err(|cause| refusal(address, flag, cause))
}

/// Takes an address without a runtime.
///
/// `:port` takes the port on every address of both families, or of IPv4 alone where the machine has no IPv6.
///
/// # Errors
/// [`ListenError`] names address, flag, cause and remedy.
pub(crate) fn bind_plain(address: &BindAddress, flag: &'static str) -> Result<StdListener, ListenError> {
    take(address).map_err(|cause| refusal(address, flag, cause))
}

fn refusal(address: &BindAddress, flag: &'static str, cause: io::Error) -> ListenError {
    let remedy = match cause.kind() {
        io::ErrorKind::AddrInUse => "end the process that holds it, or choose another port",
        io::ErrorKind::PermissionDenied => "choose a port above 1023, or grant CAP_NET_BIND_SERVICE",
        io::ErrorKind::AddrNotAvailable => "choose an address of this machine, or none for all of them",
        _ => "choose another address",
    };
    ListenError { address: address.to_string(), flag, cause, remedy }
}

fn take(address: &BindAddress) -> io::Result<StdListener> {
    match &address.host {
        None => listen_on_both(address.port),
        Some(host) => listen_on_first((host.as_str(), address.port).to_socket_addrs()?),
    }
}

fn listen_on_both(port: u16) -> io::Result<StdListener> {
    match listen((Ipv6Addr::UNSPECIFIED, port).into()) {
        Err(error) if no_ipv6(&error) => listen((Ipv4Addr::UNSPECIFIED, port).into()),
        taken_or_not => taken_or_not,
    }
}

fn no_ipv6(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no stable ErrorKind; the other two come from kernels with IPv6 disabled at run time.
    !matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

fn listen_on_first(addresses: impl Iterator<Item = SocketAddr>) -> io::Result<StdListener> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in addresses {
        match listen(address) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // So that a restart is not kept from its port by connections of the process before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[tokio::test]
    async fn a_bare_port_is_taken_on_both_families() {
        let listener = bind(&":0".parse().unwrap(), "--rest-bind-address").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok());
        if listener.local_addr().unwrap().is_ipv6() {
            assert!(TcpStream::connect((Ipv6Addr::LOCALHOST, port)).is_ok());
        }
    }

    #[tokio::test]
    async fn a_taken_port_is_answered_with_address_flag_and_remedy() {
        let first = bind(&"127.0.0.1:0".parse().unwrap(), "--rest-bind-address").unwrap();
        let port = first.local_addr().unwrap().port();
        for second in [format!("127.0.0.1:{port}"), format!(":{port}")] {
            let error = bind(&second.parse().unwrap(), "--metrics-bind-address").unwrap_err().to_string();
            assert!(error.starts_with(&format!("cannot listen on {second} (--metrics-bind-address): ")), "{error}");
            assert!(error.ends_with("end the process that holds it, or choose another port"), "{error}");
        }
    }
}
