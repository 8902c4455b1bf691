//! `crds`: the CustomResourceDefinitions, for `kubectl apply -f -`.

use std::process::ExitCode;

use crate::output;

/// Prints them as YAML.
///
/// # Errors
/// When standard output cannot be written to.
pub(crate) fn print() -> anyhow::Result<ExitCode> {
    output::print(&health_manifests::crds())?;
    Ok(ExitCode::SUCCESS)
}
