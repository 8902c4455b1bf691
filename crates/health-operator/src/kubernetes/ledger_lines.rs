//! What of a rule's ledger stands in its status: lines for people, and beyond what people read one packed line. Pure.
//!
//! An object may have about 1.5 MB. What must still be told or closed comes first; what has no room is said.

use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use health_manifests::status::LedgerEntry;
use health_model::{CheckId, RuleId};
use health_notifications::{DestinationKey, Entry, LedgerKey, Phase};
use serde::{Deserialize, Serialize};

/// Most bytes of the lines that people can read.
const READABLE_BYTES: usize = 200_000;
/// Most bytes of all lines.
const MOST_BYTES: usize = 900_000;
/// Most bytes that a packed line may unpack to: a status may have been written by anybody who may write it.
const MOST_UNPACKED: u64 = 256 << 20;
/// The key of the entry itself among the details of a line.
const ENTRY: &str = "entry";
/// The key of the destination among the details of a line.
const DESTINATION: &str = "destination";
/// The key of many entries among the details of the packed line: JSON, gzip, base64.
const PACKED: &str = "packed";

/// Everything that a rule keeps.
pub(super) type Kept = BTreeMap<(CheckId, DestinationKey), Entry>;

type One<'a> = (&'a CheckId, &'a DestinationKey, &'a Entry);

/// The lines that say what is kept, and how many entries had no room.
pub(super) fn write(kept: &Kept) -> (Vec<LedgerEntry>, usize) {
    let mut all: Vec<One<'_>> = kept.iter().map(|((check, destination), entry)| (check, destination, entry)).collect();
    all.sort_by_key(|(_, _, entry)| matches!(entry.phase, Phase::Holding | Phase::Past));
    let (mut lines, mut bytes) = (Vec::new(), 0);
    for one in &all {
        let Some((line, length)) = readable(*one) else { continue };
        if bytes + length > READABLE_BYTES {
            break;
        }
        bytes += length;
        lines.push(line);
    }
    let rest = all.get(lines.len()..).unwrap_or_default();
    let mut room = rest.len();
    while room > 0 {
        let packed = rest.get(..room).and_then(packed);
        if let Some((line, length)) = packed
            && bytes + length <= MOST_BYTES
        {
            lines.push(line);
            break;
        }
        room = room * 3 / 4;
    }
    (lines, rest.len() - room)
}

/// What a line keeps; a line that another version wrote, or that somebody broke, keeps nothing.
pub(super) fn read(rule: &RuleId, line: &LedgerEntry) -> Vec<(LedgerKey, Entry)> {
    let key = |check: &str, destination| {
        let (rule, check) = (rule.clone(), CheckId::new(rule.namespace(), check));
        LedgerKey { rule, destination, check }
    };
    if let Some(packed) = line.detail.get(PACKED) {
        let entries = unpacked(packed).unwrap_or_default().into_iter();
        return entries.map(|Packed { check, destination, entry }| (key(&check, destination), entry)).collect();
    }
    let one = || {
        let entry = serde_json::from_str(line.detail.get(ENTRY)?).ok()?;
        let destination = serde_json::from_str(line.detail.get(DESTINATION)?).ok()?;
        Some((key(&line.check, destination), entry))
    };
    one().into_iter().collect()
}

/// A line for people, with the whole entry among its details; and its length in bytes.
fn readable((check, destination, entry): One<'_>) -> Option<(LedgerEntry, usize)> {
    let detail = BTreeMap::from([
        (ENTRY.to_owned(), serde_json::to_string(entry).ok()?),
        (DESTINATION.to_owned(), serde_json::to_string(destination).ok()?),
    ]);
    let line = LedgerEntry {
        check: check.name().to_owned(),
        channel: destination.to_string(),
        state: format!("{:?}", entry.phase),
        since: Some(entry.since),
        told_at: entry.told_at,
        dedup_key: entry.attempt.as_deref().map(str::to_owned),
        detail,
    };
    with_length(line)
}

/// One entry of a packed line.
#[derive(Serialize, Deserialize)]
struct Packed {
    check: String,
    destination: DestinationKey,
    entry: Entry,
}

fn packed(entries: &[One<'_>]) -> Option<(LedgerEntry, usize)> {
    let all: Vec<Packed> = entries
        .iter()
        .map(|(check, destination, entry)| Packed {
            check: check.name().to_owned(),
            destination: (*destination).clone(),
            entry: (*entry).clone(),
        })
        .collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&serde_json::to_vec(&all).ok()?).ok()?;
    let packed = STANDARD.encode(gzip.finish().ok()?);
    with_length(LedgerEntry {
        check: format!("{} more", entries.len()),
        channel: "packed".to_owned(),
        state: "Packed".to_owned(),
        detail: BTreeMap::from([(PACKED.to_owned(), packed)]),
        ..LedgerEntry::default()
    })
}

fn unpacked(packed: &str) -> Option<Vec<Packed>> {
    let mut json = Vec::new();
    GzDecoder::new(STANDARD.decode(packed).ok()?.as_slice()).take(MOST_UNPACKED).read_to_end(&mut json).ok()?;
    serde_json::from_slice(&json).ok()
}

fn with_length(line: LedgerEntry) -> Option<(LedgerEntry, usize)> {
    let length = serde_json::to_string(&line).ok()?.len() + 1;
    Some((line, length))
}

#[cfg(test)]
mod tests {
    use health_model::ChannelKind;
    use serde_json::json;

    use super::*;

    fn rule() -> RuleId {
        RuleId::new("default", "team")
    }

    /// So many checks in a phase; `noise`: how much of each response is like no other.
    fn kept(number: usize, phase: &str, noise: usize) -> Kept {
        let mut dice = 0x5eed_u64;
        let mut random = |length: usize| -> String {
            let mut next = || {
                dice ^= dice << 13;
                dice ^= dice >> 7;
                dice ^= dice << 17;
                char::from(b'!' + u8::try_from(dice % 90).unwrap())
            };
            (0..length).map(|_| next()).collect()
        };
        let destination = DestinationKey { channel: ChannelKind::Slack, label: "url".into() };
        let one = |number: usize| {
            let entry = json!({
                "since": format!("2027-01-15T08:00:00.{number:09}Z"), "phase": phase, "reason": "ConnectionRefused",
                "told_at": null, "response": format!("connection refused {}", random(noise)),
                "target": format!("http://web-{number}.example.org/"), "attempt": null,
            });
            let check = CheckId::new("default", format!("{phase}-{number:05}"));
            ((check, destination.clone()), serde_json::from_value(entry).unwrap())
        };
        (0..number).map(one).collect()
    }

    fn read_all(lines: &[LedgerEntry]) -> Kept {
        let entries = lines.iter().flat_map(|line| read(&rule(), line));
        entries.map(|(key, entry)| ((key.check, key.destination), entry)).collect()
    }

    fn bytes(lines: &[LedgerEntry]) -> usize {
        serde_json::to_string(lines).unwrap().len()
    }

    #[test]
    fn what_a_few_checks_told_stands_in_lines_that_people_read() {
        let few = kept(3, "Told", 0);
        let (lines, left_out) = write(&few);
        assert_eq!((lines.len(), left_out), (3, 0));
        assert_eq!((lines[0].check.as_str(), lines[0].channel.as_str()), ("Told-00000", "slack (url)"));
        assert_eq!(read_all(&lines), few);
    }

    #[test]
    fn what_ten_thousand_checks_told_has_room_and_is_read_again_as_it_was() {
        let storm = kept(10_000, "Told", 0);
        let (lines, left_out) = write(&storm);
        assert_eq!(left_out, 0);
        assert!(bytes(&lines) <= MOST_BYTES, "{}", bytes(&lines));
        assert_eq!(lines.last().unwrap().state, "Packed");
        assert!(read_all(&lines) == storm);
    }

    #[test]
    fn what_has_no_room_is_counted_and_what_must_be_told_or_closed_comes_first() {
        let mut too_much = kept(8000, "Holding", 200);
        too_much.extend(kept(500, "Told", 200));
        let (lines, left_out) = write(&too_much);
        assert!(bytes(&lines) <= MOST_BYTES, "{}", bytes(&lines));
        let read = read_all(&lines);
        assert_eq!(read.len() + left_out, 8500);
        assert!(left_out > 0);
        assert_eq!(read.values().filter(|entry| entry.phase == Phase::Told).count(), 500);
    }

    #[test]
    fn a_line_that_nobody_understands_keeps_nothing() {
        let (lines, _) = write(&kept(1, "Told", 0));
        for (key, value) in [(ENTRY, "{}"), (PACKED, "no base64"), (PACKED, "bm8gZ3ppcA==")] {
            let mut broken = lines[0].clone();
            broken.detail.insert(key.to_owned(), value.to_owned());
            assert!(read(&rule(), &broken).is_empty(), "{key} {value}");
        }
    }
}
