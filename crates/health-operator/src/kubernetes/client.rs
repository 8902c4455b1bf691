//! The connection to the API server: in a pod by its ServiceAccount, elsewhere by the kubeconfig at hand.

use std::time::Duration;

use kube::{Client, Config};

/// The longest a connection to the API server may take to come up.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    /// Neither in a pod nor a kubeconfig.
    #[error(
        "no cluster to run against: {0}; run in a pod with a ServiceAccount, set KUBECONFIG, or run without a cluster \
         by --manifests DIR"
    )]
    NoConfig(String),
    /// The configuration cannot be used.
    #[error("the Kubernetes configuration cannot be used: {0}")]
    Unusable(String),
}

/// A client for the cluster we are in, or the one the kubeconfig names. Nothing is sent yet.
///
/// # Errors
/// When there is no configuration, or it makes no client. Errors never quote credentials.
pub(crate) async fn connect() -> Result<Client, ConnectError> {
    let mut config = Config::infer().await.map_err(|error| ConnectError::NoConfig(error.to_string()))?;
    config.connect_timeout = Some(CONNECT_TIMEOUT);
    Client::try_from(config).map_err(|error| ConnectError::Unusable(error.to_string()))
}
