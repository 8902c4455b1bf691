//! Reading what a command was pointed at: files, folders, standard input.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use health_manifests::{Manifest, ParsedText, Problem, parse_documents};

use crate::folder;

/// The path that means standard input.
const STANDARD_INPUT: &str = "-";

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// One per file, in order.
    pub(crate) texts: Vec<ParsedText>,
    /// Files and folders that could not be read.
    pub(crate) unreadable: Vec<Problem>,
    /// Folders without a single manifest: most likely not the ones that were meant.
    pub(crate) empty: Vec<Problem>,
}

/// Reads everything the paths lead to: a folder stands for every `*.yaml` and `*.yml` below it.
pub(crate) fn load(paths: &[PathBuf]) -> Loaded {
    let mut loaded = Loaded::default();
    for path in paths {
        if path.as_os_str() == STANDARD_INPUT {
            loaded.add("standard input", standard_input());
        } else if path.is_dir() {
            loaded.add_folder(path);
        } else {
            loaded.add(&path.display().to_string(), folder::read(path));
        }
    }
    loaded
}

/// The Secrets and ConfigMaps of the folder that a file lies in, and nothing else of it.
pub(crate) fn materials_beside(file: &Path) -> Vec<ParsedText> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut beside = Loaded::default();
    beside.add_folder(folder);
    for text in &mut beside.texts {
        text.problems.clear();
        text.manifests.retain(|manifest| matches!(manifest, Manifest::Material(_)));
    }
    beside.texts
}

impl Loaded {
    fn add(&mut self, source: &str, text: io::Result<String>) {
        match text {
            Ok(text) => self.texts.push(parse_documents(&text, source)),
            Err(error) => self.unreadable.push(unreadable(source, &error)),
        }
    }

    fn add_folder(&mut self, path: &Path) {
        let listing = match folder::list(path) {
            Ok(listing) => listing,
            Err(error) => return self.unreadable.push(unreadable(&path.display().to_string(), &error)),
        };
        if listing.files.is_empty() && listing.unreadable.is_empty() {
            self.empty.push(Problem {
                message: "holds no *.yaml and no *.yml".to_owned(),
                remedy: "is it the right folder?".to_owned(),
                ..unreadable(&path.display().to_string(), &"")
            });
        }
        for file in &listing.files {
            self.add(&file.display().to_string(), folder::read(file));
        }
        let below = listing.unreadable.iter().map(|(path, error)| unreadable(&path.display().to_string(), error));
        self.unreadable.extend(below);
        let nowhere = listing.dangling.iter().map(|path| Problem {
            message: "is a link that leads nowhere".to_owned(),
            remedy: "mend or remove it".to_owned(),
            ..unreadable(&path.display().to_string(), &"")
        });
        self.unreadable.extend(nowhere);
        self.unreadable.extend(listing.left_out.map(|why| unreadable(&path.display().to_string(), &why)));
    }
}

fn standard_input() -> io::Result<String> {
    let mut bytes = Vec::new();
    io::stdin().lock().take(folder::MAX_FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > folder::MAX_FILE_BYTES {
        return Err(io::Error::other(format!("is larger than {} MiB; split it", folder::MAX_FILE_BYTES >> 20)));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("is not UTF-8 text"))
}

fn unreadable(source: &str, error: &impl ToString) -> Problem {
    Problem {
        source: source.to_owned(),
        line: None,
        object: None,
        field: None,
        value: None,
        message: format!("cannot be read: {}", error.to_string()),
        remedy: "check the path and its permissions".to_owned(),
    }
}
