//! What an entry keeps of its check, so that it can be told of after a restart or when the check is gone. Pure.

use health_model::ReasonClass;

use crate::{
    certificate,
    input::CheckSnapshot,
    ledger::{Entry, Phase},
};

/// Bytes kept of a response or a target in an entry.
const KEPT_TEXT: usize = 256;

impl Entry {
    /// Notes why the check fails; a last word that is not the target's says nothing about that.
    pub(crate) fn notice(&mut self, check: &CheckSnapshot) {
        let reason = check.standing.reason;
        if !matches!(reason.class(), ReasonClass::Judged | ReasonClass::NotCarriedOut) {
            return;
        }
        self.reason = reason;
        self.response = clipped(&check.standing.response);
        if let Ok(spec) = &check.definition.spec {
            self.target = clipped(&spec.probe.target());
            if self.phase == Phase::Holding {
                self.severity = spec.severity;
            }
        }
        self.certificate = certificate::identity(check).or_else(|| self.certificate.take());
    }
}

fn clipped(text: &str) -> String {
    let mut end = text.len().min(KEPT_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}
