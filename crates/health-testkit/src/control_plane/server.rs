//! One server process: started, killed, paused, started again with the same arguments; its output goes into a file.
//! Must not outlive its owner: dropping kills. Must not depend on an async runtime, since tests of different runtimes
//! share it.

use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::ControlPlaneError;

/// How much of a server's output is shown when it did not become ready.
const LAST_LINES: usize = 15;

#[derive(Debug)]
pub(super) struct Server {
    program: PathBuf,
    home: PathBuf,
    arguments: Vec<String>,
    child: Option<Child>,
}

/// A test that panicked while it held the lock has left nothing half-done here.
pub(super) fn locked(server: &Mutex<Server>) -> MutexGuard<'_, Server> {
    server.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Server {
    pub(super) fn new(program: PathBuf, home: &Path, arguments: Vec<String>) -> Self {
        Self { program, home: home.to_path_buf(), arguments, child: None }
    }

    pub(super) fn start(&mut self) -> Result<(), ControlPlaneError> {
        if self.child.is_some() {
            return Err(ControlPlaneError::new(format!("{} is running already", self.name())));
        }
        let output = OpenOptions::new().create(true).append(true).open(self.output())?;
        let child = Command::new(&self.program)
            .args(&self.arguments)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| {
                ControlPlaneError::new(format!("{} cannot be started: {error}", self.program.display()))
            })?;
        fs::write(self.home.join(format!("{}.pid", self.name())), child.id().to_string())?;
        self.child = Some(child);
        Ok(())
    }

    pub(super) fn kill(&mut self) -> Result<(), ControlPlaneError> {
        let mut child = self.child.take().ok_or_else(|| self.is_not_running())?;
        // The watchdog must not find the number of a process that has ended.
        let _ = fs::remove_file(self.home.join(format!("{}.pid", self.name())));
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    pub(super) fn signal(&self, name: &str) -> Result<(), ControlPlaneError> {
        let child = self.child.as_ref().ok_or_else(|| self.is_not_running())?;
        let sent = Command::new("kill").args(["-s", name, &child.id().to_string()]).status()?;
        if sent.success() { Ok(()) } else { Err(self.is_not_running()) }
    }

    /// Says why, when the server has ended by itself.
    pub(super) fn has_ended(&mut self) -> Option<ControlPlaneError> {
        let status = self.child.as_mut()?.try_wait().ok()??;
        Some(ControlPlaneError::new(format!("{} ended with {status}:\n{}", self.name(), self.last_lines())))
    }

    pub(super) fn last_lines(&self) -> String {
        let text = File::open(self.output()).and_then(std::io::read_to_string).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }

    pub(super) fn name(&self) -> String {
        self.program.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn output(&self) -> PathBuf {
        self.home.join(format!("{}.log", self.name()))
    }

    fn is_not_running(&self) -> ControlPlaneError {
        ControlPlaneError::new(format!("{} is not running", self.name()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            // Nobody is left to tell.
            let _ = self.kill();
        }
    }
}
