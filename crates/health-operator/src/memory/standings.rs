//! The file of standings: JSON, replaced as a whole, so that a crash leaves the old one or the new one.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use health_model::{CheckId, Standing};
use serde::{Deserialize, Serialize};

/// The only format there has been.
const VERSION: u32 = 1;

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    checks: Vec<WrittenCheck<'a>>,
}

#[derive(Serialize)]
struct WrittenCheck<'a> {
    id: &'a CheckId,
    standing: &'a Standing,
}

#[derive(Deserialize)]
struct Kept {
    version: u32,
    checks: Vec<KeptCheck>,
}

#[derive(Deserialize)]
struct KeptCheck {
    id: CheckId,
    standing: Standing,
}

/// Reads the file; none at all means that nothing is known yet.
///
/// # Errors
/// When it cannot be read or understood, a version of a later program included.
pub(crate) fn load(file: &Path) -> io::Result<HashMap<CheckId, Standing>> {
    let bytes = match fs::read(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(HashMap::new()),
        read => read?,
    };
    let kept: Kept = serde_json::from_slice(&bytes)?;
    if kept.version != VERSION {
        return Err(io::Error::other(format!("it is of version {}, this program knows {VERSION}", kept.version)));
    }
    Ok(kept.checks.into_iter().map(|check| (check.id, check.standing.restore())).collect())
}

/// Moves a file that cannot be understood out of the way, where people can look at it; says where.
pub(crate) fn set_aside(file: &Path) -> Option<PathBuf> {
    let aside = file.with_extension("json.unreadable");
    fs::rename(file, &aside).ok().map(|()| aside)
}

/// Replaces the file by these standings; when this returns, they are on the disk.
///
/// # Errors
/// What the system said; the file is then as it was before.
pub(crate) fn save<'a>(file: &Path, standings: impl Iterator<Item = (&'a CheckId, &'a Standing)>) -> io::Result<()> {
    let checks = standings.map(|(id, standing)| WrittenCheck { id, standing }).collect();
    let fresh = file.with_extension("json.new");
    let mut writer = BufWriter::new(File::create(&fresh)?);
    serde_json::to_writer(&mut writer, &Written { version: VERSION, checks })?;
    writer.flush()?;
    writer.get_ref().sync_all()?;
    fs::rename(&fresh, file)?;
    // The new name itself is on the disk only when its folder is.
    match file.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use health_model::{Reason, Verdict};
    use jiff::Timestamp;

    #[test]
    fn what_is_saved_comes_back_and_is_stale() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("standings.json");
        let id = CheckId::new("default", "web");
        let standing = Standing {
            verdict: Verdict::Failing,
            reason: Reason::Timeout,
            response: "Timeout".to_owned(),
            last_checked: Some(Timestamp::UNIX_EPOCH),
            ..Standing::pending()
        };
        save(&file, [(&id, &standing)].into_iter()).unwrap();
        let back = load(&file).unwrap();
        assert_eq!(back[&id], Standing { restored: true, ..standing });
        assert!(back[&id].stale());
    }

    #[test]
    fn nothing_is_known_where_there_is_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(&folder.path().join("standings.json")).unwrap().is_empty());
    }

    #[test]
    fn a_file_of_a_later_program_is_not_guessed_at() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("standings.json");
        fs::write(&file, r#"{"version":9,"checks":[]}"#).unwrap();
        assert_eq!(load(&file).unwrap_err().to_string(), "it is of version 9, this program knows 1");
    }
}
