//! A ledger in one file: an append log of JSON lines, fsynced per batch and rewritten when it has grown.
//!
//! Crash-safe: a batch is durable when `write` returns; a torn last line (the process or the machine died while
//! writing) is dropped when the file is opened. Rewriting goes to a second file that replaces the first by rename.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Entry, LedgerChange, LedgerError, LedgerFuture, LedgerKey, LedgerStore};

/// The file's name under the state directory.
const FILE_NAME: &str = "told.jsonl";
/// The log is rewritten when it holds this many lines more than twice its live entries.
const SPARE_LINES: usize = 4096;

/// Keeps entries in a file of a directory.
#[derive(Debug)]
pub struct FileLedger {
    log: Arc<Mutex<Log>>,
}

#[derive(Debug)]
struct Log {
    path: PathBuf,
    file: File,
    entries: BTreeMap<LedgerKey, Entry>,
    lines: usize,
    /// Bytes known to be whole lines; a failed write is cut back to here.
    length: u64,
}

impl FileLedger {
    /// Opens the ledger of a directory, which is created where it is missing. Blocks on the file system.
    ///
    /// # Errors
    /// When the directory or the file cannot be created, read or written.
    pub fn open(directory: &Path) -> Result<Self, LedgerError> {
        let path = directory.join(FILE_NAME);
        let log = Log::open(directory, path.clone()).map_err(|source| failure(&path, source))?;
        Ok(Self { log: Arc::new(Mutex::new(log)) })
    }
}

fn failure(path: &Path, source: std::io::Error) -> LedgerError {
    LedgerError::File { path: path.display().to_string(), source }
}

impl Log {
    fn open(directory: &Path, path: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path)?;
        let mut log = Self { path, file, entries: BTreeMap::new(), lines: 0, length: 0 };
        log.replay()?;
        log.file.set_len(log.length)?;
        log.file.seek(SeekFrom::End(0))?;
        log.file.sync_all()?;
        File::open(directory)?.sync_all()?;
        Ok(log)
    }

    /// Reads whole lines up to the first that is torn or foreign.
    fn replay(&mut self) -> std::io::Result<()> {
        let mut reader = BufReader::new(&self.file);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = reader.read_until(b'\n', &mut line)?;
            if read == 0 || line.last() != Some(&b'\n') {
                return Ok(());
            }
            self.length += u64::try_from(read).unwrap_or(u64::MAX);
            self.lines += 1;
            match serde_json::from_slice::<LedgerChange>(&line) {
                Ok(change) => apply(&mut self.entries, &change),
                // A line that this version cannot read says nothing to it; what others say still holds.
                Err(error) => tracing::warn!(path = %self.path.display(), line = self.lines, %error, "skipped a line"),
            }
        }
    }

    fn append(&mut self, changes: &[LedgerChange]) -> std::io::Result<()> {
        let text = lines(changes.iter())?;
        let written = self.file.write_all(&text).and_then(|()| self.file.sync_data());
        if let Err(error) = written {
            // Half a line must not stay: the next batch would be glued to it.
            self.file.set_len(self.length)?;
            self.file.seek(SeekFrom::End(0))?;
            return Err(error);
        }
        self.length += u64::try_from(text.len()).unwrap_or(u64::MAX);
        self.lines += changes.len();
        for change in changes {
            apply(&mut self.entries, change);
        }
        if self.lines > 2 * self.entries.len() + SPARE_LINES { self.compact() } else { Ok(()) }
    }

    fn compact(&mut self) -> std::io::Result<()> {
        let kept: Vec<_> = self
            .entries
            .iter()
            .map(|(key, entry)| LedgerChange { key: key.clone(), entry: Some(entry.clone()) })
            .collect();
        let text = lines(kept.iter())?;
        let beside = self.path.with_extension("jsonl.new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&beside)?;
        file.write_all(&text)?;
        file.sync_all()?;
        std::fs::rename(&beside, &self.path)?;
        if let Some(directory) = self.path.parent() {
            File::open(directory)?.sync_all()?;
        }
        self.file = file;
        self.lines = kept.len();
        self.length = u64::try_from(text.len()).unwrap_or(u64::MAX);
        Ok(())
    }
}

fn lines<'a>(changes: impl Iterator<Item = &'a LedgerChange>) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    for change in changes {
        serde_json::to_writer(&mut text, change)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn apply(entries: &mut BTreeMap<LedgerKey, Entry>, change: &LedgerChange) {
    match &change.entry {
        Some(entry) => entries.insert(change.key.clone(), entry.clone()),
        None => entries.remove(&change.key),
    };
}

impl LedgerStore for FileLedger {
    fn load(&self) -> LedgerFuture<'_, Vec<(LedgerKey, Entry)>> {
        let entries = self.log.lock().unwrap_or_else(PoisonError::into_inner).entries.clone();
        Box::pin(std::future::ready(Ok(entries.into_iter().collect())))
    }

    fn write<'a>(&'a self, changes: &'a [LedgerChange]) -> LedgerFuture<'a, ()> {
        let (log, changes) = (Arc::clone(&self.log), changes.to_vec());
        Box::pin(async move {
            let work = tokio::task::spawn_blocking(move || {
                let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
                log.append(&changes).map_err(|source| failure(&log.path, source))
            });
            work.await.unwrap_or_else(|error| Err(LedgerError::Unavailable(error.to_string())))
        })
    }
}
