//! Puts the running operator together, a function per subsystem, and takes it apart again in order.
//!
//! Two runtimes: engine and probes have one to themselves, so that no large answer and no scrape can make a probe late.

use std::{collections::HashMap, process::ExitCode, sync::Arc, time::Duration};

use anyhow::Context;
use futures::{FutureExt, future::BoxFuture};
use health_model::{CheckId, Sensitive, Standing};
use health_notifications::LedgerStore;
use health_probes::{Probes, ProbesSettings, connect::AddressPolicy};
use health_runner::{Board, Engine, EngineHandle, EngineSettings, TcpWitnesses, Witness};
use health_server::{
    HealthState, MetricsState, Readiness, RestState, SourceProblems, Telemetry, health_router, metrics_router,
    rest_router, serve,
};
use prometheus_client::collector::Collector;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Handle, Runtime},
    sync::watch as state,
    task::{JoinHandle, JoinSet},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    announce,
    caches::CacheSeries,
    cli::{NetworkFlags, RunFlags, mistyped_variables},
    folder::{Folder, FolderProblems, FolderSeries},
    follow::{Followers, follow},
    heartbeat::Heartbeat,
    kubernetes::{self, Cluster},
    listen, logging,
    memory::{Keeper, MemorySeries, StateDir},
    notifying::{self, NotificationSeries, Rules, Teller},
    open_files,
    readiness::Parts,
    settings::{EngineBounds, Listen, Settings, Source},
    stop,
};

/// How long, beyond the grace period, the engine may take to say that it has stopped.
const ENGINE_PATIENCE: Duration = Duration::from_secs(1);

/// Runs until told to stop.
///
/// # Errors
/// What keeps it from running, with the flag that is to blame and the remedy.
pub(crate) fn run(flags: RunFlags) -> anyhow::Result<ExitCode> {
    logging::init(flags.log);
    for (name, meant) in mistyped_variables(std::env::vars_os().map(|(name, _)| name)) {
        tracing::warn!(name, meant, "an environment variable that looks like a setting is none");
    }
    let serving = runtime("serve", 1)?;
    let probing = runtime("probe", flags.probe_threads.into())?;
    let done = probing.block_on(operate(Settings::from(flags), serving.handle().clone()));
    probing.shutdown_background();
    serving.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}

fn runtime(name: &str, workers: usize) -> anyhow::Result<Runtime> {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(workers).thread_name(name).enable_all().build().context("threads cannot be started")
}

async fn operate(settings: Settings, serving: Handle) -> anyhow::Result<()> {
    let listeners = Listeners::bind(&settings.listen, &serving)?;
    let addresses = listeners.addresses()?;
    let memory = settings.state_dir.as_deref().map(StateDir::open).transpose()?.map(Arc::new);
    let stop = CancellationToken::new();
    stop::on_signal(stop.clone()).context("signals cannot be received")?;
    let parts = Arc::new(Parts::new(stop.clone()));

    open_files::allow_enough(&settings.engine);
    let remembered = memory.as_deref().map(StateDir::remembered).unwrap_or_default();
    let probes = probes(&settings.network.policy)?;
    let engine = start_engine(&settings, Arc::clone(&probes), remembered.clone(), stop.clone())?;
    let board = engine.board();
    let telling_stop = CancellationToken::new();
    let feed = Feed::prepare(settings.source, &parts).await?;
    let ledger = feed.ledger(memory.as_deref())?;
    let notifications = notifying::start(ledger, settings.shutdown_grace, &serving, telling_stop.clone())?;
    let servers_stop = CancellationToken::new();
    let readiness: Arc<dyn Readiness> = Arc::clone(&parts) as Arc<dyn Readiness>;
    let keeper = memory.map(|memory| Keeper::new(memory, remembered, Instant::now()));
    let mut collectors = vec![feed.collector(), Box::new(NotificationSeries::new(Arc::clone(&notifications))) as _];
    collectors.push(Box::new(CacheSeries::new(probes)));
    collectors.extend(keeper.as_ref().map(|keeper| Box::new(MemorySeries::new(keeper.report())) as _));
    if let Some(url) = &settings.heartbeat_url {
        let heartbeat = heartbeat(url, &readiness, &board)?;
        collectors.push(Box::new(heartbeat.counts()));
        let _context = serving.enter();
        parts.keep_running("heartbeat", heartbeat.beat(stop.clone()));
    }
    let shown = Shown { problems: feed.problems(), readiness, collectors, rest_worth_asking: feed.worth_asking() };
    let servers = start_servers(listeners, &engine, shown, &serving, &servers_stop);
    addresses.log();

    let passing = notifying::pass_rules(feed.rules(), Arc::clone(&notifications), stop.clone());
    parts.keep_running("rules", passing);
    let follow_stop = CancellationToken::new();
    let followers = Followers { keeper, teller: Teller::new(Arc::clone(&notifications)) };
    let following = follow(Arc::clone(&board), followers, feed.synced(), feed.known_as_a_whole(), follow_stop.clone());
    let following = {
        // Whoever acts on changes shares no thread with the probes.
        let _context = serving.enter();
        parts.keep_running("follow", following)
    };
    let feeding = match feed {
        Feed::Folder(folder) => start_folder(folder, &parts, &engine, &addresses, &stop).await?,
        Feed::Cluster(cluster) => {
            let _context = serving.enter();
            parts.keep_running("rule statuses", cluster.rule_statuses().run(Arc::clone(&notifications), stop.clone()));
            cluster.start(&engine, &parts, &stop)
        }
    };

    stop.cancelled().await;
    wait_for_engine(engine, settings.shutdown_grace).await;
    follow_stop.cancel();
    if following.await.is_err() {
        tracing::error!("what was known last may not have been kept");
    }
    for part in feeding {
        // One that panicked was reported, and failed /healthz, when it did.
        let _ended = part.await;
    }
    telling_stop.cancel();
    notifications.stopped().await;
    servers_stop.cancel();
    servers.join_all().await;
    tracing::info!("stopped");
    Ok(())
}

/// The three ports, taken.
struct Listeners {
    rest: TcpListener,
    metrics: TcpListener,
    health: TcpListener,
}

impl Listeners {
    fn bind(listen: &Listen, serving: &Handle) -> Result<Self, listen::ListenError> {
        let Listen { rest, metrics, health } = listen;
        let _context = serving.enter();
        Ok(Self {
            rest: listen::bind(rest, "--rest-bind-address")?,
            metrics: listen::bind(metrics, "--metrics-bind-address")?,
            health: listen::bind(health, "--health-probe-bind-address")?,
        })
    }

    fn addresses(&self) -> std::io::Result<announce::Addresses> {
        Ok(announce::Addresses {
            rest: self.rest.local_addr()?,
            metrics: self.metrics.local_addr()?,
            health: self.health.local_addr()?,
        })
    }
}

/// The probes, as the address flags allow them.
///
/// # Errors
/// When a rule cannot be read, or what all probes share cannot be had.
pub(crate) fn probes(network: &NetworkFlags) -> anyhow::Result<Arc<Probes>> {
    let NetworkFlags { allow_targets, deny_targets } = network;
    let address_policy = AddressPolicy::new(allow_targets, deny_targets)?;
    Ok(Arc::new(Probes::new(ProbesSettings { address_policy, ..ProbesSettings::default() })?))
}

fn start_engine(
    settings: &Settings,
    probes: Arc<Probes>,
    remembered: HashMap<CheckId, Standing>,
    stop: CancellationToken,
) -> anyhow::Result<EngineHandle> {
    let EngineBounds { max_in_flight, max_in_flight_per_host, max_hung, max_backoff } = settings.engine;
    let bounds = EngineSettings {
        max_in_flight: max_in_flight as usize,
        max_in_flight_per_host: max_in_flight_per_host as usize,
        max_hung: max_hung as usize,
        max_backoff,
        shutdown_grace: settings.shutdown_grace,
        witness: witnesses(&settings.network.witnesses)?,
        ..EngineSettings::default()
    };
    Ok(Engine::start(bounds, probes, remembered, stop))
}

fn witnesses(targets: &[String]) -> anyhow::Result<Option<Arc<dyn Witness>>> {
    if targets.is_empty() {
        return Ok(None);
    }
    Ok(Some(Arc::new(TcpWitnesses::parse(targets).context("--witness cannot be used")?)))
}

fn heartbeat(url: &Sensitive, readiness: &Arc<dyn Readiness>, board: &Arc<Board>) -> anyhow::Result<Heartbeat> {
    let board = Arc::clone(board);
    Heartbeat::new(url, Arc::clone(readiness), move || board.pulse().stands_still)
}

/// Where checks come from, about to be read.
enum Feed {
    Folder(Folder),
    Cluster(Cluster),
}

impl Feed {
    /// Adds the part `source`, which is not ready before the first complete read; nothing is read yet.
    async fn prepare(source: Source, parts: &Parts) -> anyhow::Result<Self> {
        Ok(match source {
            Source::Folder { directory, poll_interval } => {
                let folder = Folder::new(directory, poll_interval);
                let report = folder.report();
                parts.add("source", move || Folder::condition(&report.borrow()));
                Self::Folder(folder)
            }
            Source::Kubernetes(settings) => {
                let cluster = Cluster::new(kubernetes::connect().await?, settings);
                parts.add("source", cluster.condition());
                Self::Cluster(cluster)
            }
        })
    }

    /// The rules of the source, as they change.
    fn rules(&self) -> state::Receiver<Rules> {
        match self {
            Self::Folder(folder) => folder.rules(),
            Self::Cluster(cluster) => cluster.rules(),
        }
    }

    /// Where what was told is kept: in the rules' statuses, or in the state directory if there is one.
    fn ledger(&self, memory: Option<&StateDir>) -> anyhow::Result<Arc<dyn LedgerStore>> {
        match self {
            Self::Folder(_) => notifying::local_ledger(memory),
            Self::Cluster(cluster) => Ok(Arc::new(cluster.ledger())),
        }
    }

    /// Ends when the board shows everything that the source declares.
    fn synced(&self) -> BoxFuture<'static, ()> {
        match self {
            Self::Folder(folder) => folder.synced().boxed(),
            Self::Cluster(cluster) => cluster.synced().boxed(),
        }
    }

    /// Ends when nothing that the source may declare is hidden by what cannot be read.
    fn known_as_a_whole(&self) -> BoxFuture<'static, ()> {
        match self {
            Self::Folder(folder) => folder.known_as_a_whole().boxed(),
            Self::Cluster(cluster) => cluster.synced().boxed(),
        }
    }

    /// What is wrong with the source as such.
    fn problems(&self) -> Arc<dyn SourceProblems> {
        match self {
            Self::Folder(folder) => Arc::new(FolderProblems(folder.report())),
            Self::Cluster(_) => Arc::new(NothingHidden),
        }
    }

    /// Ends when REST has something to say. A folder is read in no time, and whoever asks meanwhile had better wait
    /// than be told that nothing is configured; a cluster may be away for long, and readiness keeps callers off.
    fn worth_asking(&self) -> BoxFuture<'static, ()> {
        match self {
            Self::Folder(folder) => folder.synced().boxed(),
            Self::Cluster(_) => std::future::ready(()).boxed(),
        }
    }

    /// What the source counts.
    fn collector(&self) -> Box<dyn Collector> {
        match self {
            Self::Folder(folder) => Box::new(FolderSeries::new(folder.report())),
            Self::Cluster(cluster) => Box::new(cluster.metrics()),
        }
    }
}

/// A cluster refuses what is wrong, or shows it at the object.
struct NothingHidden;

impl SourceProblems for NothingHidden {
    fn problems(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What the servers show beside the board.
struct Shown {
    problems: Arc<dyn SourceProblems>,
    readiness: Arc<dyn Readiness>,
    collectors: Vec<Box<dyn Collector>>,
    rest_worth_asking: BoxFuture<'static, ()>,
}

fn start_servers(
    listeners: Listeners,
    engine: &EngineHandle,
    shown: Shown,
    serving: &Handle,
    stop: &CancellationToken,
) -> JoinSet<()> {
    let Shown { problems, readiness, collectors, rest_worth_asking } = shown;
    let board: Arc<Board> = engine.board();
    let telemetry = Arc::new(Telemetry::default());
    let rest = rest_router(RestState {
        board: Arc::clone(&board),
        heartbeats: Arc::new(engine.clone()),
        problems,
        telemetry: Arc::clone(&telemetry),
        shutdown: stop.clone(),
    });
    let metrics =
        metrics_router(MetricsState { board: Arc::clone(&board), telemetry: Arc::clone(&telemetry), collectors });
    let health = health_router(HealthState { board, readiness, telemetry });
    let mut servers = JoinSet::new();
    let stopping = stop.clone();
    let serve_rest = async move {
        tokio::select! {
            () = rest_worth_asking => serve(listeners.rest, rest, stopping).await,
            () = stopping.cancelled() => {}
        }
    };
    servers.spawn_on(serve_rest, serving);
    servers.spawn_on(serve(listeners.metrics, metrics, stop.clone()), serving);
    servers.spawn_on(serve(listeners.health, health, stop.clone()), serving);
    servers
}

async fn start_folder(
    mut folder: Folder,
    parts: &Parts,
    engine: &EngineHandle,
    addresses: &announce::Addresses,
    stop: &CancellationToken,
) -> anyhow::Result<Vec<JoinHandle<()>>> {
    let report = folder.report();
    folder.open(engine).await?;
    announce::folder(&report.borrow(), folder.directory(), addresses);
    Ok(vec![parts.keep_running("folder", folder.follow(engine.clone(), stop.clone()))])
}

async fn wait_for_engine(engine: EngineHandle, grace: Duration) {
    if tokio::time::timeout(grace + ENGINE_PATIENCE, engine.stopped()).await.is_err() {
        tracing::warn!("the engine did not stop in time and was left behind");
    }
}
