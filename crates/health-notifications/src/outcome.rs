//! Record: what an answer makes of an entry and of its lane. Pure.

use std::time::Duration;

use health_model::{Reason, Severity};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::{
    debt::Telling,
    lane::{Lane, Trouble},
    ledger::{Entry, Phase},
    settings::Retrying,
    step::later,
};

impl Entry {
    /// An outage that has just begun.
    pub(crate) fn beginning(since: Timestamp) -> Self {
        Self {
            since,
            phase: Phase::Holding,
            owed_at: None,
            ended: None,
            told_at: None,
            times: 0,
            unwatched: false,
            flapping: false,
            flapping_told: false,
            turns: Vec::new(),
            silent: false,
            attempt: None,
            opening: false,
            closing: false,
            reopened: None,
            incident: None,
            certificate: None,
            reason: Reason::Pending,
            severity: Severity::default(),
            response: String::new(),
            target: String::new(),
        }
    }

    /// What is left of the entry after a message about it was accepted.
    pub(crate) fn after_accepted(mut self, telling: Telling, wait: Duration, now: Timestamp) -> Option<Self> {
        self.attempt = None;
        match telling {
            Telling::Firing | Telling::Flapping => {
                self.phase = Phase::Told;
                // It is the provider's last word, whatever became of earlier ones.
                (self.opening, self.closing, self.reopened) = (false, false, None);
                self.told_at = Some(now);
                self.times = self.times.saturating_add(1);
                self.flapping_told |= telling == Telling::Flapping;
                let more_to_say = self.ended.is_some() || self.unwatched || (self.flapping && !self.flapping_told);
                if !more_to_say {
                    self.owed_at = None;
                }
                Some(self)
            }
            Telling::Summary | Telling::Resolved | Telling::Unwatched => self.closed(wait, now),
        }
    }

    /// The outage is told to be over. One that began meanwhile is another one: if it is over as well it is owed as a
    /// whole, otherwise it begins afresh.
    fn closed(self, wait: Duration, now: Timestamp) -> Option<Self> {
        let Self { ended, reopened, unwatched, .. } = self;
        if let (Some(since), Some(ended), false) = (reopened, ended, unwatched) {
            let lasted = later(since, wait) <= ended;
            let owed = Self { ended: Some(ended), owed_at: Some(now), phase: Phase::Owed, ..self.afresh(since) };
            return lasted.then_some(owed);
        }
        let remembered = ended.is_some() && self.certificate.is_some() && !unwatched;
        remembered.then(|| Self { phase: Phase::Past, ..self.afresh(self.since) })
    }

    /// Another outage of the same check.
    pub(crate) fn afresh(&self, since: Timestamp) -> Self {
        Self {
            certificate: self.certificate.clone(),
            reason: self.reason,
            severity: self.severity,
            response: self.response.clone(),
            target: self.target.clone(),
            ..Self::beginning(since)
        }
    }
}

impl Lane {
    /// Notes that a delivery failed; says how many did in a row.
    pub(crate) fn fail(&mut self, why: String, rejected: bool, now: Timestamp) -> u32 {
        let before = self.trouble.take();
        let (since, failures) = before.map_or((now, 0), |trouble| (trouble.since, trouble.failures));
        let failures = failures.saturating_add(1);
        self.trouble = Some(Trouble { since, why, failures, rejected });
        failures
    }
}

impl Retrying {
    /// The delay after so many failures in a row: doubling, capped, and spread between half and all of it by the
    /// message's id, so that destinations that failed together do not come back together.
    pub(crate) fn delay(&self, failures: u32, id: &str) -> Duration {
        let doublings = failures.saturating_sub(1).min(20);
        let full = self.first.saturating_mul(1 << doublings).min(self.longest);
        let digest = Sha256::digest(format!("{id}{failures}"));
        let spread = f64::from(digest.first().copied().unwrap_or_default()) / 255.0;
        full.mul_f64(0.5 + 0.5 * spread)
    }
}
