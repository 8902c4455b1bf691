//! `icmp`: echo requests, and how many of them are answered.
//!
//! Requests go out one at a time: the next leaves when the one before is answered, or overdue. Every probe has a socket
//! of its own, which the kernel gives no other probe's replies, so that any number of probes can be in flight without
//! crowding each other out of a receive buffer.

mod echo;
mod exchange;
mod socket;

use health_model::{IcmpProbe, Reason};

use self::{exchange::Exchange, socket::IcmpSocket};
use crate::{
    Ask,
    failure::Failure,
    trace::{Phase, Trace},
};

/// Sends `count` echo requests and judges the loss. An address without a route gives way to the next of the name.
pub(crate) async fn probe(ask: &Ask<'_>, icmp: &IcmpProbe, trace: &mut Trace) -> Result<String, Failure> {
    let addresses = ask.connector.resolve(&icmp.host, 0, ask.family, trace).await?;
    let mut unreachable = None;
    for address in addresses {
        trace.remote = Some(address);
        trace.enter(Phase::Connect);
        let result = match IcmpSocket::open(address) {
            Ok(socket) => {
                trace.enter(Phase::Processing);
                Exchange::new(&socket, icmp, address.ip(), ask.deadline).run().await
            }
            Err(failure) => Err(failure),
        };
        trace.leave();
        match result {
            Err(failure) if failure.reason == Reason::Unreachable => {
                trace.note(failure.message.as_str());
                unreachable = Some(failure);
            }
            other => return other,
        }
    }
    Err(unreachable.unwrap_or_else(|| Failure::new(Reason::NameNotResolved, format!("{} has no address", icmp.host))))
}
