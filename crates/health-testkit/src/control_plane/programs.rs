//! Where etcd, kube-apiserver, kubectl and helm are. Must not build or fetch them: `ci/control-plane` does.

use std::path::{Path, PathBuf};

use super::ControlPlaneError;

/// The path of one of `etcd`, `kube-apiserver`, `kubectl`, `helm`: from the folder `KUBEBUILDER_ASSETS` if it holds
/// the program, else from what `ci/control-plane` has built.
///
/// # Errors
/// A sentence that tells how to build the program.
pub fn program(name: &str) -> Result<PathBuf, ControlPlaneError> {
    let built = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache/control-plane");
    let folders = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from).into_iter().chain([built]);
    for folder in folders {
        let path = folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
    }
    Err(ControlPlaneError::new(format!(
        "{name} is missing: run `ci/control-plane`, which builds it with Go, or let KUBEBUILDER_ASSETS name a folder that holds it"
    )))
}
