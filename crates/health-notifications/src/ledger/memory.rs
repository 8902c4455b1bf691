//! A ledger that lasts as long as whoever holds it: for tests, and for running without a place to write.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use super::{Entry, LedgerChange, LedgerFuture, LedgerKey, LedgerStore};

/// Keeps entries in memory.
#[derive(Debug, Default)]
pub struct MemoryLedger {
    entries: Mutex<BTreeMap<LedgerKey, Entry>>,
}

impl MemoryLedger {
    /// A ledger that already holds these.
    pub fn holding(entries: impl IntoIterator<Item = (LedgerKey, Entry)>) -> Self {
        Self { entries: Mutex::new(entries.into_iter().collect()) }
    }

    /// What it holds now.
    pub fn entries(&self) -> BTreeMap<LedgerKey, Entry> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl LedgerStore for MemoryLedger {
    fn load(&self) -> LedgerFuture<'_, Vec<(LedgerKey, Entry)>> {
        Box::pin(async { Ok(self.entries().into_iter().collect()) })
    }

    fn write<'a>(&'a self, changes: &'a [LedgerChange]) -> LedgerFuture<'a, ()> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        for LedgerChange { key, entry } in changes {
            match entry {
                Some(entry) => entries.insert(key.clone(), entry.clone()),
                None => entries.remove(key),
            };
        }
        Box::pin(std::future::ready(Ok(())))
    }
}
