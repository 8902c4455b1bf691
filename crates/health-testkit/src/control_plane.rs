//! A real Kubernetes control plane for one test binary: etcd and kube-apiserver on free loopback ports, with their own
//! authority, tokens and RBAC, gone with the process. Starting takes about four seconds, so tests share one by
//! [`ControlPlane::shared`] and keep apart by namespaces; a test that kills or wipes a server starts its own.
//! Must not know any resource of the project, and must not stand in for the programs: where one is missing it says so.

mod commands;
mod credentials;
mod failure;
mod ports;
mod programs;
mod readiness;
mod server;
mod watchdog;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::OnceCell;

pub use commands::Finished;
pub use failure::ControlPlaneError;
pub use programs::program;

use credentials::Credentials;
use server::Server;
use watchdog::Watchdog;

/// How long etcd and kube-apiserver may take to become ready, on a machine that compiles at the same time.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// How often a start is tried again when somebody took the port between choosing and binding it.
const ATTEMPTS: usize = 3;

static SHARED: OnceCell<ControlPlane> = OnceCell::const_new();
static NAMESPACES: AtomicU32 = AtomicU32::new(0);

/// etcd and kube-apiserver, running. Both end when this is dropped, and also when the test process dies.
#[derive(Debug)]
pub struct ControlPlane {
    etcd: Mutex<Server>,
    api_server: Mutex<Server>,
    credentials: Credentials,
    address: String,
    home: TempDir,
    // Dropped last: it removes what a killed process leaves behind.
    _watchdog: Watchdog,
}

impl ControlPlane {
    /// The control plane of this test binary, started by the first who asks.
    ///
    /// # Errors
    /// As [`ControlPlane::start`].
    pub async fn shared() -> Result<&'static ControlPlane, ControlPlaneError> {
        SHARED.get_or_try_init(ControlPlane::start).await
    }

    /// Starts an own control plane and waits until the API server says that it is ready.
    ///
    /// # Errors
    /// A sentence that names the missing program and how to build it, or the last lines of the server that did not
    /// become ready.
    pub async fn start() -> Result<ControlPlane, ControlPlaneError> {
        let mut attempt = 1;
        loop {
            match Self::start_once().await {
                Err(failure) if failure.is_port_taken() && attempt < ATTEMPTS => attempt += 1,
                other => return other,
            }
        }
    }

    async fn start_once() -> Result<ControlPlane, ControlPlaneError> {
        let home = tempfile::Builder::new().prefix("control-plane-").tempdir()?;
        let watchdog = Watchdog::over(home.path())?;
        let [client, peer, secure] = ports::free()?;
        let address = format!("https://127.0.0.1:{secure}");
        let credentials = Credentials::create(home.path(), &address)?;

        let mut etcd = Server::new(program("etcd")?, home.path(), etcd_arguments(home.path(), client, peer));
        let mut api_server =
            Server::new(program("kube-apiserver")?, home.path(), api_server_arguments(home.path(), client, secure));
        etcd.start()?;
        api_server.start()?;

        let plane = ControlPlane {
            etcd: Mutex::new(etcd),
            api_server: Mutex::new(api_server),
            credentials,
            address,
            home,
            _watchdog: watchdog,
        };
        plane.ready().await?;
        Ok(plane)
    }

    /// Waits until the API server answers `/readyz`; asked after a start, a restart or a pause.
    ///
    /// # Errors
    /// After two minutes, or at once when a server has ended: its name and the last lines it wrote.
    pub async fn ready(&self) -> Result<(), ControlPlaneError> {
        readiness::wait(self, READY_WITHIN).await
    }

    /// Where the API server listens: `https://127.0.0.1:port`. The same after a restart.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.address
    }

    /// The authority that signed the API server's certificate, in PEM.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        self.credentials.ca_pem()
    }

    /// The bearer token of a user in `system:masters`.
    #[must_use]
    pub fn admin_token(&self) -> &str {
        self.credentials.admin_token()
    }

    /// A kubeconfig whose user may do everything.
    #[must_use]
    pub fn admin_kubeconfig(&self) -> &Path {
        self.credentials.admin_kubeconfig()
    }

    /// Writes a kubeconfig for the bearer of `token`, whose current namespace is `namespace`. It lives as long as this.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn kubeconfig_for(&self, token: &str, namespace: &str) -> Result<PathBuf, ControlPlaneError> {
        self.credentials.kubeconfig_for(token, namespace)
    }

    /// A folder for a test's files that ends with the control plane.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Makes a namespace of its own for a test; `purpose` is seen in its name (`[a-z0-9-]`).
    ///
    /// # Errors
    /// When the API server refuses or is away.
    pub async fn namespace(&self, purpose: &str) -> Result<String, ControlPlaneError> {
        let name = format!("{purpose}-{}", NAMESPACES.fetch_add(1, Ordering::Relaxed));
        self.kubectl(&["create", "namespace", &name]).await?.succeeded()?;
        Ok(name)
    }

    /// Kills the API server as a crash would (SIGKILL). Its port stays ours.
    ///
    /// # Errors
    /// When it was not running.
    pub fn kill_api_server(&self) -> Result<(), ControlPlaneError> {
        server::locked(&self.api_server).kill()
    }

    /// Starts a killed API server again, on the same port with the same data, and waits until it is ready.
    ///
    /// # Errors
    /// As [`ControlPlane::ready`].
    pub async fn restart_api_server(&self) -> Result<(), ControlPlaneError> {
        server::locked(&self.api_server).start()?;
        self.ready().await
    }

    /// Stops the API server's clock (SIGSTOP): connections stay open and nothing answers.
    ///
    /// # Errors
    /// When it is not running.
    pub fn pause_api_server(&self) -> Result<(), ControlPlaneError> {
        server::locked(&self.api_server).signal("STOP")
    }

    /// Lets a paused API server go on (SIGCONT).
    ///
    /// # Errors
    /// When it is not running.
    pub fn resume_api_server(&self) -> Result<(), ControlPlaneError> {
        server::locked(&self.api_server).signal("CONT")
    }

    /// Kills etcd as a crash would (SIGKILL); its data stays.
    ///
    /// # Errors
    /// When it was not running.
    pub fn kill_etcd(&self) -> Result<(), ControlPlaneError> {
        server::locked(&self.etcd).kill()
    }

    /// Starts a killed etcd again with its data, and waits until the API server is ready.
    ///
    /// # Errors
    /// As [`ControlPlane::ready`].
    pub async fn restart_etcd(&self) -> Result<(), ControlPlaneError> {
        server::locked(&self.etcd).start()?;
        self.ready().await
    }

    /// Loses everything that the cluster ever knew: kills both servers, deletes etcd's data, starts both again.
    ///
    /// # Errors
    /// As [`ControlPlane::ready`].
    pub async fn wipe(&self) -> Result<(), ControlPlaneError> {
        self.kill_api_server()?;
        self.kill_etcd()?;
        std::fs::remove_dir_all(self.home.path().join("etcd-data"))?;
        server::locked(&self.etcd).start()?;
        self.restart_api_server().await
    }
}

fn etcd_arguments(home: &Path, client: u16, peer: u16) -> Vec<String> {
    vec![
        format!("--data-dir={}", home.join("etcd-data").display()),
        format!("--listen-client-urls=http://127.0.0.1:{client}"),
        format!("--advertise-client-urls=http://127.0.0.1:{client}"),
        format!("--listen-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-advertise-peer-urls=http://127.0.0.1:{peer}"),
        format!("--initial-cluster=default=http://127.0.0.1:{peer}"),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server_arguments(home: &Path, etcd: u16, secure: u16) -> Vec<String> {
    let file = |name: &str| home.join(name).display().to_string();
    vec![
        format!("--etcd-servers=http://127.0.0.1:{etcd}"),
        "--bind-address=127.0.0.1".to_owned(),
        "--advertise-address=127.0.0.1".to_owned(),
        format!("--secure-port={secure}"),
        format!("--cert-dir={}", file("generated")),
        format!("--tls-cert-file={}", file(credentials::SERVER_CERTIFICATE)),
        format!("--tls-private-key-file={}", file(credentials::SERVER_KEY)),
        format!("--token-auth-file={}", file(credentials::TOKENS)),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        format!("--service-account-key-file={}", file(credentials::ACCOUNTS_PUBLIC_KEY)),
        format!("--service-account-signing-key-file={}", file(credentials::ACCOUNTS_KEY)),
        "--authorization-mode=RBAC".to_owned(),
        "--service-cluster-ip-range=10.0.0.0/24".to_owned(),
        // No controller manager runs here that would make the default accounts this plugin waits for.
        "--disable-admission-plugins=ServiceAccount".to_owned(),
        // The `kubernetes` Service would need an address that is not loopback.
        "--endpoint-reconciler-type=none".to_owned(),
    ]
}
