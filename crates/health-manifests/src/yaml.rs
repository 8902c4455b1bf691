//! Text into documents: each is parsed for itself, so that a bad one costs only itself.
//!
//! Everything is bounded: the text, the documents, depth, nodes and what aliases may expand to.

use crate::{problem::Fault, tree::Node};

/// Longest text accepted, in bytes.
pub const MAX_TEXT_BYTES: usize = 4 << 20;
/// Most documents in one text.
pub const MAX_DOCUMENTS: usize = 20_000;

/// One document: its tree, or why it is none.
pub(crate) type Document = Result<Node, (u32, Fault)>;

/// Splits a text at its document markers and parses each part. Empty documents are left out.
pub(crate) fn documents(text: &str) -> Vec<Document> {
    if text.len() > MAX_TEXT_BYTES {
        let message = format!("is longer than {} MiB", MAX_TEXT_BYTES >> 20);
        return vec![Err((1, Fault::new("", message, "split it into several files")))];
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut parts = split(text);
    let surplus = parts.get(MAX_DOCUMENTS).map(|(line, _)| *line);
    parts.truncate(MAX_DOCUMENTS);
    let mut documents: Vec<_> = parts.iter().filter_map(|(line, part)| parse(*line, part)).collect();
    if let Some(line) = surplus {
        let message = format!("has more than {MAX_DOCUMENTS} documents");
        documents.push(Err((line, Fault::new("", message, "split it into several files"))));
    }
    documents
}

/// A marker at the start of a line ends a document wherever it stands: no scalar may hold one there (YAML 1.2.2,
/// section 9.1.2). Each part comes with the number of its first line.
fn split(text: &str) -> Vec<(u32, &str)> {
    let (mut parts, mut start, mut first_line) = (Vec::new(), 0, 1_u32);
    let (mut offset, mut number) = (0, 1_u32);
    for line in text.split_inclusive('\n') {
        let ends = line.trim_end() == "...";
        if (is_start(line) || ends) && offset > start {
            parts.push((first_line, &text[start..offset]));
            (start, first_line) = (offset, number);
        }
        if ends {
            (start, first_line) = (offset + line.len(), number + 1);
        }
        offset += line.len();
        number = number.saturating_add(1);
    }
    if offset > start {
        parts.push((first_line, &text[start..offset]));
    }
    parts
}

fn is_start(line: &str) -> bool {
    line.strip_prefix("---").is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t', '\r', '\n']))
}

fn parse(first_line: u32, part: &str) -> Option<Document> {
    let blank = |line: &str| line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with('%');
    if part.lines().all(|line| blank(line.strip_prefix("---").unwrap_or(line))) {
        return None;
    }
    let offset = first_line - 1;
    let parsed = serde_saphyr::from_str_with_options::<Node>(part, options());
    Some(match parsed {
        Ok(mut node) => {
            node.shift(offset);
            Ok(node)
        }
        Err(error) => {
            let line = error.location().map_or(1, |location| u32::try_from(location.line()).unwrap_or(1));
            Err((line.max(1) + offset, syntax_fault(&error)))
        }
    })
}

fn options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: 48,
            max_events: 1_000_000,
            max_nodes: 500_000,
            max_aliases: 1_000,
            max_anchors: 500,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: 100_000,
            max_replay_stack_depth: 16,
            max_alias_expansions_per_anchor: 1_000,
        },
        with_snippet: false,
    }
}

/// Says what kind of mistake it is without quoting the text, which may hold secrets.
fn syntax_fault(error: &serde_saphyr::Error) -> Fault {
    let text = error.to_string();
    let (message, remedy) = if text.contains("duplicate") {
        ("says the same key twice", "keep one of the two")
    } else if text.contains("budget") || text.contains("limit") || text.contains("depth") {
        ("is nested too deeply, too large, or expands too many aliases", "write it out plainly")
    } else {
        ("is no valid YAML", "mend indentation, quotes or colons at this line or just above it")
    };
    Fault::new("", message, remedy)
}
