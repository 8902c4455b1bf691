//! E-mail through a real SMTP server (Debian's aiosmtpd): STARTTLS, implicit TLS, credentials, and what is refused.

use std::{path::PathBuf, sync::Arc, time::Duration};

use health_model::{BasicCredentials, Channel, EmailTls};
use health_notifications::{
    Message, Telling,
    channel::{Transport, Verdict},
};
use health_testkit::{
    certificates::{Authority, Wanted},
    daemon::{Daemon, Home, free_port},
};

use crate::channels::{PLANTED, destination, email, message};

/// Arguments: port, how it speaks TLS (`none`, `starttls`, `implicit`), and the only mechanism it takes, or `open`.
const SERVER: &str = "import ssl, sys, time
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox
from aiosmtpd.smtp import AuthResult
port, tls, mechanism = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = None
if tls != 'none':
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain('cert.pem', 'key.pem')
def known(server, session, envelope, used, data):
    right = (data.login, data.password) == (b'ops', b'PASSWORD')
    # What is not handled here, the server refuses by itself (535).
    return AuthResult(success=right and used == mechanism, handled=False)
options = {}
if mechanism != 'open':
    others = {'PLAIN', 'LOGIN'} - {mechanism}
    options = dict(authenticator=known, auth_required=True, auth_exclude_mechanism=others, auth_require_tls=tls == 'starttls')
if tls == 'starttls':
    options.update(tls_context=context, require_starttls=True)
Controller(Mailbox('mail'), hostname='127.0.0.1', port=port, ssl_context=context if tls == 'implicit' else None, **options).start()
time.sleep(1e6)
";

struct MailServer {
    daemon: Daemon,
    port: u16,
    roots: Arc<[u8]>,
}

impl MailServer {
    fn start(tls: EmailTls, mechanism: &str) -> Self {
        let home = Home::new().unwrap();
        let authority = Authority::root("a mail authority").unwrap();
        let issued = authority.issue(&Wanted::server(&["localhost"])).unwrap();
        home.write("cert.pem", &issued.chain_pem).unwrap();
        home.write("key.pem", &issued.key_pem).unwrap();
        let script = home.write("mail.py", SERVER.replace("PASSWORD", PLANTED)).unwrap();
        let port = free_port().unwrap();
        let tls = match tls {
            EmailTls::None => "none",
            EmailTls::StartTls => "starttls",
            EmailTls::Implicit => "implicit",
        };
        let arguments = [script.to_str().unwrap(), &port.to_string(), tls, mechanism];
        let daemon = home.start("/usr/bin/python3", "python3-aiosmtpd", &arguments, &[port]).unwrap();
        Self { daemon, port, roots: authority.pem().into_bytes().into() }
    }

    fn channel(&self, spoken: EmailTls, password: Option<&str>) -> Channel {
        let mut channel = email(self.port, &["ops@example.org", "Boss <boss@example.org>"]);
        if let Channel::Email { host, tls, credentials, .. } = &mut channel {
            *host = "localhost".to_owned();
            *tls = spoken;
            *credentials =
                password.map(|password| BasicCredentials { username: "ops".into(), password: password.into() });
        }
        channel
    }

    fn mails(&self) -> Vec<String> {
        let folder: PathBuf = self.daemon.home.path().join("mail/new");
        let Ok(found) = std::fs::read_dir(folder) else { return Vec::new() };
        found.map(|mail| std::fs::read_to_string(mail.unwrap().path()).unwrap()).collect()
    }
}

async fn deliver(channel: Channel, roots: Option<Arc<[u8]>>, message: &Message) -> (Verdict, String) {
    let transport = Transport::new(Duration::from_secs(30), roots).unwrap();
    transport.deliver_and_quote(&destination(channel), message).await
}

fn firing() -> Message {
    message(Telling::Firing, &["web"])
}

/// The mail that a message becomes, as a server receives it.
pub async fn mail_of(message: &Message) -> String {
    let server = MailServer::start(EmailTls::None, "open");
    let (verdict, said) = deliver(server.channel(EmailTls::None, None), None, message).await;
    assert_eq!(verdict, Verdict::Accepted, "{said}");
    server.mails().remove(0)
}

#[tokio::test]
async fn a_mail_has_the_same_message_id_at_every_attempt() {
    let server = MailServer::start(EmailTls::None, "open");
    for _ in 0..2 {
        let (verdict, said) = deliver(server.channel(EmailTls::None, None), None, &firing()).await;
        assert_eq!(verdict, Verdict::Accepted, "{said}");
        assert!(said.starts_with("250"), "{said}");
    }
    let mails = server.mails();
    assert_eq!(mails.len(), 2);
    for mail in &mails {
        assert!(mail.contains("Message-ID: <0123456789abcdef0123456789abcdef@example.org>"), "{mail}");
        assert!(mail.contains("Subject: [firing] web is failing: connection refused"), "{mail}");
        assert!(mail.contains("Runbook: https://example.org/runbook"), "{mail}");
    }
}

#[tokio::test]
async fn mail_goes_by_starttls_and_by_tls_with_either_way_to_log_in() {
    for tls in [EmailTls::StartTls, EmailTls::Implicit] {
        for mechanism in ["PLAIN", "LOGIN"] {
            let server = MailServer::start(tls, mechanism);
            let channel = server.channel(tls, Some(PLANTED));
            let (verdict, said) = deliver(channel, Some(Arc::clone(&server.roots)), &firing()).await;
            assert_eq!(verdict, Verdict::Accepted, "{tls:?} {mechanism}: {said}\n{}", server.daemon.output());
            assert_eq!(server.mails().len(), 1);
        }
    }
}

#[tokio::test]
async fn a_wrong_password_is_refused_for_good_and_shown_nowhere() {
    for mechanism in ["PLAIN", "LOGIN"] {
        let server = MailServer::start(EmailTls::StartTls, mechanism);
        let wrong = format!("{PLANTED}-but-wrong");
        let channel = server.channel(EmailTls::StartTls, Some(&wrong));
        let (verdict, said) = deliver(channel, Some(Arc::clone(&server.roots)), &firing()).await;
        assert!(matches!(&verdict, Verdict::Rejected { why } if why.contains("535")), "{mechanism}: {verdict:?}");
        assert!(!format!("{verdict:?} {said}").contains(PLANTED), "{verdict:?} {said}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_gets_neither_mail_nor_password() {
    for tls in [EmailTls::StartTls, EmailTls::Implicit] {
        let server = MailServer::start(tls, "PLAIN");
        let (verdict, _) = deliver(server.channel(tls, Some(PLANTED)), None, &firing()).await;
        let Verdict::Retry { why, ambiguous, .. } = &verdict else { panic!("{tls:?}: {verdict:?}") };
        assert!(why.contains("UnknownIssuer"), "{why}");
        assert!(!ambiguous, "nothing was said to it: {why}");
        assert!(server.mails().is_empty());
    }
}

#[tokio::test]
async fn without_tls_where_it_is_demanded_nothing_is_said() {
    let server = MailServer::start(EmailTls::None, "open");
    let channel = server.channel(EmailTls::StartTls, Some(PLANTED));
    let (verdict, _) = deliver(channel, Some(Arc::clone(&server.roots)), &firing()).await;
    assert!(matches!(&verdict, Verdict::Rejected { why } if why.contains("STARTTLS")), "{verdict:?}");
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn a_mail_server_that_is_away_is_asked_again_and_a_wrong_address_is_not() {
    let away = email(free_port().unwrap(), &["ops@example.org"]);
    let (verdict, _) = deliver(away, None, &firing()).await;
    assert!(matches!(verdict, Verdict::Retry { ambiguous: false, .. }), "{verdict:?}");
    let nobody = email(free_port().unwrap(), &["this is no address"]);
    let (verdict, _) = deliver(nobody, None, &firing()).await;
    assert!(matches!(verdict, Verdict::Rejected { .. }), "{verdict:?}");
}
