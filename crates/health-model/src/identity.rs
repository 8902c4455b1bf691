//! How objects are named: a namespace and a name, cheap to clone and to compare.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A namespaced object's identity, such as a check's or a rule's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectId {
    namespace: Arc<str>,
    name: Arc<str>,
}

/// The identity of a HealthCheck.
pub type CheckId = ObjectId;
/// The identity of a NotificationRule.
pub type RuleId = ObjectId;

impl ObjectId {
    /// Joins a namespace and a name. Neither is validated here: that is the parser's work.
    pub fn new(namespace: impl Into<Arc<str>>, name: impl Into<Arc<str>>) -> Self {
        Self { namespace: namespace.into(), name: name.into() }
    }

    /// The namespace, never empty (`default` where a manifest names none).
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name within the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

impl fmt::Debug for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
