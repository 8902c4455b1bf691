//! The conversation with one address: when to send, how long to wait, what the loss means.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    time::{Duration, Instant},
};

use health_model::{IcmpProbe, Reason};

use super::{
    echo::Echo,
    socket::{IcmpSocket, is_too_long},
};
use crate::failure::Failure;

/// A request that is not answered for so long does not hold up the next.
const LONGEST_GAP: Duration = Duration::from_millis(200);
/// Once a target has answered at all, the rest is waited for at least this long before it counts as lost.
const SHORTEST_PATIENCE: Duration = Duration::from_secs(1);
/// A reply may take so many times longer than the slowest before it.
const PATIENCE: u32 = 4;
/// The verdict is spoken this long before the deadline, at most, so that a loss is called a loss and not a timeout.
const LONGEST_MARGIN: Duration = Duration::from_millis(50);
/// The margin is at most this part of the time there is.
const MARGIN_PART: u32 = 20;
/// The longest IP header and the ICMP header.
const LARGEST_HEADERS: usize = 60 + 8;

/// One probe's requests to one address.
pub(super) struct Exchange<'a> {
    socket: &'a IcmpSocket,
    icmp: &'a IcmpProbe,
    address: IpAddr,
    echo: Echo,
    buffer: Vec<u8>,
    /// When each request left; `None` once it is answered.
    waiting: Vec<Option<Instant>>,
    round_trips: RoundTrips,
    /// When the verdict is due.
    verdict: Instant,
    /// The last error that the network reported.
    refusal: Option<io::Error>,
}

impl<'a> Exchange<'a> {
    /// Prepares the requests; sends none.
    pub(super) fn new(socket: &'a IcmpSocket, icmp: &'a IcmpProbe, address: IpAddr, deadline: Instant) -> Self {
        let left = deadline.saturating_duration_since(Instant::now());
        Self {
            socket,
            icmp,
            address,
            echo: Echo::new(address, socket.raw, icmp.payload_bytes),
            buffer: vec![0; usize::from(icmp.payload_bytes) + LARGEST_HEADERS],
            waiting: Vec::with_capacity(usize::from(icmp.count)),
            round_trips: RoundTrips::default(),
            verdict: deadline - LONGEST_MARGIN.min(left / MARGIN_PART),
            refusal: None,
        }
    }

    /// Sends all requests and judges what came back.
    pub(super) async fn run(mut self) -> Result<String, Failure> {
        for sequence in 0..self.icmp.count {
            let sent = self.socket.send(self.echo.request(sequence)).await;
            self.waiting.push(Some(Instant::now()));
            match sent {
                Ok(()) => {
                    let until = self.next_request(sequence);
                    self.listen_until(until, |this| this.waiting[usize::from(sequence)].is_none()).await?;
                }
                Err(error) if is_too_long(&error) => {
                    return Err(Failure::configuration(format!(
                        "payloadBytes: {} is more than a packet to {} can hold",
                        self.icmp.payload_bytes, self.address
                    )));
                }
                Err(error) => self.refused(error)?,
            }
        }
        while !self.is_complete() && Instant::now() < self.patience() {
            let until = self.patience();
            let before = self.round_trips.count;
            // Each reply may lengthen the patience with those that are still out.
            self.listen_until(until, |this| this.is_complete() || this.round_trips.count > before).await?;
        }
        // Where this process was starved, replies may lie there unread.
        while !self.is_complete()
            && let Ok(length) = self.socket.take(&mut self.buffer)
        {
            self.received(length);
        }
        judge(self.icmp, self.address, &self.round_trips, self.refusal.as_ref())
    }

    fn is_complete(&self) -> bool {
        self.round_trips.count >= u32::from(self.icmp.count)
    }

    /// Until when the reply to this request is waited for before the next leaves: all of them must leave in time.
    fn next_request(&self, sequence: u16) -> Instant {
        let now = Instant::now();
        let left = u32::from(self.icmp.count - sequence);
        now + LONGEST_GAP.min(self.verdict.saturating_duration_since(now) / (left + 1))
    }

    /// Until when replies are waited for once all requests have left.
    fn patience(&self) -> Instant {
        let Some(last) = self.waiting.iter().flatten().max() else { return self.verdict };
        if self.round_trips.count == 0 && self.refusal.is_none() {
            return self.verdict;
        }
        self.verdict.min(*last + SHORTEST_PATIENCE.max(self.round_trips.slowest * PATIENCE))
    }

    async fn listen_until(&mut self, until: Instant, done: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        while !done(self) {
            let received = tokio::time::timeout_at(until.into(), self.socket.receive(&mut self.buffer)).await;
            match received {
                Err(_) => return Ok(()),
                Ok(Ok(length)) => self.received(length),
                Ok(Err(error)) => self.refused(error)?,
            }
        }
        Ok(())
    }

    fn received(&mut self, length: usize) {
        let answered = self.buffer.get(..length).and_then(|packet| self.echo.answered(packet));
        let sent = answered.and_then(|sequence| self.waiting.get_mut(usize::from(sequence))).and_then(Option::take);
        if let Some(sent) = sent {
            self.round_trips.add(sent.elapsed());
        }
    }

    /// The network reports that a request did not arrive. It speaks for all of them unless one was answered.
    fn refused(&mut self, error: io::Error) -> Result<(), Failure> {
        if self.round_trips.count == 0 {
            return Err(self.unreachable(&error));
        }
        self.refusal = Some(error);
        Ok(())
    }

    fn unreachable(&self, error: &io::Error) -> Failure {
        let failure = Failure::io(error, SocketAddr::new(self.address, 0), "sending an echo request");
        match failure.reason {
            Reason::ProberFault => failure,
            _ => Failure::new(Reason::Unreachable, format!("{} cannot be reached ({error})", self.address)),
        }
    }
}

/// What so many replies mean, and what the network reported on the way.
fn judge(
    icmp: &IcmpProbe,
    address: IpAddr,
    round_trips: &RoundTrips,
    refusal: Option<&io::Error>,
) -> Result<String, Failure> {
    let (count, received) = (u32::from(icmp.count), round_trips.count);
    let lost = count.saturating_sub(received);
    if lost * 100 <= u32::from(icmp.max_loss_percent) * count {
        return Ok(format!("{received} of {count} replies{round_trips}"));
    }
    if received == 0 {
        return Err(Failure::timeout());
    }
    let percent = f64::from(lost) * 100.0 / f64::from(count);
    let refusal = refusal.map_or_else(String::new, |error| format!(" ({error})"));
    let allowed = icmp.max_loss_percent;
    Err(Failure::new(
        Reason::PacketLoss,
        format!(
            "{lost} of {count} echo requests to {address} lost ({percent:.0} %, maxLossPercent is {allowed}){refusal}{round_trips}"
        ),
    ))
}

/// How long replies took.
#[derive(Debug, Default)]
struct RoundTrips {
    count: u32,
    total: Duration,
    fastest: Option<Duration>,
    slowest: Duration,
}

impl RoundTrips {
    fn add(&mut self, took: Duration) {
        self.count += 1;
        self.total += took;
        self.fastest = Some(self.fastest.map_or(took, |fastest| fastest.min(took)));
        self.slowest = self.slowest.max(took);
    }
}

impl std::fmt::Display for RoundTrips {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Some(fastest) = self.fastest else { return Ok(()) };
        let milliseconds = |took: Duration| took.as_secs_f64() * 1000.0;
        let average = milliseconds(self.total) / f64::from(self.count.max(1));
        write!(
            f,
            ", round trip {:.2}/{average:.2}/{:.2} ms (min/avg/max)",
            milliseconds(fastest),
            milliseconds(self.slowest)
        )
    }
}

#[cfg(test)]
mod tests {
    use health_model::Host;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::all(10, 10, 0, None)]
    #[case::none_allowed(10, 9, 0, Some(Reason::PacketLoss))]
    #[case::just_allowed(10, 9, 10, None)]
    #[case::just_not(10, 8, 19, Some(Reason::PacketLoss))]
    #[case::of_three(3, 2, 33, Some(Reason::PacketLoss))]
    #[case::of_three_more(3, 2, 34, None)]
    #[case::silence(3, 0, 99, Some(Reason::Timeout))]
    #[case::silence_allowed(3, 0, 100, None)]
    fn the_loss_decides(#[case] count: u16, #[case] replies: u32, #[case] most: u8, #[case] reason: Option<Reason>) {
        let address = IpAddr::from([192, 0, 2, 1]);
        let icmp = IcmpProbe { host: Host::Address(address), count, max_loss_percent: most, payload_bytes: 56 };
        let mut round_trips = RoundTrips::default();
        for milliseconds in 1..=replies {
            round_trips.add(Duration::from_millis(milliseconds.into()));
        }
        let judged = judge(&icmp, address, &round_trips, None);
        assert_eq!(judged.as_ref().err().map(|failure| failure.reason), reason, "{judged:?}");
    }

    #[test]
    fn the_text_says_how_many_and_how_long() {
        let address = IpAddr::from([192, 0, 2, 1]);
        let icmp = IcmpProbe { host: Host::Address(address), count: 4, max_loss_percent: 10, payload_bytes: 56 };
        let mut round_trips = RoundTrips::default();
        round_trips.add(Duration::from_millis(1));
        round_trips.add(Duration::from_millis(4));
        let failure = judge(&icmp, address, &round_trips, None).err();
        assert_eq!(
            failure.map(|failure| failure.message).as_deref(),
            Some(
                "2 of 4 echo requests to 192.0.2.1 lost (50 %, maxLossPercent is 10), \
                 round trip 1.00/2.50/4.00 ms (min/avg/max)"
            )
        );
    }
}
