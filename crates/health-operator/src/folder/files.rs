//! Which files a folder of manifests holds, and what is in one: bounded, and never through hidden entries.
//!
//! A mounted ConfigMap is a folder of symbolic links to `..data/NAME`, where `..data` is itself a link that is swapped:
//! every entry that begins with a dot is passed over, so each file is found once, under the name people know.

use std::{
    collections::{BTreeSet, HashSet},
    fs::{self, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Largest file read, in bytes.
pub(crate) const MAX_FILE_BYTES: u64 = health_manifests::MAX_TEXT_BYTES as u64;
/// Most files read from one folder.
pub(crate) const MAX_FILES: usize = 10_000;
/// Deepest folder below the one that was given.
const MAX_DEPTH: usize = 16;

/// What a folder holds.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Every `*.yaml` and `*.yml`, in the order of their paths.
    pub(crate) files: BTreeSet<PathBuf>,
    /// What could not be listed, with the reason; what was known below it is still true as far as anybody knows.
    pub(crate) unreadable: Vec<(PathBuf, String)>,
    /// Links that lead nowhere: what they led to is gone, and people should know that it is the link that is left.
    pub(crate) dangling: Vec<PathBuf>,
    /// Why files are left out, if any are.
    pub(crate) left_out: Option<String>,
}

impl Listing {
    /// Whether a path lies below something that could not be listed.
    pub(crate) fn hides(&self, path: &Path) -> bool {
        self.unreadable.iter().any(|(folder, _)| path.starts_with(folder))
    }
}

/// Lists a folder and those below it.
///
/// # Errors
/// When the folder itself cannot be read; trouble further down is part of the listing.
pub(crate) fn list(root: &Path) -> io::Result<Listing> {
    let mut listing = Listing::default();
    let mut seen = HashSet::new();
    seen.insert(identity(&fs::metadata(root)?));
    descend(root, 0, &mut seen, &mut listing)?;
    Ok(listing)
}

fn identity(metadata: &Metadata) -> (u64, u64) {
    (metadata.dev(), metadata.ino())
}

fn descend(folder: &Path, depth: usize, seen: &mut HashSet<(u64, u64)>, listing: &mut Listing) -> io::Result<()> {
    let mut entries =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    entries.retain(|path| !hidden(path));
    entries.sort();
    for path in entries {
        match fs::metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {
                if !seen.insert(identity(&metadata)) {
                    continue;
                }
                if depth == MAX_DEPTH {
                    listing.left_out = Some(format!("folders more than {MAX_DEPTH} deep are not read"));
                } else if let Err(error) = descend(&path, depth + 1, seen, listing) {
                    listing.unreadable.push((path, error.to_string()));
                }
            }
            Ok(_) if is_manifest(&path) => note(path, listing),
            Ok(_) => {}
            // A link that leads nowhere, or an entry that went away meanwhile: the file is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.is_symlink() {
                    listing.dangling.push(path);
                }
            }
            Err(error) => listing.unreadable.push((path, error.to_string())),
        }
    }
    Ok(())
}

fn note(path: PathBuf, listing: &mut Listing) {
    if listing.files.len() < MAX_FILES {
        listing.files.insert(path);
    } else {
        listing.left_out = Some(format!("only the first {MAX_FILES} files are read"));
    }
}

fn hidden(path: &Path) -> bool {
    path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."))
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// What tells two versions of a file apart without reading them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Fingerprint {
    /// Of the file that a path leads to.
    ///
    /// # Errors
    /// When there is none, or it may not be looked at.
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        Ok(Self {
            file: identity(&metadata),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether the file was changed so shortly before `now` (seconds since 1970) that another change may look the same.
    pub(crate) fn is_fresh(&self, now: i64) -> bool {
        now - self.changed.0.max(self.modified.0) <= 2
    }
}

/// Reads a file as text.
///
/// # Errors
/// One line that says why it cannot be, without the path; `NotFound` stays recognisable.
pub(crate) fn read(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a regular file"));
    }
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        return Err(io::Error::other(format!("is larger than {} MiB; split it", MAX_FILE_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("is not UTF-8 text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn names(listing: &Listing, root: &Path) -> Vec<String> {
        listing.files.iter().map(|path| path.strip_prefix(root).unwrap().to_string_lossy().into_owned()).collect()
    }

    #[test]
    fn yaml_files_are_found_in_every_folder_and_nothing_else_is() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("team/deep")).unwrap();
        for name in ["b.yaml", "a.yml", "notes.md", ".hidden.yaml", "team/c.yaml", "team/deep/d.yaml", "e.yaml~"] {
            fs::write(root.path().join(name), "").unwrap();
        }
        let listing = list(root.path()).unwrap();
        assert_eq!(names(&listing, root.path()), ["a.yml", "b.yaml", "team/c.yaml", "team/deep/d.yaml"]);
    }

    #[test]
    fn a_mounted_config_map_shows_each_file_once() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("..2026_11_22")).unwrap();
        fs::write(root.path().join("..2026_11_22/web.yaml"), "").unwrap();
        symlink("..2026_11_22", root.path().join("..data")).unwrap();
        symlink("..data/web.yaml", root.path().join("web.yaml")).unwrap();
        assert_eq!(names(&list(root.path()).unwrap(), root.path()), ["web.yaml"]);
    }

    #[test]
    fn a_circle_of_links_ends() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("a")).unwrap();
        fs::write(root.path().join("a/x.yaml"), "").unwrap();
        symlink("..", root.path().join("a/up")).unwrap();
        symlink("a", root.path().join("again")).unwrap();
        assert_eq!(names(&list(root.path()).unwrap(), root.path()), ["a/x.yaml"]);
    }

    #[test]
    fn a_link_to_nowhere_is_no_file_and_is_named() {
        let root = tempfile::tempdir().unwrap();
        let link = root.path().join("x.yaml");
        symlink("nowhere.yaml", &link).unwrap();
        symlink("nowhere.yaml", root.path().join(".#x.yaml")).unwrap();
        let listing = list(root.path()).unwrap();
        assert!(listing.files.is_empty());
        assert_eq!(listing.dangling, [link]);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert_eq!(list(Path::new("/nowhere/at/all")).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn files_too_large_or_not_text_are_refused_in_words() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.yaml");
        fs::write(&path, [0xff, 0xfe]).unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "is not UTF-8 text");
        fs::File::create(&path).unwrap().set_len(MAX_FILE_BYTES + 1).unwrap();
        assert_eq!(read(&path).unwrap_err().to_string(), "is larger than 4 MiB; split it");
    }
}
