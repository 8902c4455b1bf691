//! `dns`: one question to a name server, and whether the answer is the expected one.
//!
//! The question leaves from a random port with a random id, and only what answers exactly that is believed. With an
//! explicit `server`, `name` is absolute, as `dig` takes it. Asked of the system's servers, it is completed as programs
//! on this system would have it: by the search domains of `resolv.conf`, unless it ends in a dot.

mod https;
mod message;
mod transport;
mod verdict;

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
    time::{Duration, Instant},
};

use health_model::{DnsProbe, DnsServer, DnsTransport, Host, Reason};
use hickory_proto::rr::{Name, RecordType};

use self::{
    message::{Answer, Question},
    transport::Server,
};
use crate::{Ask, failure::Failure, trace::Trace};

/// One of several servers is not waited for longer than this before the next is asked.
const LONGEST_TURN: Duration = Duration::from_secs(3);

/// Asks, and judges the answer.
pub(crate) async fn probe(ask: &Ask<'_>, dns: &DnsProbe, trace: &mut Trace) -> Result<String, Failure> {
    let kind = record_type(&dns.record_type)?;
    let (servers, names) = match &dns.server {
        DnsServer::System => {
            let system = ask.connector.system_name_servers()?;
            let port = port(dns.transport);
            let servers: Vec<_> = (system.addresses.iter())
                .filter(|address| ask.family.admits(address.ip()))
                .map(|address| match dns.transport {
                    DnsTransport::Udp | DnsTransport::Tcp => *address,
                    DnsTransport::Tls | DnsTransport::Https => SocketAddr::new(address.ip(), port),
                })
                .map(|address| Server { address, host: Host::Address(address.ip()), url: None })
                .collect();
            (servers, completed(absolute(&dns.name, kind)?, &dns.name, &system.search, system.ndots))
        }
        DnsServer::Address { host, port: given } => {
            let port = given.unwrap_or_else(|| port(dns.transport));
            (servers_at(ask, host, port, None, trace).await?, vec![absolute(&dns.name, kind)?])
        }
        DnsServer::Url(url) => {
            let host = Host::parse(url.host_str().ok_or_else(|| Failure::configuration("server: has no host"))?);
            let port = url.port_or_known_default().unwrap_or_else(|| port(dns.transport));
            (servers_at(ask, &host, port, Some(url), trace).await?, vec![absolute(&dns.name, kind)?])
        }
    };
    if servers.is_empty() {
        return Err(Failure::new(
            Reason::NameNotResolved,
            format!("the system has no {} name server", ask.family.as_str()),
        ));
    }
    let mut told = None;
    for name in names {
        let question = Question { name, kind };
        let (answer, server) = ask_in_turn(ask, dns, &servers, &question, trace).await?;
        let found = answer.found_something();
        told = Some((answer, server, question));
        if found {
            break;
        }
    }
    let Some((answer, server, question)) = told else {
        return Err(Failure::configuration("name: is empty"));
    };
    // NOERROR is 0, which reads as if no code had come.
    trace.status_code = Some(answer.rcode).filter(|rcode| *rcode != 0);
    verdict::judge(dns, &question, &answer, server)
}

async fn servers_at<'a>(
    ask: &Ask<'_>,
    host: &Host,
    port: u16,
    url: Option<&'a url::Url>,
    trace: &mut Trace,
) -> Result<Vec<Server<'a>>, Failure> {
    let addresses = ask.connector.resolve(host, port, ask.family, trace).await?;
    Ok(addresses.into_iter().map(|address| Server { address, host: host.clone(), url }).collect())
}

/// Asks one server after the other until one answers, each for its part of the time that is left.
async fn ask_in_turn(
    ask: &Ask<'_>,
    dns: &DnsProbe,
    servers: &[Server<'_>],
    question: &Question,
    trace: &mut Trace,
) -> Result<(Answer, SocketAddr), Failure> {
    let mut last = None;
    for (turn, server) in servers.iter().enumerate() {
        let waiting = u32::try_from(servers.len() - turn).unwrap_or(u32::MAX);
        let now = Instant::now();
        let left = ask.deadline.saturating_duration_since(now);
        let until = if waiting == 1 { ask.deadline } else { now + LONGEST_TURN.min(left / waiting) };
        trace.remote = Some(server.address);
        let asked = transport::ask(ask, dns, server, question, trace);
        let failure = match tokio::time::timeout_at(until.into(), asked).await {
            Ok(Ok(answer)) if answer.is_refusal() && waiting > 1 => {
                trace.note(format!("{}: {}", server.address, message::rcode_word(answer.rcode)));
                continue;
            }
            Ok(Ok(answer)) => return Ok((answer, server.address)),
            Ok(Err(failure)) => failure,
            Err(_) => Failure::timeout(),
        };
        trace.note(format!("{}: {}", server.address, failure.message));
        last = Some(failure);
    }
    Err(last.unwrap_or_else(Failure::timeout))
}

/// Judges bytes as the answer to a question that was asked with whatever id they begin with.
#[cfg(any(test, fuzzing))]
pub(crate) fn judge_bytes(dns: &DnsProbe, bytes: &[u8]) -> Result<String, Failure> {
    let kind = record_type(&dns.record_type)?;
    let question = Question { name: absolute(&dns.name, kind)?, kind };
    let id = bytes.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let server = SocketAddr::from(([192, 0, 2, 53], 53));
    let answer = message::decode(bytes, &question, id).map_err(|problem| transport::no_answer(server, &problem))?;
    verdict::judge(dns, &question, &answer, server)
}

const fn port(transport: DnsTransport) -> u16 {
    match transport {
        DnsTransport::Udp | DnsTransport::Tcp => 53,
        DnsTransport::Tls => 853,
        DnsTransport::Https => 443,
    }
}

fn record_type(word: &str) -> Result<RecordType, Failure> {
    let numbered = || word.strip_prefix("TYPE").and_then(|number| number.parse::<u16>().ok()).map(RecordType::from);
    RecordType::from_str(word).ok().or_else(numbered).ok_or_else(|| {
        Failure::configuration(format!("type: {word:?} is no record type known here: write it as TYPEnnn"))
    })
}

/// The name as asked for; an address with type PTR is turned around.
fn absolute(name: &str, kind: RecordType) -> Result<Name, Failure> {
    if kind == RecordType::PTR
        && let Ok(address) = name.parse::<IpAddr>()
    {
        return Ok(Name::from(address));
    }
    let mut parsed = Name::from_str_relaxed(name)
        .map_err(|error| Failure::configuration(format!("name: {name:?} is no domain name ({error})")))?;
    parsed.set_fqdn(true);
    Ok(parsed)
}

/// The names that a name may mean to the system, in the order in which resolv.conf(5) asks for them.
fn completed(absolute: Name, written: &str, search: &[Name], ndots: usize) -> Vec<Name> {
    if written.ends_with('.') {
        return vec![absolute];
    }
    let mut relative = absolute.clone();
    relative.set_fqdn(false);
    let mut names: Vec<Name> = (search.iter())
        .filter_map(|domain| relative.clone().append_domain(domain).ok())
        .map(|mut name| {
            name.set_fqdn(true);
            name
        })
        .collect();
    let dots = written.bytes().filter(|byte| *byte == b'.').count();
    // As written comes last in any case of doubt: its answer is the one that is told when none finds anything.
    if dots >= ndots {
        names.insert(0, absolute);
    } else {
        names.push(absolute);
    }
    names.dedup();
    names
}
