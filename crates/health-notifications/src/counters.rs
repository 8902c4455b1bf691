//! What is counted, and the snapshot of it that metrics are made from.

use std::collections::BTreeMap;

use health_model::ChannelKind;
use jiff::Timestamp;

use crate::{lane::Trouble, machine::Machine};

/// Counts since the start, per kind of channel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Messages that a provider accepted.
    pub accepted: u64,
    /// Attempts that failed and are made again.
    pub retried: u64,
    /// Attempts that were refused for good.
    pub rejected: u64,
    /// Alerts that went out in a message together with others: all but one of each message.
    pub merged: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    delivered: BTreeMap<ChannelKind, Delivered>,
    pub(crate) abandoned: u64,
}

impl Counters {
    pub(crate) fn accepted(&mut self, kind: ChannelKind, members: usize) {
        let delivered = self.delivered.entry(kind).or_default();
        delivered.accepted += 1;
        delivered.merged += u64::try_from(members.saturating_sub(1)).unwrap_or(u64::MAX);
    }

    pub(crate) fn retried(&mut self, kind: ChannelKind) {
        self.delivered.entry(kind).or_default().retried += 1;
    }

    pub(crate) fn rejected(&mut self, kind: ChannelKind) {
        self.delivered.entry(kind).or_default().rejected += 1;
    }
}

/// A destination that does not accept anything at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDelivering {
    /// Whose lane.
    pub lane: crate::lane::LaneId,
    /// Since when, and why.
    pub trouble: Trouble,
}

/// Everything a metrics page needs, computed when it is asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsSnapshot {
    /// `healthcheck_notifications_total{channel,outcome}` and the merged alerts, per channel kind that any rule uses.
    pub delivered: BTreeMap<ChannelKind, Delivered>,
    /// Alerts that are due and not accepted yet, per channel kind.
    pub queued: BTreeMap<ChannelKind, usize>,
    /// Age in seconds of the oldest alert that is due and not accepted yet; 0 when there is none.
    pub oldest_undelivered_seconds: f64,
    /// Destinations whose last attempt failed.
    pub not_delivering: Vec<NotDelivering>,
    /// Open alerts that could not be closed because the way to close them is gone.
    pub abandoned: u64,
    /// Writes of the ledger that failed since the start.
    pub ledger_failures: u64,
    /// Entries not yet written to the ledger.
    pub ledger_unwritten: usize,
}

impl Machine {
    /// What is counted and what stands.
    pub fn metrics(&self, now: Timestamp) -> MetricsSnapshot {
        let mut snapshot = MetricsSnapshot { delivered: self.counters.delivered.clone(), ..Default::default() };
        snapshot.abandoned = self.counters.abandoned;
        for (id, lane) in &self.lanes {
            let kind = id.destination.channel;
            snapshot.delivered.entry(kind).or_default();
            *snapshot.queued.entry(kind).or_default() += lane.owing;
            let age = lane.oldest.map_or(0.0, |oldest| now.duration_since(oldest).as_secs_f64());
            snapshot.oldest_undelivered_seconds = snapshot.oldest_undelivered_seconds.max(age);
            if let Some(trouble) = &lane.trouble {
                snapshot.not_delivering.push(NotDelivering { lane: id.clone(), trouble: trouble.clone() });
            }
        }
        snapshot
    }
}
