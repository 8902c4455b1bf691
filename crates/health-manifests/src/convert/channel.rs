//! The channels of a NotificationRule.

use health_model::{BasicCredentials, Channel, EmailTls, Sensitive, SlackWebhook, Texts};
use url::Url;

use super::{Conversion, url::UrlShape, value::Read};
use crate::{
    material::MaterialKind,
    path::FieldPath,
    resource::{
        channel::{
            Alertmanager, Chat, CustomWebhook, Email, Matrix, Ntfy, Opsgenie, Pagerduty, Slack, Smtp, SmtpTls,
            Telegram, Webhook,
        },
        http::UrlText,
        value::{KeyRef, SecretText},
    },
};

fn texts(message: Option<&String>, resolve_message: Option<&String>) -> Texts {
    Texts { message: message.cloned(), resolve_message: resolve_message.cloned() }
}

impl Conversion<'_> {
    /// Reads `slack`.
    pub(crate) fn slack(&mut self, path: &FieldPath<'_>, slack: &Slack) -> Option<Channel> {
        let Slack { webhook, username, channel, message, resolve_message } = slack;
        Some(Channel::Slack {
            webhooks: self.webhooks(&path.key("webhook"), webhook)?,
            username: username.clone(),
            channel: channel.clone(),
            texts: texts(message.as_ref(), resolve_message.as_ref()),
        })
    }

    /// Reads `discord`, `teams` or `googleChat`.
    pub(crate) fn chat(
        &mut self,
        path: &FieldPath<'_>,
        chat: &Chat,
        make: impl FnOnce(Vec<SlackWebhook>, Texts) -> Channel,
    ) -> Option<Channel> {
        let Chat { webhook, message, resolve_message } = chat;
        let webhooks = self.webhooks(&path.key("webhook"), webhook)?;
        Some(make(webhooks, texts(message.as_ref(), resolve_message.as_ref())))
    }

    fn webhooks(&mut self, path: &FieldPath<'_>, webhook: &Webhook) -> Option<Vec<SlackWebhook>> {
        let Webhook { url, secret } = webhook;
        match (url, secret) {
            (Some(SecretText(url)), None) => {
                let url = self.hidden_url(&path.key("url"), url)?;
                Some(vec![SlackWebhook { label: "url".to_owned(), url }])
            }
            (None, Some(keys)) => self.each(&path.key("secret"), keys, Self::webhook_of_key),
            _ => {
                self.fault(path, "needs exactly one source", "give url or secret");
                None
            }
        }
    }

    fn webhook_of_key(&mut self, path: &FieldPath<'_>, reference: &KeyRef) -> Option<SlackWebhook> {
        let KeyRef { name, key } = reference;
        let label = format!("{name}/{key}");
        let url = match self.key(path, MaterialKind::Secret, reference)? {
            Read::Elsewhere => Sensitive::new(""),
            Read::Known(url) => self.hidden_url(path, url.expose().trim())?,
        };
        Some(SlackWebhook { label, url })
    }

    /// Reads an address that is itself a secret: nothing of it is shown.
    fn hidden_url(&mut self, path: &FieldPath<'_>, text: &str) -> Option<Sensitive> {
        let good = Url::parse(text).is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.is_empty())
        });
        if !good {
            self.fault(path, "is no http or https address", "write one like https://example.org/hook");
        }
        good.then(|| Sensitive::new(text))
    }

    /// Reads the address of a provider: shown nowhere as a secret, so it may hold no credentials.
    fn provider_url(&mut self, path: &FieldPath<'_>, url: Option<&UrlText>, default: &str) -> Option<Url> {
        let text = url.map_or(default, |url| url.0.as_str());
        let (url, user_info) = self.url(path, text, UrlShape::PAGE)?;
        if user_info.is_some() {
            self.fault(path, "holds user info", "remove it: it cannot be sent there");
        }
        Some(url)
    }

    /// Reads `telegram`.
    pub(crate) fn telegram(&mut self, path: &FieldPath<'_>, telegram: &Telegram) -> Option<Channel> {
        let Telegram { bot_token, chat_id, api_url, message, resolve_message } = telegram;
        let bot_token = self.sensitive(&path.key("botToken"), bot_token);
        let chat_id = self.sensitive(&path.key("chatId"), chat_id);
        let api_url = self.provider_url(&path.key("apiUrl"), api_url.as_ref(), "https://api.telegram.org");
        let texts = texts(message.as_ref(), resolve_message.as_ref());
        Some(Channel::Telegram { api_url: api_url?, bot_token: bot_token?, chat_id: chat_id?, texts })
    }

    /// Reads `pagerduty`.
    pub(crate) fn pagerduty(&mut self, path: &FieldPath<'_>, pagerduty: &Pagerduty) -> Option<Channel> {
        let Pagerduty { routing_key, api_url, message, resolve_message } = pagerduty;
        let routing_key = self.sensitive(&path.key("routingKey"), routing_key);
        let api_url = self.provider_url(&path.key("apiUrl"), api_url.as_ref(), "https://events.pagerduty.com");
        let texts = texts(message.as_ref(), resolve_message.as_ref());
        Some(Channel::Pagerduty { api_url: api_url?, routing_key: routing_key?, texts })
    }

    /// Reads `opsgenie`.
    pub(crate) fn opsgenie(&mut self, path: &FieldPath<'_>, opsgenie: &Opsgenie) -> Option<Channel> {
        let Opsgenie { api_key, api_url, message, resolve_message } = opsgenie;
        let api_key = self.sensitive(&path.key("apiKey"), api_key);
        let api_url = self.provider_url(&path.key("apiUrl"), api_url.as_ref(), "https://api.opsgenie.com");
        let texts = texts(message.as_ref(), resolve_message.as_ref());
        Some(Channel::Opsgenie { api_url: api_url?, api_key: api_key?, texts })
    }

    /// Reads `ntfy`.
    pub(crate) fn ntfy(&mut self, path: &FieldPath<'_>, ntfy: &Ntfy) -> Option<Channel> {
        let Ntfy { url, topic, token, message, resolve_message } = ntfy;
        let url = self.provider_url(&path.key("url"), url.as_ref(), "https://ntfy.sh");
        let topic = self.sensitive(&path.key("topic"), topic);
        let token = token.as_ref().map(|token| self.sensitive(&path.key("token"), token));
        let texts = texts(message.as_ref(), resolve_message.as_ref());
        Some(Channel::Ntfy { url: url?, topic: topic?, token: super::tcp::transpose(token)?, texts })
    }

    /// Reads `matrix`.
    pub(crate) fn matrix(&mut self, path: &FieldPath<'_>, matrix: &Matrix) -> Option<Channel> {
        let Matrix { homeserver, room, token, message, resolve_message } = matrix;
        let homeserver = self.provider_url(&path.key("homeserver"), Some(homeserver), "");
        let token = self.sensitive(&path.key("token"), token);
        if !room.starts_with(['!', '#']) {
            let path = path.key("room");
            self.fault_showing(path, format_args!("{room:?}"), ("is no room", "write its id, as in !abc:example.org"));
        }
        let texts = texts(message.as_ref(), resolve_message.as_ref());
        Some(Channel::Matrix { homeserver: homeserver?, room: room.clone(), token: token?, texts })
    }

    /// Reads `email`.
    pub(crate) fn email(&mut self, path: &FieldPath<'_>, email: &Email) -> Option<Channel> {
        let Email { to, from, smtp, message, resolve_message } = email;
        for (index, address) in to.iter().enumerate() {
            self.mailbox(&path.key("to").index(index), address);
        }
        self.mailbox(&path.key("from"), from);
        let Smtp { host, port, username, password, tls } = smtp;
        let path = path.key("smtp");
        let host = self.host(&path.key("host"), host);
        let tls = match tls {
            None | Some(SmtpTls::StartTls) => EmailTls::StartTls,
            Some(SmtpTls::Implicit) => EmailTls::Implicit,
            Some(SmtpTls::None) => EmailTls::None,
        };
        let port = match port {
            Some(port) => self.port(&path.key("port"), *port),
            None => Some(default_mail_port(tls)),
        };
        let credentials = match (username, password) {
            (None, None) => Some(None),
            (Some(username), Some(password)) => {
                let username = self.sensitive(&path.key("username"), username);
                let password = self.sensitive(&path.key("password"), password);
                Some(Some(BasicCredentials { username: username?, password: password? }))
            }
            _ => {
                self.fault(path, "has half of the credentials", "give username and password, or neither");
                None
            }
        };
        Some(Channel::Email {
            to: to.clone(),
            from: from.clone(),
            host: host?.to_string(),
            port: port?,
            credentials: credentials?,
            tls,
            texts: texts(message.as_ref(), resolve_message.as_ref()),
        })
    }

    fn mailbox(&mut self, path: &FieldPath<'_>, address: &str) {
        let bare = address.rsplit_once('<').map_or(address, |(_, bare)| bare.trim_end().trim_end_matches('>'));
        let good = bare.rsplit_once('@').is_some_and(|(local, domain)| {
            !local.is_empty() && !domain.is_empty() && !bare.contains(char::is_whitespace)
        });
        if !good || address.contains(char::is_control) {
            let remedy = "write one like ops@example.org";
            self.fault_showing(path, format_args!("{address:?}"), ("is no mail address", remedy));
        }
    }

    /// Reads `alertmanager`.
    pub(crate) fn alertmanager(&mut self, path: &FieldPath<'_>, manager: &Alertmanager) -> Option<Channel> {
        let Alertmanager { urls, message, resolve_message } = manager;
        let urls =
            self.each(&path.key("urls"), urls, |conversion, path, url| conversion.provider_url(path, Some(url), ""));
        Some(Channel::Alertmanager { urls: urls?, texts: texts(message.as_ref(), resolve_message.as_ref()) })
    }

    /// Reads `webhook`.
    pub(crate) fn custom_webhook(&mut self, path: &FieldPath<'_>, webhook: &CustomWebhook) -> Option<Channel> {
        let CustomWebhook { url, url_from, method, headers, body, hmac_secret, message, resolve_message } = webhook;
        let url = match (url, url_from) {
            (Some(SecretText(url)), None) => self.hidden_url(&path.key("url"), url),
            (None, Some(source)) => {
                let path = path.key("urlFrom");
                match self.source(&path, source) {
                    Some(Read::Known(url)) => self.hidden_url(&path, url.expose().trim()),
                    Some(Read::Elsewhere) => Some(Sensitive::new("")),
                    None => None,
                }
            }
            _ => {
                self.fault(path, "needs exactly one target", "give url or urlFrom");
                None
            }
        };
        let method = self.method(&path.key("method"), Some(method.as_deref().unwrap_or("POST")));
        let headers = self.headers(&path.key("headers"), headers);
        let hmac_secret = hmac_secret.as_ref().map(|secret| self.sensitive(&path.key("hmacSecret"), secret));
        Some(Channel::Webhook {
            url: url?,
            method: method?,
            headers,
            body: body.clone(),
            hmac_secret: super::tcp::transpose(hmac_secret)?,
            texts: texts(message.as_ref(), resolve_message.as_ref()),
        })
    }
}

/// The port of RFC 6409, of RFC 8314, and of RFC 5321.
const fn default_mail_port(tls: EmailTls) -> u16 {
    match tls {
        EmailTls::StartTls => 587,
        EmailTls::Implicit => 465,
        EmailTls::None => 25,
    }
}
