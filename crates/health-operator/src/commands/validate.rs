//! `validate`: what is wrong with manifests, by file, line and field.
//!
//! The parser and the rules are those of the running operator. What only the operator can see (whether a name resolves,
//! whether a Secret of the cluster exists) is at most a warning here.

use std::{collections::BTreeMap, fmt::Write, process::ExitCode};

use health_manifests::{IgnoredObject, Problem};
use serde_json::{Value, json};

use super::load::{Loaded, load};
use crate::{
    cli::{OutputFormat, ValidateArgs},
    collection::{Collection, collect},
    output::{self, many},
};

/// Checks manifests and prints what is wrong.
///
/// # Errors
/// When standard output cannot be written to.
pub(crate) fn run(arguments: &ValidateArgs) -> anyhow::Result<ExitCode> {
    let Loaded { texts, unreadable, empty } = load(&arguments.paths);
    let mut collection = collect(texts.iter());
    collection.problems.splice(0..0, unreadable);
    let warnings = [empty, warnings(&collection)].concat();
    let answer = match arguments.output {
        OutputFormat::Text => for_people(&collection, &warnings, texts.len()),
        OutputFormat::Json => format!("{:#}\n", for_programs(&collection, &warnings, texts.len())),
    };
    output::print(&answer)?;
    Ok(if collection.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn warnings(collection: &Collection) -> Vec<Problem> {
    let mut warnings = [&collection.missing[..], &collection.undeclared[..]].concat();
    let mut others = BTreeMap::<&str, (&IgnoredObject, usize)>::new();
    for object in &collection.ignored {
        others.entry(&object.kind).or_insert((object, 0)).1 += 1;
    }
    for (object, number) in others.into_values() {
        let rest = if number > 1 { format!(" (and {} more)", number - 1) } else { String::new() };
        warnings.push(passed_over(object, format!("is passed over, its kind is not ours{rest}")));
    }
    warnings
}

fn passed_over(object: &IgnoredObject, message: String) -> Problem {
    let IgnoredObject { place, api_version, kind, name } = object;
    Problem {
        source: place.source.to_string(),
        line: (place.line > 0).then_some(place.line),
        object: Some(format!("{kind} {name}")),
        field: None,
        value: None,
        message,
        remedy: format!("its apiVersion is {api_version}"),
    }
}

fn for_people(collection: &Collection, warnings: &[Problem], files: usize) -> String {
    let mut text = String::new();
    // Writing into a string cannot fail.
    for problem in &collection.problems {
        let _ = writeln!(text, "error: {problem}");
    }
    for warning in warnings {
        let _ = writeln!(text, "warning: {warning}");
    }
    let Collection { checks, rules, problems, materials, missing: _, undeclared: _, ignored: _ } = collection;
    let _ = writeln!(
        text,
        "{}, {}, {}, {}: {}, {}",
        many(files, "file"),
        many(checks.len(), "check"),
        many(rules.len(), "rule"),
        many(*materials, "Secret or ConfigMap"),
        many(problems.len(), "error"),
        many(warnings.len(), "warning"),
    );
    text
}

fn for_programs(collection: &Collection, warnings: &[Problem], files: usize) -> Value {
    json!({
        "valid": collection.problems.is_empty(),
        "files": files,
        "checks": collection.checks.len(),
        "rules": collection.rules.len(),
        "errors": collection.problems.iter().map(entry).collect::<Vec<_>>(),
        "warnings": warnings.iter().map(entry).collect::<Vec<_>>(),
    })
}

fn entry(problem: &Problem) -> Value {
    let Problem { source, line, object, field, value, message, remedy } = problem;
    let mut entry = json!({"file": source, "message": message, "remedy": remedy});
    let optional = [("object", object), ("field", field), ("value", value)];
    if let Value::Object(fields) = &mut entry {
        fields.extend(line.map(|line| ("line".to_owned(), line.into())));
        fields.extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value.clone()?.into()))));
    }
    entry
}
