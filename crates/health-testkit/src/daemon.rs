//! Real servers of other people, started on free loopback ports with a folder of their own, and killed with the test.

use std::{
    fmt, fs, io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    os::unix::{fs::PermissionsExt as _, process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// How long a server may take to listen; a busy machine starts many at once.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a server's output that a failure shows.
const SHOWN: usize = 4000;
/// Ports below the kernel's ephemeral range, where no connection of another test can sit.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 8_000;

/// Why a server is not there, as a sentence; `Debug` prints it too, since that is what `unwrap` shows.
pub struct DaemonError(String);

impl fmt::Debug for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for DaemonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DaemonError {}

impl From<io::Error> for DaemonError {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// A folder that a server lives in; removed when dropped. Readable by the users that servers change to.
#[derive(Debug)]
pub struct Home(TempDir);

impl Home {
    /// An empty folder.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn new() -> Result<Self, DaemonError> {
        let home = tempfile::tempdir()?;
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755))?;
        Ok(Self(home))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file, and says where it is.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> Result<PathBuf, DaemonError> {
        let path = self.path().join(name);
        fs::write(&path, text)?;
        Ok(path)
    }

    /// Makes a folder in which any user may write, and says where it is.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn folder(&self, name: &str) -> Result<PathBuf, DaemonError> {
        let path = self.path().join(name);
        fs::create_dir(&path)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777))?;
        Ok(path)
    }

    /// Starts a program of a Debian package in the foreground and waits until it accepts connections on all of `ports`.
    ///
    /// # Errors
    /// When the package is missing (with how to install it), or the program ends or does not listen within a minute:
    /// with what it said.
    pub fn start(self, program: &str, package: &str, arguments: &[&str], ports: &[u16]) -> Result<Daemon, DaemonError> {
        let path = found(program)
            .ok_or_else(|| DaemonError(format!("{program} is missing: run `apt-get install {package}`")))?;
        let output = fs::File::create(self.path().join("output.log"))?;
        let child = Command::new(path)
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // A group of its own, so that its children go with it.
            .process_group(0)
            .spawn()
            .map_err(|error| DaemonError(format!("{program} cannot be started: {error}")))?;
        let mut daemon = Daemon { child, home: self };
        daemon.wait(program, ports)?;
        Ok(daemon)
    }
}

fn found(program: &str) -> Option<PathBuf> {
    if program.starts_with('/') {
        return Path::new(program).is_file().then(|| program.into());
    }
    // Servers are in sbin, which is not in everybody's PATH.
    let folders = std::env::var("PATH").unwrap_or_default();
    let folders = folders.split(':').chain(["/usr/sbin", "/sbin", "/usr/local/sbin"]);
    folders.map(|folder| Path::new(folder).join(program)).find(|path| path.is_file())
}

/// A running server; dropping it kills it and its children, and removes its folder.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    /// Where it lives.
    pub home: Home,
}

impl Daemon {
    fn wait(&mut self, program: &str, ports: &[u16]) -> Result<(), DaemonError> {
        let until = Instant::now() + PATIENCE;
        for port in ports {
            let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
            while TcpStream::connect_timeout(&address, PATIENCE).is_err() {
                let ended = self.child.try_wait()?;
                if ended.is_some() || Instant::now() > until {
                    let how = ended.map_or_else(|| "does not listen".to_owned(), |status| format!("ended ({status})"));
                    return Err(DaemonError(format!("{program} {how} on port {port}:\n{}", self.output())));
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// The end of what it has said so far.
    pub fn output(&self) -> String {
        let text = fs::read(self.home.path().join("output.log")).unwrap_or_default();
        String::from_utf8_lossy(&text[text.len().saturating_sub(SHOWN)..]).into_owned()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        // Nobody is left to tell.
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago, for TCP and UDP.
///
/// # Errors
/// When none is found.
pub fn free_port() -> Result<u16, DaemonError> {
    use std::hash::{BuildHasher as _, Hasher as _};
    for _ in 0..1000 {
        // Every `RandomState` has keys of its own.
        let hash = std::collections::hash_map::RandomState::new().build_hasher().finish();
        let port = FIRST_PORT + u16::try_from(hash % u64::from(PORTS)).unwrap_or_default();
        let address = (Ipv4Addr::LOCALHOST, port);
        if TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok() {
            return Ok(port);
        }
    }
    Err(DaemonError(format!("no free port among {PORTS} from {FIRST_PORT} on")))
}

/// Whether this process runs as root: servers want to be told then.
pub fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}
