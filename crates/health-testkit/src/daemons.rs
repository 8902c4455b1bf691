//! How each real server is started: its configuration, and no more than that.
//!
//! A server that cannot be started panics with a sentence that says why: there is nothing else a test could do.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a missing server fails the test that needs it")]

use std::{fs, path::PathBuf, process::Command};

use crate::{
    certificates::{Authority, Wanted},
    control_plane,
    daemon::{Daemon, Home, free_port, is_root},
};

/// A server, its port, and what vouches for its certificate.
#[derive(Debug)]
pub struct Served {
    /// The process.
    pub daemon: Daemon,
    /// Where it listens, on `127.0.0.1`.
    pub port: u16,
    /// The authority that issued its certificate (for `localhost`, `127.0.0.1`, `::1`), PEM.
    pub ca_pem: String,
}

/// A home with `cert.pem` and `key.pem` for localhost.
fn home() -> (Home, String) {
    let authority = Authority::root("Daemons").unwrap();
    let issued = authority.issue(&Wanted::server(&["localhost", "127.0.0.1", "::1"])).unwrap();
    let home = Home::new().unwrap();
    home.write("cert.pem", &issued.chain_pem).unwrap();
    home.write("key.pem", &issued.key_pem).unwrap();
    (home, authority.pem())
}

fn whoami() -> String {
    String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap().trim().to_owned()
}

/// Exim: SMTP with STARTTLS.
pub fn exim() -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    home.folder("spool").unwrap();
    let dir = home.path().display();
    let text = format!(
        "primary_hostname = mail.example.org\nspool_directory = {dir}/spool\nlog_file_path = {dir}/spool/%slog\n\
         pid_file_path = {dir}/spool/exim.pid\nlocal_interfaces = 127.0.0.1\ndaemon_smtp_ports = {port}\n\
         tls_advertise_hosts = *\ntls_certificate = {dir}/cert.pem\ntls_privatekey = {dir}/key.pem\n"
    );
    let config = home.write("exim.conf", text).unwrap();
    let arguments = ["-C", config.to_str().unwrap(), "-bdf"];
    let daemon = home.start("exim4", "exim4-daemon-light", &arguments, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

/// Dovecot; the port is that of IMAP or, with `pop3`, of POP3.
pub fn dovecot(pop3: bool) -> Served {
    let (home, ca_pem) = home();
    let [imap, pop] = [free_port().unwrap(), free_port().unwrap()];
    let dir = home.path().display();
    let users = if is_root() {
        String::new()
    } else {
        let me = whoami();
        format!("default_internal_user = {me}\ndefault_login_user = {me}\n")
    };
    let text = format!(
        "base_dir = {dir}/run\nstate_dir = {dir}/run\nlog_path = {dir}/output.log\nlisten = 127.0.0.1\n\
         protocols = imap pop3\nssl = yes\nssl_cert = <{dir}/cert.pem\nssl_key = <{dir}/key.pem\n{users}\
         passdb {{\n  driver = static\n  args = password=x\n}}\n\
         service imap-login {{\n  chroot =\n  inet_listener imap {{\n    port = {imap}\n  }}\n  inet_listener imaps {{\n    port = 0\n  }}\n}}\n\
         service pop3-login {{\n  chroot =\n  inet_listener pop3 {{\n    port = {pop}\n  }}\n  inet_listener pop3s {{\n    port = 0\n  }}\n}}\n"
    );
    let config = home.write("dovecot.conf", text).unwrap();
    let arguments = ["-F", "-c", config.to_str().unwrap()];
    let package = "dovecot-imapd dovecot-pop3d";
    let daemon = home.start("dovecot", package, &arguments, &[imap, pop]).unwrap();
    Served { daemon, port: if pop3 { pop } else { imap }, ca_pem }
}

/// vsftpd: FTP with `AUTH TLS`.
pub fn vsftpd() -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    fs::create_dir(home.path().join("empty")).unwrap();
    let dir = home.path().display();
    let launching = if is_root() { "NO" } else { "YES" };
    let text = format!(
        "listen=YES\nbackground=NO\nlisten_address=127.0.0.1\nlisten_port={port}\nanonymous_enable=YES\nanon_root={dir}\n\
         ssl_enable=YES\nrsa_cert_file={dir}/cert.pem\nrsa_private_key_file={dir}/key.pem\nsecure_chroot_dir={dir}/empty\n\
         ssl_ciphers=HIGH\nrun_as_launching_user={launching}\n"
    );
    let config = home.write("vsftpd.conf", text).unwrap();
    let daemon = home.start("vsftpd", "vsftpd", &[config.to_str().unwrap()], &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

/// OpenLDAP, with Start TLS.
pub fn slapd() -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    let dir = home.path().display();
    let text =
        format!("pidfile {dir}/slapd.pid\nTLSCertificateFile {dir}/cert.pem\nTLSCertificateKeyFile {dir}/key.pem\n");
    let config = home.write("slapd.conf", text).unwrap();
    let url = format!("ldap://127.0.0.1:{port}/");
    let arguments = ["-h", &url, "-f", config.to_str().unwrap(), "-d", "0"];
    let daemon = home.start("slapd", "slapd", &arguments, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

/// Prosody: XMPP for `localhost`.
pub fn prosody() -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    home.folder("data").unwrap();
    let dir = home.path().display();
    let text = format!(
        "run_as_root = true\npidfile = \"{dir}/data/prosody.pid\"\ndata_path = \"{dir}/data\"\ninterfaces = {{ \"127.0.0.1\" }}\n\
         c2s_ports = {{ {port} }}\nlegacy_ssl_ports = {{}}\ns2s_ports = {{}}\nmodules_enabled = {{ \"tls\", \"saslauth\" }}\n\
         modules_disabled = {{ \"s2s\" }}\nlog = {{ {{ levels = {{ min = \"info\" }}, to = \"console\" }} }}\n\
         VirtualHost \"localhost\"\n  ssl = {{ certificate = \"{dir}/cert.pem\", key = \"{dir}/key.pem\" }}\n"
    );
    let config = home.write("prosody.cfg.lua", text).unwrap();
    let arguments = ["-F", "--config", config.to_str().unwrap()];
    let daemon = home.start("prosody", "prosody", &arguments, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

/// MariaDB, with TLS; nobody can log in.
pub fn mariadb() -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    let data = home.folder("data").unwrap();
    let dir = home.path().display().to_string();
    let options = [
        "--no-defaults".to_owned(),
        format!("--datadir={}", data.display()),
        format!("--socket={dir}/my.sock"),
        format!("--pid-file={dir}/my.pid"),
        format!("--port={port}"),
        "--bind-address=127.0.0.1".to_owned(),
        format!("--ssl-cert={dir}/cert.pem"),
        format!("--ssl-key={dir}/key.pem"),
        format!("--user={}", whoami()),
        // Nobody logs in: the handshake needs no tables.
        "--skip-grant-tables".to_owned(),
        "--skip-networking=0".to_owned(),
        "--innodb-log-file-size=4M".to_owned(),
    ];
    let arguments: Vec<&str> = options.iter().map(String::as_str).collect();
    let daemon = home.start("mariadbd", "mariadb-server-core", &arguments, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

/// PostgreSQL, with TLS or without.
pub fn postgres(tls: bool) -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    let bin = postgres_programs();
    let dir = home.path().display().to_string();
    let data = format!("{dir}/data");
    // PostgreSQL refuses root.
    if is_root() {
        assert!(Command::new("chown").args(["-R", "postgres", &dir]).status().unwrap().success());
    }
    fs::set_permissions(home.path().join("key.pem"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let as_user = |program: PathBuf, arguments: &[&str]| -> Vec<String> {
        let prefix: &[&str] = if is_root() { &["setpriv", "--reuid=postgres", "--clear-groups"] } else { &[] };
        let words = prefix.iter().map(|word| (*word).to_owned());
        words.chain([program.display().to_string()]).chain(arguments.iter().map(|word| (*word).to_owned())).collect()
    };
    let init = as_user(bin.join("initdb"), &["-D", &data, "--no-sync", "-A", "trust", "-E", "UTF8", "--locale=C"]);
    let made = Command::new(&init[0]).args(&init[1..]).current_dir("/").output().unwrap();
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    let ssl = if tls { "on" } else { "off" };
    let settings = [
        format!("port={port}"),
        "listen_addresses=127.0.0.1".to_owned(),
        format!("unix_socket_directories={dir}"),
        format!("ssl={ssl}"),
        format!("ssl_cert_file={dir}/cert.pem"),
        format!("ssl_key_file={dir}/key.pem"),
        "fsync=off".to_owned(),
    ];
    let mut arguments = vec!["-D", &data];
    for setting in &settings {
        arguments.extend(["-c", setting]);
    }
    let run = as_user(bin.join("postgres"), &arguments);
    let words: Vec<&str> = run[1..].iter().map(String::as_str).collect();
    let daemon = home.start(&run[0], "postgresql", &words, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

fn postgres_programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .map(|version| version.path().join("bin"))
        .find(|bin| bin.join("initdb").is_file())
        .expect("PostgreSQL is missing: run `apt-get install postgresql`")
}

/// BIND: plain on `port`, TLS and HTTPS on the others.
#[derive(Debug)]
pub struct NameServer {
    /// The process, and the port for UDP and TCP.
    pub served: Served,
    /// DNS over TLS.
    pub tls_port: u16,
    /// DNS over HTTPS.
    pub https_port: u16,
}

const ZONE: &str = "$TTL 60
@ IN SOA ns admin 1 3600 600 86400 60
@ IN NS ns
ns A 127.0.0.1
www A 192.0.2.1
www A 192.0.2.2
www AAAA 2001:db8::1
@ MX 10 Mail
mail A 192.0.2.3
txt TXT \"v=Spf1 \" \"Include:Example.org\"
alias CNAME www
_sip._tcp SRV 1 2 5060 www
db.cluster A 192.0.2.4
";

/// BIND with the zones `example.org` and `localhost`.
pub fn bind() -> NameServer {
    let (home, ca_pem) = home();
    let [port, tls_port, https_port] = [free_port().unwrap(), free_port().unwrap(), free_port().unwrap()];
    let dir = home.path().display();
    let config = format!(
        "options {{ directory \"{dir}\"; pid-file \"{dir}/named.pid\"; session-keyfile \"{dir}/session.key\"; lock-file none;\n\
         listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 port {port} {{ ::1; }};\n\
         listen-on port {tls_port} tls ours {{ 127.0.0.1; }}; listen-on port {https_port} tls ours http default {{ 127.0.0.1; }};\n\
         recursion no; dnssec-validation no; }};\n\
         tls ours {{ cert-file \"{dir}/cert.pem\"; key-file \"{dir}/key.pem\"; }};\ncontrols {{}};\n\
         zone \"example.org\" {{ type primary; file \"{dir}/zone\"; }};\n\
         zone \"localhost\" {{ type primary; file \"{dir}/localhost\"; }};\n"
    );
    let long = format!("big TXT {}\n", vec![format!("\"{}\"", "x".repeat(250)); 8].join(" "));
    home.write("localhost", "$TTL 60\n@ IN SOA @ root 1 3600 600 86400 60\n@ NS @\n@ A 127.0.0.1\n").unwrap();
    home.write("zone", format!("{ZONE}{long}")).unwrap();
    let config = home.write("named.conf", config).unwrap();
    let arguments = ["-g", "-n", "1", "-c", config.to_str().unwrap()];
    let daemon = home.start("named", "bind9", &arguments, &[port, tls_port, https_port]).unwrap();
    NameServer { served: Served { daemon, port, ca_pem }, tls_port, https_port }
}

const ECHO_WEBSOCKET: &str = "import asyncio, ssl, sys, websockets
async def talk(ws):
    async for m in ws:
        if ws.path == '/live':
            await ws.send('pong' if m == 'ping' else 'what?')
        else:
            await ws.send('hello\\n' + m.upper())
async def main():
    tls = None
    if sys.argv[2] == 'tls':
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain('cert.pem', 'key.pem')
    async with websockets.serve(talk, '127.0.0.1', int(sys.argv[1]), ssl=tls):
        await asyncio.Future()
asyncio.run(main())
";

/// A WebSocket server that is not ours: Python's. It answers in capitals, at `/live` with `pong`.
pub fn websockets(tls: bool) -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    let script = home.write("websocket.py", ECHO_WEBSOCKET).unwrap();
    let arguments = [script.to_str().unwrap(), &port.to_string(), if tls { "tls" } else { "plain" }];
    let daemon = home.start("/usr/bin/python3", "python3-websockets", &arguments, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

const HEALTH_GRPC: &str = "import grpc, sys
from concurrent import futures
def check(request, context):
    if request.endswith(b'shop.v1.Basket'):
        return b'\\x08\\x01'
    context.abort(grpc.StatusCode.NOT_FOUND, 'unknown service')
class Health(grpc.GenericRpcHandler):
    def service(self, call):
        if call.method == '/grpc.health.v1.Health/Check':
            return grpc.unary_unary_rpc_method_handler(check)
server = grpc.server(futures.ThreadPoolExecutor(2))
server.add_generic_rpc_handlers((Health(),))
server.add_insecure_port('127.0.0.1:' + sys.argv[1])
server.start()
server.wait_for_termination()
";

/// A gRPC server of Google's library, of which the service `shop.v1.Basket` is healthy.
pub fn grpc_basket() -> Served {
    let (home, ca_pem) = home();
    let port = free_port().unwrap();
    let script = home.write("health.py", HEALTH_GRPC).unwrap();
    let arguments = [script.to_str().unwrap(), &port.to_string()];
    let daemon = home.start("/usr/bin/python3", "python3-grpcio", &arguments, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

/// etcd, which serves `grpc.health.v1`.
pub fn etcd(tls: bool) -> Served {
    let (home, ca_pem) = home();
    let [port, peers] = [free_port().unwrap(), free_port().unwrap()];
    let scheme = if tls { "https" } else { "http" };
    let (client, peer) = (format!("{scheme}://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    let cluster = format!("default={peer}");
    let mut arguments = vec![
        "--data-dir=data",
        "--unsafe-no-fsync",
        "--listen-client-urls",
        &client,
        "--advertise-client-urls",
        &client,
        "--listen-peer-urls",
        &peer,
        "--initial-advertise-peer-urls",
        &peer,
        "--initial-cluster",
        &cluster,
    ];
    if tls {
        arguments.extend(["--cert-file=cert.pem", "--key-file=key.pem"]);
    }
    let program = control_plane::program("etcd").unwrap();
    let daemon = home.start(program.to_str().unwrap(), "etcd-server", &arguments, &[port]).unwrap();
    Served { daemon, port, ca_pem }
}

/// nginx: plain HTTP on its port, the same over TLS on the other, in both families.
#[derive(Debug)]
pub struct WebServer {
    /// The process, and the port for plain HTTP.
    pub served: Served,
    /// HTTPS.
    pub tls_port: u16,
}

/// nginx, whose page says `ready: OK`, and whose `/status` answers in JSON to the API key `change-me` alone.
pub fn nginx() -> WebServer {
    let (home, ca_pem) = home();
    let [port, tls_port] = [free_port().unwrap(), free_port().unwrap()];
    let dir = home.path().display();
    let text = format!(
        "daemon off; master_process off; pid {dir}/pid; error_log {dir}/output.log; events {{}}
        http {{
          access_log off; client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
          uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
          server {{
            listen 127.0.0.1:{port}; listen [::1]:{port};
            listen 127.0.0.1:{tls_port} ssl; listen [::1]:{tls_port} ssl;
            ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;
            location / {{ default_type text/plain; return 200 'ready: OK\\n'; }}
            location /status {{
              default_type application/json;
              if ($http_x_api_key != change-me) {{ return 403; }}
              return 200 '{{\"status\": \"up\", \"queue\": 3}}';
            }}
          }}
        }}"
    );
    let config = home.write("nginx.conf", text).unwrap();
    let arguments = ["-p", &dir.to_string(), "-c", config.to_str().unwrap()];
    let daemon = home.start("nginx", "nginx-light", &arguments, &[port, tls_port]).unwrap();
    WebServer { served: Served { daemon, port, ca_pem }, tls_port }
}
