//! Habits that no compiler checks. Each test says the file, the line where there is one, and what to do.
//! Must not judge taste: what is here has been agreed on and can be decided by a program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::project;

/// Above this a file is a question to answer; the answer is nearly always that it holds two things.
const MOST_LINES: usize = 750;

fn sources() -> Vec<PathBuf> {
    project::files(&project::root().join("crates"), "rs")
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

/// The part of a file above its unit tests, with the number of each line.
fn shipped(path: &Path) -> Vec<(usize, String)> {
    let text = lines(path);
    let end = text.iter().position(|line| line.trim() == "#[cfg(test)]").unwrap_or(text.len());
    text.into_iter().take(end).enumerate().map(|(index, line)| (index + 1, line)).collect()
}

#[test]
fn every_source_file_opens_with_its_contract() {
    let silent: Vec<String> = sources()
        .iter()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .map(|path| {
            format!(
                "{}: the first line must be `//!`: what the file is for, and what it must not do",
                project::relative(path)
            )
        })
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn no_source_file_has_outgrown_a_reader() {
    let long: Vec<String> = sources()
        .iter()
        .map(|path| (project::relative(path), shipped(path).len()))
        .filter(|(_, count)| *count > MOST_LINES)
        .map(|(path, count)| format!("{path}: {count} lines, more than {MOST_LINES}: split it by what it means"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn no_module_is_named_after_its_kind() {
    let vague = ["utils", "util", "types", "helpers", "common", "misc", "errors", "manager"];
    let found: Vec<String> = sources()
        .iter()
        .filter(|path| vague.contains(&path.file_stem().unwrap().to_string_lossy().as_ref()))
        .map(|path| format!("{}: name it after what it means", project::relative(path)))
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn nothing_is_left_for_later() {
    // Put together from pieces, so that this file does not find itself.
    let marks = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat(), ["for", " now"].concat()];
    let ignored = ["#[", "ignore"].concat();
    let mut found = Vec::new();
    for path in sources() {
        for (index, line) in lines(&path).iter().enumerate() {
            let comment = line.split_once("//").map_or("", |(_, comment)| comment);
            if marks.iter().any(|mark| comment.contains(mark.as_str())) || line.trim_start().starts_with(&ignored) {
                found.push(format!("{}:{}: {}", project::relative(&path), index + 1, line.trim()));
            }
        }
    }
    assert!(found.is_empty(), "left for later:\n{}", found.join("\n"));
}

#[test]
fn the_model_reads_no_clock_no_environment_and_no_file() {
    let forbidden =
        ["std::env", "std::fs", "std::net::Tcp", "SystemTime::now", "Instant::now", "Timestamp::now", "Zoned::now"];
    let mut found = Vec::new();
    for path in project::files(&project::root().join("crates/health-model/src"), "rs") {
        for (number, line) in shipped(&path) {
            let code = line.split("//").next().unwrap_or_default();
            if let Some(word) = forbidden.iter().find(|word| code.contains(**word)) {
                found.push(format!("{}:{number}: the model must not use {word}: hand it in", project::relative(&path)));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn lints_are_expected_with_a_reason_and_never_allowed() {
    let allow = ["#[", "allow("].concat();
    let allow_all = ["#![", "allow("].concat();
    let found: Vec<String> = sources()
        .iter()
        .flat_map(|path| {
            lines(path)
                .into_iter()
                .enumerate()
                .filter(|(_, line)| line.contains(&allow) || line.contains(&allow_all))
                .map(|(index, line)| {
                    format!(
                        "{}:{}: {}: use #[expect(.., reason = \"..\")]",
                        project::relative(path),
                        index + 1,
                        line.trim()
                    )
                })
                .collect::<Vec<_>>()
        })
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_crate_takes_its_lints_and_versions_from_the_workspace() {
    let mut found = Vec::new();
    for name in project::crates() {
        let manifest = fs::read_to_string(project::root().join("crates").join(&name).join("Cargo.toml")).unwrap();
        if !manifest.contains("[lints]\nworkspace = true") {
            found.push(format!("{name}: Cargo.toml must say `[lints] workspace = true`"));
        }
        for line in manifest.lines().filter(|line| line.contains("version = \"")) {
            found.push(format!("{name}: `{line}` belongs into [workspace.dependencies]"));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_crate_has_one_binary_of_integration_tests() {
    let mut found = Vec::new();
    for name in project::crates() {
        let tests = project::root().join("crates").join(&name).join("tests");
        let Ok(entries) = fs::read_dir(&tests) else { continue };
        for path in entries.map(|entry| entry.unwrap().path()) {
            if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(format!(
                    "{}: each file here is linked on its own: make it a module of tests/it",
                    project::relative(&path)
                ));
            }
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn the_list_of_debian_packages_is_sorted_and_names_each_once() {
    let text = fs::read_to_string(project::root().join("ci/packages.txt")).unwrap();
    let names: Vec<&str> = text.lines().collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names, sorted, "ci/packages.txt: one name per line, sorted, each once");
}

#[test]
fn scripts_can_be_run_and_stop_at_the_first_error() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = project::root();
    for script in ["test", ".ci/run", "ci/control-plane", "ci/count", "ci/cargo-deny", "ci/render"] {
        let path = root.join(script);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("#!/usr/bin/env bash\n"), "{script} must begin with #!/usr/bin/env bash");
        assert!(text.contains("set -euo pipefail") || script == ".ci/run", "{script} must say set -euo pipefail");
        assert_ne!(path.metadata().unwrap().permissions().mode() & 0o111, 0, "{script} must be executable");
    }
}

/// The names by which the sources know a dependency, where it is not its own.
const OTHER_NAMES: [(&str, &str); 1] = [("rustls-webpki", "webpki")];

#[test]
fn every_dependency_is_used() {
    let mut idle = Vec::new();
    for manifest in project::files(&project::root().join("crates"), "toml") {
        if manifest.file_name().is_none_or(|name| name != "Cargo.toml") {
            continue;
        }
        let folder = manifest.parent().unwrap();
        let sources: String =
            project::files(folder, "rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
        let text = fs::read_to_string(&manifest).unwrap();
        let sections = text.split("\n[").filter(|section| section.starts_with("dependencies]"));
        for line in sections.flat_map(str::lines).skip(1).filter(|line| line.contains('=')) {
            let package = line.split(['.', ' ', '=']).next().unwrap();
            let other = OTHER_NAMES.iter().find(|(written, _)| *written == package).map(|(_, name)| *name);
            let name = other.map_or_else(|| package.replace('-', "_"), str::to_owned);
            let used = [format!("{name}::"), format!("use {name};"), format!("use {name} as ")];
            if !package.starts_with('#') && !used.iter().any(|used| sources.contains(used)) {
                idle.push(format!("{}: {package} is used nowhere: remove it", project::relative(&manifest)));
            }
        }
    }
    assert!(idle.is_empty(), "{}", idle.join("\n"));
}
