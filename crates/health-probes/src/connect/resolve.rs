//! Names into addresses: hosts file, `localhost`, then the system's name servers with search domains.
//!
//! `/etc/resolv.conf` and `/etc/hosts` are read again when they change. Answers are kept for their time to live, at most a
//! minute; failures are not kept, but askers of the same name share one question. It does not know the address policy.

use std::{
    collections::HashMap,
    io::Read,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::{Duration, Instant, SystemTime},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use health_model::Reason;
use hickory_resolver::{
    TokioResolver, config::ResolverConfig, config::ResolverOpts, net::runtime::TokioRuntimeProvider, proto::rr::Name,
};

use super::{
    Family,
    hosts::{self, Hosts},
    query,
};
use crate::failure::Failure;

/// Names kept at most; beyond it, names are asked for anew each time.
const MOST_NAMES: usize = 16_384;
/// An answer is not believed for longer than this.
const LONGEST_TTL: Duration = Duration::from_secs(60);
/// An answer is believed at least for so long: probes that start together share it.
const SHORTEST_TTL: Duration = Duration::from_secs(1);
/// How often the two files are looked at, at most.
const FILES_CHECKED_EVERY: Duration = Duration::from_secs(1);
/// Bytes of `resolv.conf` that are read at most.
const LARGEST_RESOLV_CONF: u64 = 64 << 10;

/// Where the resolver finds what the system says about names.
#[derive(Clone, Debug)]
pub struct ResolverSettings {
    /// `resolv.conf`
    pub resolv_conf: PathBuf,
    /// `hosts`
    pub hosts: PathBuf,
    /// The port of the name servers that `resolv.conf` names: 53 everywhere but in tests.
    pub name_server_port: u16,
}

impl Default for ResolverSettings {
    fn default() -> Self {
        Self { resolv_conf: "/etc/resolv.conf".into(), hosts: "/etc/hosts".into(), name_server_port: 53 }
    }
}

/// The addresses of one name, in the order in which they are to be tried.
pub(super) type Addresses = Arc<[IpAddr]>;
/// What asking for one name came to, and until when it is good.
pub(super) type Answer = Result<(Addresses, Duration), Failure>;
type Asking = Shared<BoxFuture<'static, Answer>>;

/// Resolves names as the system would.
#[derive(Debug)]
pub struct Resolver {
    settings: ResolverSettings,
    system: RwLock<Arc<System>>,
    names: Mutex<HashMap<(Box<str>, Family), Entry>>,
}

#[derive(Debug)]
enum Entry {
    Known(Addresses, Instant),
    Asked(WeakShared<BoxFuture<'static, Answer>>),
}

/// The system's word on names, as last read.
pub(super) struct System {
    looked_at: Mutex<Instant>,
    stamps: [Option<SystemTime>; 2],
    pub(super) hosts: Hosts,
    pub(super) name_servers: Result<TokioResolver, String>,
    /// The addresses behind `name_servers`, in order.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) search: Vec<Name>,
    pub(super) ndots: usize,
}

impl std::fmt::Debug for System {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("System").field("search", &self.search).field("ndots", &self.ndots).finish_non_exhaustive()
    }
}

impl Resolver {
    /// Reads the system's files for the first time.
    pub fn new(settings: ResolverSettings) -> Self {
        let system = RwLock::new(Arc::new(System::read(&settings)));
        Self { settings, system, names: Mutex::default() }
    }

    /// The addresses of a name, never empty.
    ///
    /// # Errors
    /// [`Reason::NameNotResolved`] with what the name servers said, [`Reason::Timeout`] when they said nothing,
    /// [`Reason::InvalidConfiguration`] when it is no name.
    pub(super) async fn resolve(&self, name: &str, family: Family) -> Result<Addresses, Failure> {
        let system = self.system();
        let asking = match self.known(&system, name, family) {
            Ok(addresses) => return Ok(addresses),
            Err(asking) => asking,
        };
        let (addresses, ttl) = asking.await?;
        self.keep(name, family, &addresses, ttl);
        Ok(addresses)
    }

    /// How many names are known or being asked about, and how many may be.
    pub(super) fn level(&self) -> (usize, usize) {
        (self.names.lock().unwrap_or_else(PoisonError::into_inner).len(), MOST_NAMES)
    }

    /// The system's resolver (for probes that ask name servers themselves), with the files read again if they changed.
    pub(super) fn system(&self) -> Arc<System> {
        let system = Arc::clone(&self.system.read().unwrap_or_else(PoisonError::into_inner));
        if !system.is_outdated(&self.settings) {
            return system;
        }
        let fresh = Arc::new(System::read(&self.settings));
        *self.system.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&fresh);
        self.names.lock().unwrap_or_else(PoisonError::into_inner).clear();
        fresh
    }

    /// What is known without asking, or the question that is (now) being asked.
    fn known(&self, system: &Arc<System>, name: &str, family: Family) -> Result<Addresses, Asking> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (Box::from(name), family);
        match names.get(&key) {
            Some(Entry::Known(addresses, until)) if *until > Instant::now() => return Ok(Arc::clone(addresses)),
            Some(Entry::Asked(weak)) => {
                if let Some(asking) = weak.upgrade() {
                    return Err(asking);
                }
            }
            Some(Entry::Known(..)) | None => {}
        }
        let asking = query::resolve(Arc::clone(system), name.to_owned(), family).boxed().shared();
        if let Some(weak) = asking.downgrade()
            && (names.len() < MOST_NAMES || names.contains_key(&key))
        {
            names.insert(key, Entry::Asked(weak));
        }
        Err(asking)
    }

    fn keep(&self, name: &str, family: Family, addresses: &Addresses, ttl: Duration) {
        let now = Instant::now();
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        if names.len() >= MOST_NAMES {
            names.retain(|_, entry| match entry {
                Entry::Known(_, until) => *until > now,
                Entry::Asked(weak) => weak.upgrade().is_some(),
            });
        }
        if let Some(entry) = names.get_mut(&(Box::from(name), family)) {
            *entry = Entry::Known(Arc::clone(addresses), now + ttl.clamp(SHORTEST_TTL, LONGEST_TTL));
        }
    }
}

impl System {
    fn read(settings: &ResolverSettings) -> Self {
        let stamps = stamps(settings);
        let hosts = read_bounded(&settings.hosts, hosts::LARGEST_FILE).unwrap_or_default();
        let (config, options, problem) = match read_bounded(&settings.resolv_conf, LARGEST_RESOLV_CONF) {
            Ok(text) => match hickory_resolver::system_conf::parse_resolv_conf(&text) {
                Ok((config, options)) => (config, options, None),
                Err(error) => (ResolverConfig::default(), ResolverOpts::default(), Some(error.to_string())),
            },
            Err(error) => (ResolverConfig::default(), ResolverOpts::default(), Some(error.to_string())),
        };
        let (search, ndots) = (search_of(&config), options.ndots);
        let addresses = addresses_of(&config, settings.name_server_port);
        let name_servers = match problem {
            Some(problem) => Err(format!("{}: {problem}", settings.resolv_conf.display())),
            None => build(config, options, settings.name_server_port),
        };
        Self {
            looked_at: Mutex::new(Instant::now()),
            stamps,
            hosts: Hosts::parse(&String::from_utf8_lossy(&hosts)),
            name_servers,
            addresses,
            search,
            ndots,
        }
    }

    fn is_outdated(&self, settings: &ResolverSettings) -> bool {
        let now = Instant::now();
        let mut looked_at = self.looked_at.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(*looked_at) < FILES_CHECKED_EVERY {
            return false;
        }
        *looked_at = now;
        stamps(settings) != self.stamps
    }
}

fn stamps(settings: &ResolverSettings) -> [Option<SystemTime>; 2] {
    [&settings.resolv_conf, &settings.hosts].map(|path| std::fs::metadata(path).and_then(|file| file.modified()).ok())
}

fn read_bounded(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?.take(most).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn addresses_of(config: &ResolverConfig, port: u16) -> Vec<SocketAddr> {
    config.name_servers().iter().map(|server| SocketAddr::new(server.ip, port)).collect()
}

fn search_of(config: &ResolverConfig) -> Vec<Name> {
    if config.search().is_empty() { config.domain().cloned().into_iter().collect() } else { config.search().to_vec() }
}

/// A resolver that only asks: search domains, hosts and cache are ours.
fn build(config: ResolverConfig, mut options: ResolverOpts, port: u16) -> Result<TokioResolver, String> {
    let (_, _, mut servers) = config.into_parts();
    for connection in servers.iter_mut().flat_map(|server| &mut server.connections) {
        connection.port = port;
    }
    options.cache_size = 0;
    options.use_hosts_file = hickory_resolver::config::ResolveHosts::Never;
    TokioResolver::builder_with_config(
        ResolverConfig::from_parts(None, Vec::new(), servers),
        TokioRuntimeProvider::default(),
    )
    .with_options(options)
    .build()
    .map_err(|error| error.to_string())
}

/// A failure to resolve, in words.
pub(super) fn unresolved(message: String) -> Failure {
    Failure::new(Reason::NameNotResolved, message)
}
