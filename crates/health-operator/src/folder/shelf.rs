//! What was read from a folder, file by file, and what of it is still in force.
//!
//! A file that cannot be read, or holds what is no YAML, keeps the last good version of what it held; one that is gone
//! takes its checks along. Reading is blocking: call it off the runtime's threads.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    io,
    path::{Path, PathBuf},
};

use health_manifests::{Manifest, ParsedText, parse_documents};
use health_model::ObjectId;

use super::files::{self, Fingerprint, Listing};
use crate::collection::{Collection, collect};

/// Every file of a folder as last read.
#[derive(Debug)]
pub(crate) struct Shelf {
    root: PathBuf,
    files: BTreeMap<PathBuf, Volume>,
}

/// One file.
#[derive(Debug, Default)]
struct Volume {
    fingerprint: Option<Fingerprint>,
    text: Option<u64>,
    /// What is in force.
    parsed: ParsedText,
    /// Why what is in force is not, or not only, what the file holds now.
    kept: Option<String>,
}

/// What a reading found.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Everything in force; `None` when it is what it was before.
    pub(crate) collection: Option<Collection>,
    /// What went wrong with files and folders (not within documents), one line each.
    pub(crate) troubles: BTreeSet<String>,
    /// Whether all that the folder declares is known: nothing in it was unreadable or no YAML.
    pub(crate) whole: bool,
    /// Files found.
    pub(crate) files: usize,
    /// Files of which an earlier version is in force.
    pub(crate) kept: usize,
}

impl Shelf {
    /// An empty shelf for a folder.
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root, files: BTreeMap::new() }
    }

    /// Reads what has changed. `now` is the wall clock in seconds since 1970.
    ///
    /// # Errors
    /// When the folder itself cannot be listed; everything stays as it was.
    pub(crate) fn read(&mut self, now: i64) -> io::Result<Reading> {
        let listing = files::list(&self.root)?;
        let mut changed = self.drop_gone(&listing);
        for path in &listing.files {
            let source = self.shown(path);
            let is_new = !self.files.contains_key(path);
            let volume = self.files.entry(path.clone()).or_default();
            match volume.refresh(path, &source, now) {
                Ok(differs) => changed |= differs || is_new,
                Err(error) if error.kind() == io::ErrorKind::NotFound => changed |= self.files.remove(path).is_some(),
                Err(error) => volume.keep(&error),
            }
        }
        Ok(self.result(&listing, changed))
    }

    fn drop_gone(&mut self, listing: &Listing) -> bool {
        let before = self.files.len();
        self.files.retain(|path, _| listing.files.contains(path) || listing.hides(path));
        self.files.len() != before
    }

    fn result(&self, listing: &Listing, changed: bool) -> Reading {
        let mut troubles: BTreeSet<String> = listing.left_out.iter().cloned().collect();
        for (path, error) in &listing.unreadable {
            troubles.insert(format!(
                "{}: cannot be read ({error}); what was known below it stays in force",
                self.shown(path)
            ));
        }
        for path in &listing.dangling {
            troubles.insert(format!("{}: is a link that leads nowhere; mend or remove it", self.shown(path)));
        }
        let whole = troubles.is_empty() && self.files.values().all(Volume::is_whole);
        let kept = self.files.iter().filter_map(|(path, volume)| Some((path, volume.kept.as_ref()?)));
        troubles.extend(kept.clone().map(|(path, why)| format!("{}: {why}", self.shown(path))));
        Reading {
            collection: changed.then(|| collect(self.files.values().map(|volume| &volume.parsed))),
            kept: kept.count(),
            troubles,
            whole,
            files: self.files.len(),
        }
    }

    fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).display().to_string()
    }
}

impl Volume {
    /// Whether everything in the file could be understood, at least as documents.
    fn is_whole(&self) -> bool {
        self.kept.is_none() && self.parsed.illegible == 0
    }

    /// Reads the file if it may have changed; says whether what is in force, or what is wrong, has.
    fn refresh(&mut self, path: &Path, source: &str, now: i64) -> io::Result<bool> {
        let fingerprint = Fingerprint::of(path)?;
        if self.fingerprint == Some(fingerprint) && !fingerprint.is_fresh(now) {
            return Ok(false);
        }
        let text = files::read(path)?;
        self.fingerprint = Some(fingerprint);
        let hash = hash(&text);
        if self.text == Some(hash) {
            return Ok(self.kept.take_if(|_| self.parsed.illegible == 0).is_some());
        }
        self.text = Some(hash);
        let parsed = parse_documents(&text, source);
        self.replace(parsed);
        Ok(true)
    }

    /// Puts a new version in force. Where a part of it is no YAML, what was in force before and is not named in the
    /// rest stays: nobody can say that it was meant to go.
    fn replace(&mut self, mut parsed: ParsedText) {
        self.kept = None;
        if parsed.illegible > 0 {
            let named: BTreeSet<_> = parsed.manifests.iter().filter_map(key).collect();
            let before = std::mem::take(&mut self.parsed.manifests);
            let stays: Vec<Manifest> =
                before.into_iter().filter(|manifest| key(manifest).is_some_and(|key| !named.contains(&key))).collect();
            if !stays.is_empty() {
                self.kept = Some(format!("is not YAML throughout; {}", in_force(stays.len())));
            }
            drop(named);
            parsed.manifests.extend(stays);
        }
        self.parsed = parsed;
    }

    fn keep(&mut self, error: &io::Error) {
        // So that it is read again as soon as it can be.
        self.fingerprint = None;
        let held = self.parsed.manifests.len();
        self.kept = Some(match held {
            0 => format!("cannot be read: {error}"),
            _ => format!("cannot be read: {error}; {}", in_force(held)),
        });
    }
}

fn in_force(objects: usize) -> String {
    match objects {
        1 => "1 object it held before stays in force".to_owned(),
        _ => format!("{objects} objects it held before stay in force"),
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// What an object is called, if it is one of ours.
fn key(manifest: &Manifest) -> Option<(&'static str, ObjectId)> {
    match manifest {
        Manifest::HealthCheck(check) => Some(("HealthCheck", check.meta.id.clone())),
        Manifest::NotificationRule(rule) => Some(("NotificationRule", rule.id.clone())),
        Manifest::Material(material) => Some((material.kind.as_str(), material.id.clone())),
        Manifest::Ignored(_) => None,
    }
}
