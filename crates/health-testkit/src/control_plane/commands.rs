//! kubectl and helm, sent to this control plane with the administrator's rights or somebody else's.
//! Must not judge: what the program printed and how it ended is handed back; [`Finished::succeeded`] is for the caller.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

use super::{ControlPlane, ControlPlaneError, program};

/// No command of a test is meant to wait this long: something hangs.
const ENDS_WITHIN: Duration = Duration::from_secs(180);

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Finished {
    /// The program with its arguments, for messages.
    pub command: String,
    /// Whether it ended with status 0.
    pub success: bool,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// What the program printed, if it ended well.
    ///
    /// # Errors
    /// The command and everything it said.
    pub fn succeeded(self) -> Result<String, ControlPlaneError> {
        if self.success {
            return Ok(self.stdout);
        }
        Err(ControlPlaneError::new(format!("`{}` failed: {}{}", self.command, self.stderr, self.stdout)))
    }

    /// What the program complained about, if it failed as it should.
    ///
    /// # Errors
    /// When it succeeded: the command and what it printed.
    pub fn refused(self) -> Result<String, ControlPlaneError> {
        if !self.success {
            return Ok(self.stderr);
        }
        Err(ControlPlaneError::new(format!("`{}` should have been refused, but said: {}", self.command, self.stdout)))
    }
}

impl ControlPlane {
    /// `kubectl ARGUMENTS` as the administrator.
    ///
    /// # Errors
    /// When kubectl is missing, cannot be run or does not end.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Finished, ControlPlaneError> {
        self.run("kubectl", self.admin_kubeconfig(), arguments, None).await
    }

    /// `kubectl ARGUMENTS` as whom the kubeconfig names.
    ///
    /// # Errors
    /// As [`ControlPlane::kubectl`].
    pub async fn kubectl_as(&self, kubeconfig: &Path, arguments: &[&str]) -> Result<Finished, ControlPlaneError> {
        self.run("kubectl", kubeconfig, arguments, None).await
    }

    /// `kubectl apply -f -` of the manifests, by server-side apply, into `namespace` unless they say another.
    ///
    /// # Errors
    /// As [`ControlPlane::kubectl`].
    pub async fn apply(&self, namespace: &str, manifests: &str) -> Result<Finished, ControlPlaneError> {
        let arguments = ["apply", "--server-side", "--force-conflicts", "-n", namespace, "-f", "-"];
        self.run("kubectl", self.admin_kubeconfig(), &arguments, Some(manifests)).await
    }

    /// `helm ARGUMENTS` as the administrator.
    ///
    /// # Errors
    /// When helm is missing, cannot be run or does not end.
    pub async fn helm(&self, arguments: &[&str]) -> Result<Finished, ControlPlaneError> {
        self.run("helm", self.admin_kubeconfig(), arguments, None).await
    }

    /// A token of a ServiceAccount from the TokenRequest API, good for an hour: what its pods would carry.
    ///
    /// # Errors
    /// When there is no such account.
    pub async fn service_account_token(&self, namespace: &str, account: &str) -> Result<String, ControlPlaneError> {
        let token = self.kubectl(&["create", "token", account, "-n", namespace]).await?.succeeded()?;
        Ok(token.trim().to_owned())
    }

    async fn run(
        &self,
        name: &str,
        kubeconfig: &Path,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<Finished, ControlPlaneError> {
        let command = format!("{name} {}", arguments.join(" "));
        let output = timeout(ENDS_WITHIN, self.output(name, kubeconfig, arguments, input))
            .await
            .map_err(|_| ControlPlaneError::new(format!("`{command}` did not end within {ENDS_WITHIN:?}")))??;
        Ok(Finished {
            command,
            success: output.status.success(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    async fn output(
        &self,
        name: &str,
        kubeconfig: &Path,
        arguments: &[&str],
        input: Option<&str>,
    ) -> Result<Output, ControlPlaneError> {
        // A home of their own: neither the settings nor the caches of whoever runs the tests count here.
        let mut child = Command::new(program(name)?)
            .args(arguments)
            .env("HOME", self.home())
            .env("KUBECONFIG", kubeconfig)
            .env("KUBECACHEDIR", self.home().join("kubectl-cache"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // A program that stops reading tells why by itself.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let ((), output) = tokio::join!(feed, child.wait_with_output());
        Ok(output?)
    }
}
