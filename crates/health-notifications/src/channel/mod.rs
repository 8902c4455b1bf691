//! Render and send: one file per kind of channel, one typed verdict.
//!
//! A channel turns a [`Message`] into one request; the shared transport carries it and judges the answer. No error says
//! more than which channel and what kind of failure: addresses and tokens never reach it.

mod alertmanager;
mod discord;
mod email;
mod google_chat;
mod matrix;
mod mentions;
mod ntfy;
mod opsgenie;
mod pagerduty;
mod payload;
mod slack;
mod teams;
mod telegram;
mod transport;
mod webhook;

use std::time::Duration;

use health_model::{Channel, Sensitive, SlackWebhook};

use crate::{destination::Destination, message::Message};

pub use transport::{Transport, TransportError};

/// What a delivery came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The provider has it.
    Accepted,
    /// It does not have it, or we do not know: ask again.
    Retry {
        /// One line, no secret.
        why: String,
        /// How long it asked us to wait.
        after: Option<Duration>,
        /// Whether it may have been accepted all the same.
        ambiguous: bool,
    },
    /// It will never have it as it is: somebody must mend the rule.
    Rejected {
        /// One line, no secret.
        why: String,
    },
}

/// One HTTP request of a channel.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: http::Method,
    pub(crate) url: Sensitive,
    pub(crate) headers: Vec<(http::HeaderName, Sensitive)>,
    pub(crate) body: Vec<u8>,
}

impl Call {
    /// A POST of JSON.
    pub(crate) fn json(url: Sensitive, body: &serde_json::Value) -> Self {
        Self {
            method: http::Method::POST,
            url,
            headers: vec![(http::header::CONTENT_TYPE, "application/json".into())],
            body: body.to_string().into_bytes(),
        }
    }
}

/// How a message travels.
pub(crate) enum Way<'a> {
    /// By HTTP.
    Http(Call),
    /// By SMTP.
    Mail(email::Section<'a>),
}

/// What has to be done to say this there.
pub(crate) fn way<'a>(destination: &'a Destination, message: &Message) -> Result<Way<'a>, String> {
    let address = destination.address();
    let hook = |webhooks: &'a [SlackWebhook]| webhooks.get(address).ok_or_else(|| "the address is gone".to_owned());
    let call = match destination.channel() {
        Channel::Slack { webhooks, username, channel, texts } => {
            slack::call(hook(webhooks)?, username.as_deref(), channel.as_deref(), texts, message)
        }
        Channel::Discord { webhooks, texts } => discord::call(hook(webhooks)?, texts, message),
        Channel::Teams { webhooks, texts } => teams::call(hook(webhooks)?, texts, message),
        Channel::GoogleChat { webhooks, texts } => google_chat::call(hook(webhooks)?, texts, message),
        Channel::Telegram { api_url, bot_token, chat_id, texts } => {
            telegram::call(api_url, bot_token, chat_id, texts, message)
        }
        Channel::Pagerduty { api_url, routing_key, texts } => pagerduty::call(api_url, routing_key, texts, message),
        Channel::Opsgenie { api_url, api_key, texts } => opsgenie::call(api_url, api_key, texts, message),
        Channel::Ntfy { url, topic, token, texts } => ntfy::call(url, topic, token.as_ref(), texts, message),
        Channel::Matrix { homeserver, room, token, texts } => matrix::call(homeserver, room, token, texts, message),
        Channel::Email { to, from, host, port, credentials, tls, texts } => {
            let credentials = credentials.as_ref();
            return Ok(Way::Mail(email::Section { to, from, host, port: *port, credentials, tls: *tls, texts }));
        }
        Channel::Alertmanager { urls, texts } => {
            alertmanager::call(urls.get(address).ok_or("the address is gone")?, texts, message)
        }
        Channel::Webhook { url, method, headers, body, hmac_secret, texts } => {
            let (body, hmac_secret) = (body.as_deref(), hmac_secret.as_ref());
            webhook::call(&webhook::Section { url, method, headers, body, hmac_secret, texts }, message)?
        }
    };
    Ok(Way::Http(call))
}

/// Everything about a destination that must never be shown.
pub(crate) fn secrets(channel: &Channel, address: usize) -> Vec<Sensitive> {
    match channel {
        Channel::Slack { webhooks, .. }
        | Channel::Discord { webhooks, .. }
        | Channel::Teams { webhooks, .. }
        | Channel::GoogleChat { webhooks, .. } => {
            webhooks.get(address).map(|webhook| webhook.url.clone()).into_iter().collect()
        }
        Channel::Telegram { bot_token, chat_id, .. } => vec![bot_token.clone(), chat_id.clone()],
        Channel::Pagerduty { routing_key, .. } => vec![routing_key.clone()],
        Channel::Opsgenie { api_key, .. } => vec![api_key.clone()],
        Channel::Ntfy { topic, token, .. } => std::iter::once(topic).chain(token).cloned().collect(),
        Channel::Matrix { token, .. } => vec![token.clone()],
        Channel::Email { credentials, .. } => {
            credentials.iter().flat_map(|both| [both.username.clone(), both.password.clone()]).collect()
        }
        Channel::Alertmanager { urls, .. } => {
            urls.get(address).map(|url| Sensitive::new(url.as_str())).into_iter().collect()
        }
        Channel::Webhook { url, headers, hmac_secret, .. } => {
            let headers = headers.iter().map(|header| header.value.clone());
            std::iter::once(url.clone()).chain(headers).chain(hmac_secret.clone()).collect()
        }
    }
}
