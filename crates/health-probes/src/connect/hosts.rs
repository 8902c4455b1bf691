//! `/etc/hosts`: names that need no name server (hosts(5)).

use std::{collections::HashMap, net::IpAddr};

/// Bytes of the file that are read at most; block lists of ad hosters run into megabytes.
pub(super) const LARGEST_FILE: u64 = 8 << 20;

/// What `/etc/hosts` says.
#[derive(Debug, Default)]
pub(super) struct Hosts(HashMap<Box<str>, Vec<IpAddr>>);

impl Hosts {
    /// Reads the file's text; lines that are none are skipped, as the system does.
    pub(super) fn parse(text: &str) -> Self {
        let mut hosts = HashMap::<Box<str>, Vec<IpAddr>>::new();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_ascii_whitespace();
            let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
            for name in words {
                let addresses = hosts.entry(name.to_ascii_lowercase().into()).or_default();
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Self(hosts)
    }

    /// The addresses of a name given in lower case without final dot.
    pub(super) fn get(&self, name: &str) -> &[IpAddr] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_aliases_comments_and_both_families_are_read() {
        let hosts = Hosts::parse(
            "# comment\n127.0.0.1\tlocalhost  Alias # tail\n::1 localhost\nnonsense here\n10.0.0.1 db.internal db\n",
        );
        assert_eq!(hosts.get("localhost"), [IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1])]);
        assert_eq!(hosts.get("alias").len(), 1);
        assert_eq!(hosts.get("db").len(), 1);
        assert!(hosts.get("here").is_empty());
    }
}
