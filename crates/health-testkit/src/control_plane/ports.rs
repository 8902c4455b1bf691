//! Free ports for servers that must be told theirs. Must not hand out ports of the kernel's ephemeral range: any
//! connection of a test running beside us may hold one of those by the time the server binds it.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

use super::ControlPlaneError;

const FIRST: u16 = 20_000;
const RANGE: u16 = 12_000;
const TRIES: usize = 1_000;

/// As many different ports as asked for, each free a moment ago.
pub(super) fn free<const N: usize>() -> Result<[u16; N], ControlPlaneError> {
    let mut ports = [0; N];
    // Held until all are found, so that no port is found twice.
    let mut held = Vec::with_capacity(N);
    for port in &mut ports {
        let listener = (0..TRIES)
            .find_map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, random_port())).ok())
            .ok_or_else(|| ControlPlaneError::new(format!("no free port among {RANGE} from {FIRST} on")))?;
        *port = listener.local_addr()?.port();
        held.push(listener);
    }
    Ok(ports)
}

/// Every `RandomState` has keys of its own, which is randomness enough to keep two test processes apart.
fn random_port() -> u16 {
    let hash = RandomState::new().build_hasher().finish();
    FIRST + u16::try_from(hash % u64::from(RANGE)).unwrap_or_default()
}
