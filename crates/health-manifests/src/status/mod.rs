//! The `status` subresources: what the operator writes, and what it reads back after a restart.

#![expect(unreachable_pub, reason = "the KubeSchema derive declares a public struct inside a function")]

mod check;
mod condition;
mod rule;

pub use check::{HealthCheckStatus, StatusParts};
pub use condition::{Condition, ConditionStatus, condition};
pub use rule::{LedgerEntry, NotificationRuleStatus, RuleCheckStatus};

/// An RFC 3339 time.
fn time_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "string", "format": "date-time" })
}
