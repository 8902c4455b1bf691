//! Telling people: match, hold, group, render, send, retry, record.
//!
//! [`Notifications`] is handed what has changed and never makes the caller wait. Every decision is made by the pure
//! [`Machine`]; what must survive the process is kept by a [`LedgerStore`]; [`channel`] speaks to the providers. A
//! message is recorded as told only after the provider has accepted it.

mod certificate;
pub mod channel;
mod counters;
mod debt;
mod destination;
mod flapping;
mod inbox;
mod input;
mod lane;
mod ledger;
mod machine;
mod message;
mod notice;
mod outcome;
mod pipeline;
mod report;
mod settings;
mod situation;
mod step;
mod text;
mod trial;

pub use counters::{Delivered, MetricsSnapshot, NotDelivering};
pub use debt::Telling;
pub use destination::Destination;
pub use input::{CheckSnapshot, Observation};
pub use lane::{LaneId, Trouble};
pub use ledger::{
    DestinationKey, Entry, FileLedger, LedgerChange, LedgerError, LedgerFuture, LedgerKey, LedgerStore, MemoryLedger,
    Phase,
};
pub use machine::{Action, Delivery, Event, Input, Machine};
pub use message::{Member, Message};
pub use pipeline::Notifications;
pub use report::{AlertReport, RuleReport};
pub use settings::{Clock, Flapping, NotificationSettings, Retrying};
pub use situation::Mute;
pub use trial::{Trial, try_out};
