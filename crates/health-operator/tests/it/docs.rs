//! What the documents promise is done: their commands are run, their manifests are read, their links lead somewhere.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use crate::operator::{Operator, program};

/// The documents whose commands are run.
const DOCUMENTS: [&str; 3] = ["README.md", "docs/standalone.md", "CONTRIBUTING.md"];
/// How a command of ours begins.
const OURS: [&str; 2] = ["cargo run -p health-operator -- ", "health-check-operator "];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

/// The fenced blocks of a language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    let after = text.split(&opening).skip(1);
    after.map(|rest| rest.split("\n```").next().unwrap().to_owned()).collect()
}

fn commands(document: &str) -> Vec<String> {
    blocks(&read(document), "sh").iter().flat_map(|block| block.lines()).map(str::to_owned).collect()
}

fn ours(command: &str) -> Option<Vec<String>> {
    let rest = OURS.iter().find_map(|start| command.strip_prefix(start))?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn runs_until_stopped(arguments: &[String]) -> bool {
    arguments.iter().any(|argument| argument == "demo" || argument == "--manifests")
}

/// Runs on ports of its own, whatever ports the document names.
fn start(arguments: &[String]) -> Operator {
    let mut command = program();
    command.current_dir(root());
    let mut arguments = arguments.to_vec();
    if let Some(at) = arguments.iter().position(|argument| argument.ends_with("-bind-address")) {
        arguments.drain(at..at + 2);
    }
    if arguments[0] == "demo" {
        command.args(["demo", "--targets-bind-address", "127.0.0.1:0"]).args(&arguments[1..]);
    } else {
        command.args(&arguments);
    }
    Operator::launch(command)
}

fn run(document: &str, command: &str) {
    if let Some(arguments) = ours(command) {
        if runs_until_stopped(&arguments) {
            let mut operator = start(&arguments);
            operator.wait_for_message("following the folder");
            operator.stop();
            return;
        }
        let output = program().args(&arguments).current_dir(root()).stdin(Stdio::null()).output().unwrap();
        // A probe of the quickstart meets targets that are not there, or not healthy: that is what it shows.
        let expected: &[i32] = if arguments[0] == "probe" { &[0, 1] } else { &[0] };
        let code = output.status.code().unwrap();
        let words = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(expected.contains(&code), "{document}: {command}: exit {code}: {words}");
    } else if let Some(url) = command.strip_prefix("curl -s http://localhost:") {
        let (port, path) = url.split_at(4);
        assert!(matches!(port, "8080" | "8081" | "8082"), "{document}: {command}");
        let mut operator = start(&["demo".to_owned()]);
        operator.wait_for_message("following the folder");
        let status = match port {
            "8082" => operator.rest(path).0,
            "8081" => operator.health(path).0,
            _ => 200 * u16::from(path == "/metrics" && operator.metrics().contains("healthcheck_status")),
        };
        assert_eq!(status, 200, "{document}: {command}");
    } else if let Some(script) = command.strip_prefix("./") {
        let script = root().join(script.split(' ').next().unwrap());
        let runnable = Command::new("test").arg("-x").arg(&script).status().unwrap().success();
        assert!(runnable, "{document}: {command}: {} cannot be run", script.display());
    } else {
        let known = ["cargo fmt ", "cargo clippy "].iter().any(|start| command.starts_with(start));
        assert!(known, "{document}: {command}: no test knows how to run this");
    }
}

#[test]
fn every_command_of_the_documents_does_what_it_says() {
    for document in DOCUMENTS {
        let commands = commands(document);
        assert!(!commands.is_empty(), "{document} has commands");
        commands.iter().for_each(|command| run(document, command));
    }
}

#[test]
fn every_manifest_of_the_documents_is_valid() {
    let folder = tempfile::tempdir().unwrap();
    for (index, block) in blocks(&read("README.md"), "yaml").iter().enumerate() {
        fs::write(folder.path().join(format!("readme-{index}.yaml")), block).unwrap();
    }
    assert!(folder.path().join("readme-0.yaml").exists());
    let output = program().arg("validate").arg(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn every_example_is_valid() {
    let output = program().args(["validate", "examples"]).current_dir(root()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
}

#[test]
fn every_link_of_the_documents_leads_somewhere() {
    for document in DOCUMENTS.into_iter().chain(["ARCHITECTURE.md", "CHANGELOG.md"]) {
        let base = root().join(document).parent().unwrap().to_owned();
        for part in read(document).split("](").skip(1) {
            let link = part.split(')').next().unwrap().split('#').next().unwrap();
            if !link.starts_with("http") && !link.is_empty() {
                assert!(base.join(link).exists(), "{document}: {link} is not there");
            }
        }
    }
}

fn help(arguments: &[&str]) -> String {
    let output = program().args(arguments).arg("--help").env_remove("COLUMNS").output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

fn reference() -> String {
    let mut text = String::from(
        "# Command line\n\nMade from the program's own help texts; see CONTRIBUTING.md for how to write it anew. Every \
         flag of the running\noperator has the environment variable shown with it; the flag wins over the variable, the \
         variable over the default.\nFlags follow the subcommand.\n",
    );
    let subcommands = ["demo", "validate", "probe", "crds", "notify-test", "completions"];
    for arguments in std::iter::once(vec![]).chain(subcommands.map(|subcommand| vec![subcommand])) {
        let name = ["health-check-operator"].into_iter().chain(arguments.iter().copied()).collect::<Vec<_>>().join(" ");
        text.push_str(&format!("\n## `{name}`\n\n```text\n{}\n```\n", help(&arguments).trim_end()));
    }
    text
}

#[test]
fn the_reference_of_the_command_line_is_what_the_program_says() {
    let file = root().join("docs/cli.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, reference()).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    let again = "write it anew with UPDATE_DOCS=1 cargo test -p health-operator --test it docs";
    assert!(written == reference(), "docs/cli.md is not what the program says: {again}");
}
