//! A name server of a few lines: it knows A and AAAA records, and remembers what it was asked.

use std::{
    collections::HashMap,
    io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{net::UdpSocket, task::JoinHandle};

const RCODE_SERVFAIL: u8 = 2;
const RCODE_NXDOMAIN: u8 = 3;
const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;

/// What is known of one name.
#[derive(Clone, Debug, Default)]
struct Known {
    addresses: Vec<IpAddr>,
    fails: bool,
    silent: Vec<u16>,
}

/// A name server on a free UDP port of `127.0.0.1`; it ends when dropped.
#[derive(Debug)]
pub struct NameServer {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl NameServer {
    /// Serves these records: an absolute name with its final dot, and an address, `SERVFAIL` (for every question),
    /// `silent` (no answer at all) or `silent-AAAA` (no answer to that question). Several lines per name add up.
    ///
    /// # Errors
    /// When it cannot listen.
    pub async fn start(records: &[(&str, &str)]) -> io::Result<Self> {
        let mut known = HashMap::<String, Known>::new();
        for (name, value) in records {
            let entry = known.entry(name.to_ascii_lowercase()).or_default();
            match (*value, value.parse()) {
                (_, Ok(address)) => entry.addresses.push(address),
                ("SERVFAIL", _) => entry.fails = true,
                ("silent", _) => entry.silent.extend([TYPE_A, TYPE_AAAA]),
                ("silent-AAAA", _) => entry.silent.push(TYPE_AAAA),
                _ => return Err(io::Error::other(format!("no record: {value}"))),
            }
        }
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let port = socket.local_addr()?.port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            let mut buffer = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut buffer).await {
                let Some(question) = Question::read(&buffer[..length]) else { continue };
                let kind = if question.kind == TYPE_AAAA { "AAAA" } else { "A" };
                log.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{kind} {}", question.name));
                if let Some(answer) = question.answer(known.get(&question.name)) {
                    let _ = socket.send_to(&answer, client).await;
                }
            }
        });
        Ok(Self { port, asked, task })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every question so far, as `A db.example.`.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Question<'a> {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// The question section as it came.
    section: &'a [u8],
}

impl<'a> Question<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let id = [*message.first()?, *message.get(1)?];
        let mut at = 12;
        let mut name = String::new();
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            name.push_str(&String::from_utf8_lossy(message.get(at..at + length)?).to_ascii_lowercase());
            name.push('.');
            at += length;
        }
        let kind = u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]);
        Some(Self { id, name, kind, section: message.get(12..at + 4)? })
    }

    fn answer(&self, known: Option<&Known>) -> Option<Vec<u8>> {
        let (rcode, addresses) = match known {
            None => (RCODE_NXDOMAIN, Vec::new()),
            Some(known) if known.silent.contains(&self.kind) => return None,
            Some(known) if known.fails => (RCODE_SERVFAIL, Vec::new()),
            Some(known) => {
                let wanted = |address: &&IpAddr| address.is_ipv6() == (self.kind == TYPE_AAAA);
                (0, known.addresses.iter().filter(wanted).collect())
            }
        };
        let count = u8::try_from(addresses.len()).ok()?;
        let mut answer = vec![self.id[0], self.id[1], 0x81, 0x80 | rcode, 0, 1, 0, count, 0, 0, 0, 0];
        answer.extend_from_slice(self.section);
        for address in addresses {
            answer.extend_from_slice(&[0xc0, 12]);
            answer.extend_from_slice(&self.kind.to_be_bytes());
            answer.extend_from_slice(&[0, 1, 0, 0, 0, 30]);
            match address {
                IpAddr::V4(v4) => {
                    answer.extend_from_slice(&[0, 4]);
                    answer.extend_from_slice(&v4.octets());
                }
                IpAddr::V6(v6) => {
                    answer.extend_from_slice(&[0, 16]);
                    answer.extend_from_slice(&v6.octets());
                }
            }
        }
        Some(answer)
    }
}
