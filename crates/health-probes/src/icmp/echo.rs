//! Echo requests and replies as bytes (RFC 792, RFC 4443 section 4): built, recognised, never sent here.

use std::net::IpAddr;

/// Bytes of an ICMP echo header.
const HEADER: usize = 8;
const V4_REQUEST: u8 = 8;
const V4_REPLY: u8 = 0;
const V6_REQUEST: u8 = 128;
const V6_REPLY: u8 = 129;

/// The echo requests of one probe: they differ in nothing but their sequence number.
#[derive(Debug)]
pub(super) struct Echo {
    packet: Vec<u8>,
    reply: u8,
    /// The kernel neither fills in our identifier nor takes off the IP header.
    raw: Option<u16>,
    ip_header: bool,
    checksum: bool,
}

impl Echo {
    /// Requests with so many bytes of payload, filled with a mark that only this probe knows. `raw` is the identifier
    /// on a raw socket; on a datagram socket the kernel chooses one.
    pub(super) fn new(address: IpAddr, raw: Option<u16>, payload: u16) -> Self {
        let (request, reply) = if address.is_ipv4() { (V4_REQUEST, V4_REPLY) } else { (V6_REQUEST, V6_REPLY) };
        let mut packet = vec![0; HEADER + usize::from(payload)];
        packet[0] = request;
        packet[4..6].copy_from_slice(&raw.unwrap_or(0).to_be_bytes());
        rand::fill(&mut packet[HEADER..]);
        // The kernel sums ICMPv6, which includes addresses only it knows, and what leaves through a datagram socket.
        Self {
            packet,
            reply,
            raw,
            ip_header: raw.is_some() && address.is_ipv4(),
            checksum: raw.is_some() && address.is_ipv4(),
        }
    }

    /// The bytes of one request.
    pub(super) fn request(&mut self, sequence: u16) -> &[u8] {
        self.packet[6..8].copy_from_slice(&sequence.to_be_bytes());
        if self.checksum {
            self.packet[2..4].fill(0);
            let sum = checksum(&self.packet);
            self.packet[2..4].copy_from_slice(&sum.to_be_bytes());
        }
        &self.packet
    }

    /// The sequence number that a received packet answers, if it is a reply to this probe with its payload intact.
    pub(super) fn answered(&self, received: &[u8]) -> Option<u16> {
        let icmp = if self.ip_header { after_ip_header(received)? } else { received };
        let (header, payload) = icmp.split_at_checked(HEADER)?;
        let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
        let ours = header[0] == self.reply
            && header[1] == 0
            && self.raw.is_none_or(|identifier| word(4) == identifier)
            && payload == &self.packet[HEADER..];
        ours.then(|| word(6))
    }
}

fn after_ip_header(packet: &[u8]) -> Option<&[u8]> {
    let words = usize::from(packet.first()? & 0x0f);
    packet.get(words * 4..)
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = 0;
    for pair in bytes.chunks(2) {
        sum += u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::*;

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    fn reply_to(request: &[u8], kind: u8) -> Vec<u8> {
        let mut reply = request.to_vec();
        reply[0] = kind;
        reply
    }

    #[test]
    fn a_summed_packet_sums_to_zero() {
        let mut echo = Echo::new(V4, Some(7), 57);
        assert_eq!(checksum(echo.request(3)), 0);
        assert_eq!(checksum(echo.request(4)), 0);
    }

    #[test]
    fn a_reply_is_known_by_kind_and_payload() {
        let mut echo = Echo::new(V4, None, 56);
        let request = echo.request(9).to_vec();
        assert_eq!(echo.answered(&reply_to(&request, V4_REPLY)), Some(9));
        assert_eq!(echo.answered(&request), None, "our own request, seen on loopback");
        assert_eq!(echo.answered(&reply_to(&request, V6_REPLY)), None);
        let mut bent = reply_to(&request, V4_REPLY);
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(echo.answered(&bent), None);
        assert_eq!(echo.answered(&reply_to(&request, V4_REPLY)[..40]), None);
    }

    #[test]
    fn a_raw_socket_takes_only_its_own_identifier_behind_the_ip_header() {
        let mut echo = Echo::new(V4, Some(0x0102), 8);
        let mut packet = vec![0x45; 20];
        packet.extend(reply_to(echo.request(1), V4_REPLY));
        assert_eq!(echo.answered(&packet), Some(1));
        packet[20 + 5] ^= 1;
        assert_eq!(echo.answered(&packet), None);
        assert_eq!(echo.answered(&[0x4f]), None);
        assert_eq!(echo.answered(&[]), None);
    }

    #[test]
    fn v6_has_kinds_of_its_own() {
        let mut echo = Echo::new(V6, Some(5), 0);
        let request = echo.request(65535).to_vec();
        assert_eq!(request[0], V6_REQUEST);
        assert_eq!(echo.answered(&reply_to(&request, V6_REPLY)), Some(65535));
    }
}
