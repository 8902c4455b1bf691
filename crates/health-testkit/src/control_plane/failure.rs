//! Why the control plane is not there, in a sentence for the person who reads a failed test.
//! Must not be matched on: a test can only give up.

use std::fmt;

/// Why the control plane, or a command sent to it, did not do what was asked. `Debug` prints the same sentence, since
/// that is what `unwrap` shows.
pub struct ControlPlaneError {
    sentence: String,
}

impl ControlPlaneError {
    pub(super) fn new(sentence: impl Into<String>) -> Self {
        Self { sentence: sentence.into() }
    }

    /// Somebody took the port between our choosing it and the server's binding it.
    pub(super) fn is_port_taken(&self) -> bool {
        self.sentence.contains("address already in use")
    }
}

impl fmt::Display for ControlPlaneError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.sentence)
    }
}

impl fmt::Debug for ControlPlaneError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::error::Error for ControlPlaneError {}

impl From<std::io::Error> for ControlPlaneError {
    fn from(error: std::io::Error) -> Self {
        Self::new(format!("control plane: {error}"))
    }
}
