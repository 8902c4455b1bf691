//! What is kept over restarts, below `--state-dir`: how every check stands.
//!
//! One process at a time: the folder is locked. What cannot be read is set aside under another name and never fatal; what
//! is written is complete or not there at all. Standings that come back are stale until their check is probed.

mod keeper;
mod series;
mod standings;

pub(crate) use keeper::{Keeper, KeeperReport};
pub(crate) use series::MemorySeries;

use std::{
    collections::HashMap,
    fs::{self, File, TryLockError},
    io,
    path::{Path, PathBuf},
};

use health_model::{CheckId, Standing};

/// The file whose lock means that somebody uses the folder.
const LOCK_FILE: &str = "lock";
/// Where standings are kept.
const STANDINGS_FILE: &str = "standings.json";

/// A state folder that this process, and no other, uses. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why a state folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StateDirError {
    /// Somebody else does.
    #[error("{path} (--state-dir) is used by another process; end it, or choose another folder")]
    InUse {
        /// The folder.
        path: String,
    },
    /// The system said no.
    #[error("{path} (--state-dir) cannot be used: {cause}; choose a folder that this user may write to")]
    Refused {
        /// The folder.
        path: String,
        /// Why.
        cause: io::Error,
    },
}

impl StateDir {
    /// Makes the folder if it is not there, and takes it.
    ///
    /// # Errors
    /// [`StateDirError`] names folder, cause and remedy.
    pub(crate) fn open(path: &Path) -> Result<Self, StateDirError> {
        let shown = path.display().to_string();
        let refused = |cause| StateDirError::Refused { path: shown.clone(), cause };
        fs::create_dir_all(path).map_err(refused)?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(path.join(LOCK_FILE)).map_err(refused)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse { path: shown }),
            Err(TryLockError::Error(cause)) => Err(refused(cause)),
        }
    }

    /// The folder, for what else is kept there.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What was known when the process before ended. A file that cannot be read is set aside, and the log says so.
    pub(crate) fn remembered(&self) -> HashMap<CheckId, Standing> {
        let file = self.path.join(STANDINGS_FILE);
        standings::load(&file).unwrap_or_else(|error| {
            let aside = standings::set_aside(&file);
            let aside = aside.map(|path| path.display().to_string());
            tracing::warn!(file = %file.display(), %error, aside, "what was known before cannot be read: set aside");
            HashMap::new()
        })
    }

    /// Where standings are kept.
    pub(crate) fn standings_file(&self) -> PathBuf {
        self.path.join(STANDINGS_FILE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_in_use_is_refused_until_it_is_given_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state");
        let first = StateDir::open(&path).unwrap();
        let refusal = StateDir::open(&path).unwrap_err().to_string();
        assert!(refusal.ends_with("(--state-dir) is used by another process; end it, or choose another folder"));
        drop(first);
        assert!(StateDir::open(&path).is_ok());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let refusal = StateDir::open(&file.join("state")).unwrap_err().to_string();
        assert!(refusal.contains("(--state-dir) cannot be used"), "{refusal}");
    }

    #[test]
    fn a_broken_file_is_set_aside_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDir::open(folder.path()).unwrap();
        fs::write(state.standings_file(), "{\"version\":1,").unwrap();
        assert!(state.remembered().is_empty());
        let aside = fs::read_to_string(folder.path().join("standings.json.unreadable")).unwrap();
        assert_eq!(aside, "{\"version\":1,");
        assert!(!state.standings_file().exists());
    }
}
