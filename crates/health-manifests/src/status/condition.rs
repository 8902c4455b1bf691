//! Conditions, as Kubernetes tools wait for them.

use jiff::Timestamp;
pub use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Longest message of a condition, in characters (the API server's bound is 32 768 bytes).
const MESSAGE_LIMIT: usize = 4096;

/// What a condition says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConditionStatus {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody knows.
    Unknown,
}

impl ConditionStatus {
    /// The word in the object.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for ConditionStatus {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// A condition that keeps its transition time while its status stays what it was among `previous`; otherwise `since`.
pub fn condition(
    previous: &[Condition],
    kind: &str,
    status: ConditionStatus,
    (reason, message): (&str, &str),
    since: Timestamp,
) -> Condition {
    let unchanged = previous.iter().find(|old| old.type_ == kind && old.status == status.as_str());
    Condition {
        type_: kind.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.to_owned(),
        message: message.chars().take(MESSAGE_LIMIT).collect(),
        last_transition_time: unchanged.map_or(Time(since), |old| old.last_transition_time.clone()),
        observed_generation: None,
    }
}
