//! Group: what an entry owes its destination, and from when on. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    destination::Style,
    ledger::{Entry, Phase},
    situation::{Mute, Situation},
    step::{Policy, later},
};

/// What a message says. Within a destination they go out in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Telling {
    /// Checks fail, or still fail.
    Firing,
    /// Checks turn so often that only that is told.
    Flapping,
    /// Checks failed and came back before that could be told.
    Summary,
    /// Checks that were told to fail are healthy again.
    Resolved,
    /// Checks that were told to fail are no longer watched.
    Unwatched,
}

impl Telling {
    /// Every one, in the order in which they go out.
    pub const ALL: [Self; 5] = [Self::Firing, Self::Flapping, Self::Summary, Self::Resolved, Self::Unwatched];

    /// `%status%`: whether this opens or closes.
    pub const fn status(self) -> &'static str {
        match self {
            Self::Firing | Self::Flapping => "firing",
            Self::Summary | Self::Resolved | Self::Unwatched => "resolved",
        }
    }

    /// Whether this opens.
    pub const fn is_firing(self) -> bool {
        matches!(self, Self::Firing | Self::Flapping)
    }
}

/// What is owed, and from when on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Debt {
    pub(crate) telling: Telling,
    pub(crate) due: Timestamp,
}

impl Entry {
    /// What this entry owes. `closes_quietly`: closing makes no noise there, so quiet hours do not hold it back.
    pub(crate) fn debt(&self, situation: Situation, policy: &Policy, quiet: Option<Mute>) -> Option<Debt> {
        let grouped = later(self.owed_at.unwrap_or(self.since), policy.group_wait);
        let debt = |telling, due| Some(Debt { telling, due });
        if self.unwatched {
            let open = self.phase == Phase::Told || self.perhaps_opened(policy);
            return open.then_some(Debt { telling: Telling::Unwatched, due: grouped });
        }
        if quiet.is_some() || self.silent {
            return None;
        }
        let known = !matches!(situation, Situation::Unknown) || self.attempt.is_some();
        match (self.phase, self.ended) {
            (Phase::Holding | Phase::Past, _) => None,
            _ if self.flapping => (!self.flapping_told).then_some(Debt { telling: Telling::Flapping, due: grouped }),
            (Phase::Owed, None) => known.then_some(Debt { telling: Telling::Firing, due: grouped }),
            (Phase::Owed, Some(_)) => debt(Telling::Summary, grouped),
            (Phase::Told, Some(_)) => debt(Telling::Resolved, grouped),
            (Phase::Told, None) => self.repeat(situation, policy),
        }
    }

    fn repeat(&self, situation: Situation, policy: &Policy) -> Option<Debt> {
        if self.closing {
            // Readers may believe that it is over: what fails now is another outage, told once it has outlasted its hold.
            return None;
        }
        let due = later(self.told_at?, policy.repeat?);
        // What is only refreshed is no news: held back, it would end there by itself and be told as over.
        let goes_on = match situation {
            Situation::Failing { mute, .. } => mute.is_none() || policy.style == Style::Refreshed,
            Situation::Unknown | Situation::Healthy { .. } | Situation::Unwatched => false,
        };
        goes_on.then_some(Debt { telling: Telling::Firing, due })
    }
}
