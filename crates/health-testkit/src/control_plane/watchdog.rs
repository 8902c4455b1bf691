//! Ends the servers when the test process dies without dropping anything: a shared control plane is a static, which Rust
//! never drops, and a test may be killed. A shell holds the other end of a pipe; when the pipe closes, it kills what the
//! pid files name and removes the folder. Must not be asked for anything while the process lives.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::ControlPlaneError;

const SCRIPT: &str = r#"
cat >/dev/null
for file in "$1"/*.pid; do
  if [ -f "$file" ]; then kill -s KILL "$(cat "$file")" 2>/dev/null; fi
done
# Up to a second for dying servers to let go of their files.
for _ in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1" 2>/dev/null && break
  sleep 0.1
done
"#;

#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    pub(super) fn over(home: &Path) -> Result<Self, ControlPlaneError> {
        let shell = Command::new("sh")
            .args(["-c", SCRIPT, "watchdog"])
            .arg(home)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C goes to the whole group, and would end the one who is to clean up.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}
