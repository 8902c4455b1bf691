//! E-mail over SMTP, with a `Message-ID` that is the same for every attempt, so that a second copy can be recognised.

use std::time::Duration;

use health_model::{BasicCredentials, EmailTls, Texts};
use lettre::{
    AsyncSmtpTransport, AsyncTransport, Message as Mail, Tokio1Executor,
    message::{Mailbox, header::ContentType},
    transport::smtp::{
        authentication::Credentials,
        client::{Certificate, Tls, TlsParameters},
    },
};

use super::{
    Verdict,
    payload::{facts, title},
};
use crate::{message::Message, text};

/// What an e-mail's section says.
pub(crate) struct Section<'a> {
    pub(crate) to: &'a [String],
    pub(crate) from: &'a str,
    pub(crate) host: &'a str,
    pub(crate) port: u16,
    pub(crate) credentials: Option<&'a BasicCredentials>,
    pub(crate) tls: EmailTls,
    pub(crate) texts: &'a Texts,
}

/// Delivers one mail to all recipients in one transaction; also says what the server answered.
pub(super) async fn deliver(
    section: &Section<'_>,
    message: &Message,
    timeout: Duration,
    extra_roots: Option<&[u8]>,
) -> (Verdict, String) {
    let mail = match mail(section, message) {
        Ok(mail) => mail,
        Err(why) => return (Verdict::Rejected { why }, String::new()),
    };
    let transport = match transport(section, timeout, extra_roots) {
        Ok(transport) => transport,
        Err(why) => return (Verdict::Rejected { why }, String::new()),
    };
    match transport.send(mail).await {
        Ok(answer) => {
            let said: Vec<&str> = answer.message().collect();
            (Verdict::Accepted, format!("{} {}", answer.code(), said.join(" ")))
        }
        Err(error) => (judge(&error), String::new()),
    }
}

fn judge(error: &lettre::transport::smtp::Error) -> Verdict {
    // The connection was never made, or never trusted: nothing was said yet.
    let unreached = error.to_string().starts_with("Connection error");
    let answered = error.status().is_some() || unreached;
    let mut why = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        let cause = cause.to_string();
        if !why.contains(&cause) {
            why = format!("{why}: {cause}");
        }
    }
    if error.is_permanent() || error.is_client() {
        return Verdict::Rejected { why };
    }
    Verdict::Retry { why, after: None, ambiguous: !answered }
}

fn mail(section: &Section<'_>, message: &Message) -> Result<Mail, String> {
    let address = |text: &str| text.parse::<Mailbox>().map_err(|error| format!("{text:?} is no address: {error}"));
    let from = address(section.from)?;
    let words = text::render(section.texts, message).plain;
    let identity = format!("<{}@{}>", message.id, from.email.domain());
    let mut builder = Mail::builder()
        .from(from)
        .message_id(Some(identity))
        .subject(title(&format!("[{}] {words}", message.telling.status()), 200));
    for recipient in section.to {
        builder = builder.to(address(recipient)?);
    }
    builder.header(ContentType::TEXT_PLAIN).body(body(&words, message)).map_err(|error| error.to_string())
}

fn body(words: &str, message: &Message) -> String {
    let facts = facts(message);
    let lines: Vec<String> = facts.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{words}\n\n{}\n", lines.join("\n"))
}

fn transport(
    section: &Section<'_>,
    timeout: Duration,
    extra_roots: Option<&[u8]>,
) -> Result<AsyncSmtpTransport<Tokio1Executor>, String> {
    let parameters = || {
        let mut builder = TlsParameters::builder(section.host.to_owned());
        if let Some(pem) = extra_roots {
            let root = Certificate::from_pem(pem).map_err(|error| error.to_string())?;
            builder = builder.add_root_certificate(root);
        }
        builder.build_rustls().map_err(|error| error.to_string())
    };
    let tls = match section.tls {
        EmailTls::StartTls => Tls::Required(parameters()?),
        EmailTls::Implicit => Tls::Wrapper(parameters()?),
        EmailTls::None => Tls::None,
    };
    let mut builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(section.host)
        .port(section.port)
        .timeout(Some(timeout))
        .tls(tls);
    if let Some(BasicCredentials { username, password }) = section.credentials {
        builder = builder.credentials(Credentials::new(username.expose().to_owned(), password.expose().to_owned()));
    }
    Ok(builder.build())
}
