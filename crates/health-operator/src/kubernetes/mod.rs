//! The cluster as a source of checks.

use health_runner::EngineHandle;
use tokio_util::sync::CancellationToken;

/// Follows the HealthChecks of the cluster until `stop`.
///
/// # Errors
/// When there is no cluster at hand.
pub(crate) async fn run(_engine: EngineHandle, _stop: CancellationToken) -> anyhow::Result<()> {
    anyhow::bail!("this build cannot run against Kubernetes; run it from a folder of manifests with --manifests DIR")
}
