//! One nginx on loopback that says `200 OK` to everybody; it ends with this value.

use std::{
    fs,
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

/// What a TLS server shows, in files of PEM.
pub(crate) struct Identity {
    /// The certificate, and its issuers where there are any between it and a root.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// A running nginx.
pub(crate) struct Nginx {
    child: Child,
    address: String,
    url: String,
    _home: TempDir,
}

impl Nginx {
    /// Starts it on a free port and waits until it accepts.
    pub(crate) fn start() -> Result<Self> {
        Self::start_as(None)
    }

    /// As [`Nginx::start`], over TLS; every handshake is a full one.
    pub(crate) fn start_with_tls(identity: &Identity) -> Result<Self> {
        Self::start_as(Some(identity))
    }

    fn start_as(identity: Option<&Identity>) -> Result<Self> {
        let home = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let at = home.path().display();
        let (scheme, flag, tls) = match identity {
            None => ("http", "", String::new()),
            Some(Identity { certificate, key }) => (
                "https",
                " ssl",
                format!(
                    "ssl_certificate {}; ssl_certificate_key {}; ssl_session_tickets off; ssl_session_cache off;",
                    certificate.display(),
                    key.display()
                ),
            ),
        };
        let configuration = format!(
            "daemon off; master_process off; pid {at}/pid; error_log {at}/error.log crit;\n\
             events {{ worker_connections 20000; multi_accept on; }}\n\
             http {{ access_log off; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c; \
             uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;\n\
             server {{ listen {address}{flag} backlog=8192; {tls} location / {{ return 200 \"ok\\n\"; }} }} }}\n"
        );
        let file = home.path().join("nginx.conf");
        fs::write(&file, configuration)?;
        let child = Command::new("nginx").arg("-c").arg(&file).arg("-p").arg(home.path()).spawn().context("nginx")?;
        let nginx = Self { child, url: format!("{scheme}://{address}/"), address, _home: home };
        nginx.wait()?;
        Ok(nginx)
    }

    fn wait(&self) -> Result<()> {
        let until = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(&self.address).is_err() {
            if Instant::now() > until {
                bail!("nginx does not listen on {}", self.address);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// `host:port`
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Where it answers.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
