//! One name's way through hosts file, `localhost` and name servers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::{Either, select};
use hickory_resolver::{
    TokioResolver,
    net::{DnsError, NetError},
    proto::{
        op::ResponseCode,
        rr::{Name, RData, RecordType},
    },
};

use super::{
    Family,
    resolve::{Addresses, Answer, System, unresolved},
};
use crate::failure::Failure;

/// How long the other family's answer is waited for once one has come (RFC 8305 section 3).
const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// What is believed of a name of which one family did not answer in time.
const HALF_KNOWN_TTL: Duration = Duration::from_secs(5);
/// What is believed of names that need no name server.
const LOCAL_TTL: Duration = Duration::from_secs(5);
/// Addresses of one name that are tried at most.
const MOST_ADDRESSES: usize = 16;

/// `localhost` and every name below it (RFC 6761 section 6.3).
const LOOPBACK: [IpAddr; 2] = [IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)];

/// Resolves a name as written; a final dot makes it absolute.
pub(super) async fn resolve(system: Arc<System>, name: String, family: Family) -> Answer {
    let plain = name.strip_suffix('.').unwrap_or(&name).to_ascii_lowercase();
    let mut local: Vec<IpAddr> =
        system.hosts.get(&plain).iter().copied().filter(|address| family.admits(*address)).collect();
    if plain == "localhost" || plain.ends_with(".localhost") {
        // A hosts file often names but one family of it.
        let missing = LOOPBACK.into_iter().filter(|loopback| {
            family.admits(*loopback) && !local.iter().any(|known| known.is_ipv4() == loopback.is_ipv4())
        });
        local.extend(missing.collect::<Vec<_>>());
    }
    if !local.is_empty() {
        return Ok((interleave(local.into_iter()), LOCAL_TTL));
    }
    let servers = system.name_servers.as_ref().map_err(|problem| {
        unresolved(format!("{name} does not resolve: there is no name server to ask ({problem})"))
    })?;
    let candidates = candidates(&system, &name)?;
    let mut worst = None;
    for candidate in &candidates {
        match ask_both(servers, candidate, family).await {
            Ok(found) => return Ok(found),
            Err(NoAnswer::Silence) => return Err(Failure::timeout()),
            Err(problem) => worst = worst.max(Some(problem)),
        }
    }
    Err(unresolved(describe(&name, family, worst.as_ref(), &candidates)))
}

/// Why a candidate has no address, from the least to the most telling.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum NoAnswer {
    NoSuchName,
    NoSuchRecord,
    Refused(String),
    Silence,
}

fn describe(name: &str, family: Family, worst: Option<&NoAnswer>, candidates: &[Name]) -> String {
    let asked = match candidates {
        [] | [_] => String::new(),
        several => format!(" (asked for {} names of the search list, see resolv.conf)", several.len()),
    };
    match worst {
        Some(NoAnswer::NoSuchRecord) => match family {
            Family::Any => format!("{name} exists but has no address"),
            Family::V4 | Family::V6 => format!("{name} has no {} address", family.as_str()),
        },
        Some(NoAnswer::Refused(problem)) => format!("{name} does not resolve: the name server failed ({problem})"),
        Some(NoAnswer::NoSuchName | NoAnswer::Silence) | None => {
            format!("{name} does not resolve: no such name (NXDOMAIN){asked}")
        }
    }
}

/// The absolute names that a name may mean, in the order in which resolv.conf(5) asks for them.
fn candidates(system: &System, name: &str) -> Result<Vec<Name>, Failure> {
    let refused = |error| Failure::configuration(format!("{name:?} is no host name ({error})"));
    let mut written = Name::from_str_relaxed(name).map_err(refused)?;
    if written.is_fqdn() {
        return Ok(vec![written]);
    }
    let dots = usize::from(written.num_labels()).saturating_sub(1);
    let mut names: Vec<Name> =
        system.search.iter().filter_map(|domain| written.clone().append_domain(domain).ok()).collect();
    for name in &mut names {
        name.set_fqdn(true);
    }
    written.set_fqdn(true);
    let at = if dots >= system.ndots { 0 } else { names.len() };
    names.insert(at, written);
    names.dedup();
    Ok(names)
}

async fn ask_both(servers: &TokioResolver, name: &Name, family: Family) -> Result<(Addresses, Duration), NoAnswer> {
    let (v4, v6) = match family {
        Family::V4 => (Some(ask(servers, name, RecordType::A).await), None),
        Family::V6 => (None, Some(ask(servers, name, RecordType::AAAA).await)),
        Family::Any => ask_together(servers, name).await,
    };
    let complete = family != Family::Any || (v4.is_some() && v6.is_some());
    let mut addresses = Vec::new();
    let mut ttl = if complete { Duration::MAX } else { HALF_KNOWN_TTL };
    let mut problem = NoAnswer::NoSuchName;
    for answer in [v6, v4].into_iter().flatten() {
        match answer {
            Ok((found, good_for)) => {
                addresses.extend(found);
                ttl = ttl.min(good_for);
            }
            Err(NoAnswer::NoSuchName | NoAnswer::NoSuchRecord) if !addresses.is_empty() => {}
            Err(other) => {
                if matches!(other, NoAnswer::Silence | NoAnswer::Refused(_)) {
                    ttl = ttl.min(HALF_KNOWN_TTL);
                }
                problem = problem.max(other);
            }
        }
    }
    if addresses.is_empty() { Err(problem) } else { Ok((interleave(addresses.into_iter()), ttl)) }
}

type OneFamily = Result<(Vec<IpAddr>, Duration), NoAnswer>;

/// Asks for both families at once. Once one has addresses, the other gets [`RESOLUTION_DELAY`] to answer.
async fn ask_together(servers: &TokioResolver, name: &Name) -> (Option<OneFamily>, Option<OneFamily>) {
    let v4 = Box::pin(ask(servers, name, RecordType::A));
    let v6 = Box::pin(ask(servers, name, RecordType::AAAA));
    match select(v6, v4).await {
        Either::Left((v6 @ Ok(_), v4)) => (tokio::time::timeout(RESOLUTION_DELAY, v4).await.ok(), Some(v6)),
        Either::Left((v6, v4)) => (Some(v4.await), Some(v6)),
        Either::Right((v4 @ Ok(_), v6)) => (Some(v4), tokio::time::timeout(RESOLUTION_DELAY, v6).await.ok()),
        Either::Right((v4, v6)) => (Some(v4), Some(v6.await)),
    }
}

async fn ask(servers: &TokioResolver, name: &Name, kind: RecordType) -> OneFamily {
    match servers.lookup(name.clone(), kind).await {
        Ok(answer) => {
            let addresses: Vec<IpAddr> = answer
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::A(address) => Some(IpAddr::V4(address.0)),
                    RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                    _ => None,
                })
                .collect();
            let ttl = answer.valid_until().saturating_duration_since(Instant::now());
            if addresses.is_empty() { Err(NoAnswer::NoSuchRecord) } else { Ok((addresses, ttl)) }
        }
        Err(error) => Err(no_answer(&error)),
    }
}

fn no_answer(error: &NetError) -> NoAnswer {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(found)) => match found.response_code {
            ResponseCode::NXDomain => NoAnswer::NoSuchName,
            ResponseCode::NoError => NoAnswer::NoSuchRecord,
            code => NoAnswer::Refused(code.to_string()),
        },
        NetError::Dns(DnsError::ResponseCode(code)) => NoAnswer::Refused(code.to_string()),
        NetError::Timeout => NoAnswer::Silence,
        other => NoAnswer::Refused(other.to_string()),
    }
}

/// Families in turn, IPv6 first, each in the order of the answer (RFC 8305 section 4), bounded.
fn interleave(addresses: impl Iterator<Item = IpAddr>) -> Addresses {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.partition(IpAddr::is_ipv6);
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    let mut ordered = Vec::new();
    while ordered.len() < MOST_ADDRESSES {
        let before = ordered.len();
        ordered.extend(v6.next());
        ordered.extend(v4.next());
        if ordered.len() == before {
            break;
        }
    }
    ordered.into()
}
