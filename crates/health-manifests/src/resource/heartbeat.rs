//! `heartbeat`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::value::{NumberOrText, ValueOrRef};

/// Passive: something else reports in, by `POST /api/v1/heartbeats/{namespace}/{name}`, at least every `testInterval`
/// and `grace`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// How much later than testInterval a report may come: whole seconds or a duration (default: a tenth of
    /// testInterval, but no less than 1 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<NumberOrText>,
    /// Bearer token that a report must carry (default: none is asked for).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<ValueOrRef>,
}
