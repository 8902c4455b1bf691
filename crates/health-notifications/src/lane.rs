//! Group and retry: one destination of one rule, with everything it has been told and must be told. Pure.
//!
//! What is owed is read from the entries whenever the destination is free, never queued as messages. So a provider that
//! is away piles up nothing: what turned meanwhile merges into the next message, bounded by the number of checks.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
};

use health_model::{CheckId, RuleId};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    debt::{Debt, Telling},
    destination::{Destination, MOST_SINGLE_INCIDENTS, Style},
    ledger::{DestinationKey, Entry},
};

/// Whose lane it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId {
    /// The rule.
    pub rule: RuleId,
    /// Where it tells.
    pub destination: DestinationKey,
}

/// A message under way.
#[derive(Clone, Debug)]
pub(crate) struct InFlight {
    pub(crate) id: Arc<str>,
    pub(crate) telling: Telling,
    pub(crate) incident: Arc<str>,
    /// It was offered before and may have been accepted then, whatever comes of it now.
    pub(crate) again: bool,
    /// The members, in order.
    pub(crate) members: Vec<CheckId>,
    /// Those among them, in order, that an earlier message may have opened.
    pub(crate) perhaps_opened: Vec<CheckId>,
    /// Those among them, in order, that an earlier message may have closed.
    pub(crate) perhaps_closed: Vec<CheckId>,
}

/// Why nothing is accepted there at the moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since when.
    pub since: Timestamp,
    /// What the last attempt came to; one line, no secret.
    pub why: String,
    /// Attempts in a row that failed.
    pub failures: u32,
    /// Whether the last one was refused for good: somebody must mend the rule.
    pub rejected: bool,
}

/// One destination of one rule.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// How to reach it; `None` until the rule is known.
    pub(crate) destination: Option<Destination>,
    /// The rule or this destination of it is gone since then: only what it opened is closed.
    pub(crate) retired: Option<Timestamp>,
    pub(crate) entries: BTreeMap<CheckId, Entry>,
    pub(crate) in_flight: Option<InFlight>,
    pub(crate) retry_at: Option<Timestamp>,
    pub(crate) trouble: Option<Trouble>,
    /// When something is due next, as of the last look.
    pub(crate) wake: Option<Timestamp>,
    /// Entries that were held back at the last look.
    pub(crate) muted: usize,
    /// Those of them that wait for something they depend on to be asked.
    pub(crate) awaiting: usize,
    /// Entries of which nothing could be concluded at the last look.
    pub(crate) unknown: usize,
    /// Debts at the last look: how many, and since when the oldest is due.
    pub(crate) owing: usize,
    pub(crate) oldest: Option<Timestamp>,
    pub(crate) last_told: Option<Timestamp>,
    pub(crate) last_resolved: Option<Timestamp>,
}

/// What to send now, chosen from what is owed.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) id: Arc<str>,
    pub(crate) telling: Telling,
    pub(crate) incident: Arc<str>,
    pub(crate) again: bool,
    pub(crate) members: Vec<CheckId>,
}

impl Lane {
    /// Chooses the next message among what is due, or nothing.
    pub(crate) fn choose(&self, id: &LaneId, debts: &BTreeMap<CheckId, Debt>, now: Timestamp) -> Option<Batch> {
        let destination = self.destination.as_ref()?;
        self.frozen(id, debts).or_else(|| {
            Telling::ALL.into_iter().find_map(|telling| self.grouped(id, destination, debts, (telling, now)))
        })
    }

    /// A message that may have been accepted already goes again as it was, under the same id.
    fn frozen(&self, id: &LaneId, debts: &BTreeMap<CheckId, Debt>) -> Option<Batch> {
        let (attempt, telling) =
            debts.iter().find_map(|(check, debt)| Some((self.attempt_of(check)?, debt.telling)))?;
        let mut members: Vec<_> = debts
            .iter()
            .filter(|(check, debt)| debt.telling == telling && self.attempt_of(check) == Some(attempt))
            .map(|(check, _)| check.clone())
            .collect();
        let first = self.entries.get(members.first()?)?;
        if let (Some(shared), false) = (&first.incident, telling.is_firing()) {
            members = self.sharing(shared);
        }
        let incident = self.incident_of(id, members.first()?);
        Some(Batch { id: Arc::clone(attempt), telling, incident, again: true, members })
    }

    fn attempt_of(&self, check: &CheckId) -> Option<&Arc<str>> {
        self.entries.get(check)?.attempt.as_ref()
    }

    fn incident_of(&self, id: &LaneId, check: &CheckId) -> Arc<str> {
        let shared = self.entries.get(check).and_then(|entry| entry.incident.clone());
        shared.unwrap_or_else(|| incident_key(id, check))
    }

    fn grouped(
        &self,
        id: &LaneId,
        destination: &Destination,
        debts: &BTreeMap<CheckId, Debt>,
        (telling, now): (Telling, Timestamp),
    ) -> Option<Batch> {
        let of_this = || debts.iter().filter(move |(_, debt)| debt.telling == telling);
        if !of_this().any(|(_, debt)| debt.due <= now) {
            return None;
        }
        // What is owed but still grouping goes along; a repeat that is not due yet does not.
        let ready = of_this().filter(|(check, debt)| debt.due <= now || self.is_news(check));
        let mut members: Vec<CheckId> = ready.map(|(check, _)| check.clone()).collect();
        let mut incident = None;
        if destination.style() == Style::Incident {
            (members, incident) = self.one_incident(id, telling, members)?;
        }
        members.truncate(destination.most_members());
        let message = self.message_id(id, telling, &members);
        let incident = incident.unwrap_or_else(|| Arc::clone(&message));
        Some(Batch { id: message, telling, incident, again: false, members })
    }

    fn is_news(&self, check: &CheckId) -> bool {
        self.entries.get(check).is_some_and(|entry| entry.owed_at.is_some())
    }

    /// Incidents are opened and closed one by one, unless many checks fail together: then they share one, which is
    /// closed when the last of them is over.
    fn one_incident(
        &self,
        id: &LaneId,
        telling: Telling,
        members: Vec<CheckId>,
    ) -> Option<(Vec<CheckId>, Option<Arc<str>>)> {
        let storm = |check: &CheckId| self.entries.get(check).and_then(|entry| entry.incident.clone());
        if telling.is_firing() {
            // What may be open under its own key stays there.
            let perhaps_open = |check: &CheckId| self.entries.get(check).is_some_and(|entry| entry.opening);
            let fresh = members.iter().filter(|check| storm(check).is_none() && !perhaps_open(check));
            let fresh: Vec<_> = fresh.cloned().collect();
            if fresh.len() > MOST_SINGLE_INCIDENTS && telling == Telling::Firing {
                return Some((fresh, None));
            }
        }
        let first = members.first()?.clone();
        let shared = storm(&first);
        let Some(incident) = shared else {
            let key = incident_key(id, &first);
            return Some((vec![first], Some(key)));
        };
        let mut together = self.sharing(&incident);
        if telling.is_firing() {
            together.retain(|check| members.binary_search(check).is_ok());
        }
        Some((together, Some(incident)))
    }

    /// Every check of a shared incident: what closes it closes it for all of them, whatever each of them has to say.
    fn sharing(&self, incident: &Arc<str>) -> Vec<CheckId> {
        let sharing = self.entries.iter().filter(|(_, entry)| entry.incident.as_ref() == Some(incident));
        sharing.map(|(check, _)| check.clone()).collect()
    }

    /// Incidents shared by several checks of which one still fails: they stay open.
    pub(crate) fn open_incidents(&self) -> HashSet<Arc<str>> {
        let open = self.entries.values().filter(|entry| entry.ended.is_none() && !entry.unwatched);
        open.filter_map(|entry| entry.incident.clone()).collect()
    }

    /// The same for the same outages told for the same time, so that another attempt carries the same id.
    fn message_id(&self, id: &LaneId, telling: Telling, members: &[CheckId]) -> Arc<str> {
        let mut hash = Sha256::new();
        hash.update(format!("{}|{}|{telling:?}", id.rule, id.destination));
        for check in members {
            let (since, times) =
                self.entries.get(check).map_or((Timestamp::MIN, 0), |entry| (entry.since, entry.times));
            hash.update(format!("|{check} {since} {times}"));
        }
        let digest = hash.finalize();
        digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>().into()
    }
}

/// The key of a check's own incident: readable where it fits, the same for as long as the rule watches the check.
fn incident_key(id: &LaneId, check: &CheckId) -> Arc<str> {
    const LONGEST: usize = 200;
    let key = format!("health-check/{}/{}/{}", check.namespace(), id.rule.name(), check.name());
    if key.len() <= LONGEST {
        return key.into();
    }
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().take(20).map(|byte| format!("{byte:02x}")).collect::<String>().into()
}
