//! `heartbeat`.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::value::{NumberOrText, ValueOrRef};

/// Passive: something else reports in, by `POST /api/v1/heartbeats/{namespace}/{name}`, at least every `testInterval`
/// and `grace`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.token) || !has(self.token.value) || self.token.value != ''").message("is empty; give it a value, or remove token to ask for none").field_path(".token"))]
pub struct Heartbeat {
    /// How much later than testInterval a report may come: whole seconds or a duration (default: a tenth of
    /// testInterval, but no less than 1 s).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("type(self) == int ? self >= 0 : self.matches('^([0-9]+([.][0-9]+)?(ms|s|m|h|d))+$')").message("is no duration; write whole seconds (60) or a duration such as \"500ms\", \"1m30s\", \"1h\""))]
    pub grace: Option<NumberOrText>,
    /// Bearer token that a report must carry (default: none is asked for).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<ValueOrRef>,
}
