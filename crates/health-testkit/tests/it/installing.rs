//! What the documents on installing say to type: each Helm command renders, each manifest is taken by a real API server.
//! Must not check the documents of other crates: their own tests do.

use std::fs;
use std::process::Command;

use health_testkit::control_plane::{ControlPlane, program};

use crate::project;

const DOCUMENTS: [&str; 3] = ["README.md", "docs/helm.md", "docs/rbac.md"];

/// The fenced blocks of a document in one language.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let text = fs::read_to_string(project::root().join(document)).unwrap();
    let mut blocks = Vec::new();
    let mut block: Option<String> = None;
    for line in text.lines() {
        match &mut block {
            None if line == format!("```{language}") => block = Some(String::new()),
            Some(_) if line == "```" => blocks.extend(block.take()),
            Some(lines) => *lines += &format!("{line}\n"),
            None => {}
        }
    }
    blocks
}

/// The words of a command, with the quotes of a shell taken off. Nothing here is quoted in the middle of a word.
fn words(command: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    let mut open: Option<char> = None;
    for word in command.split(' ').filter(|word| !word.is_empty()) {
        let quote = word.chars().next().filter(|first| ['\'', '"'].contains(first));
        match open {
            Some(_) => *words.last_mut().unwrap() += &format!(" {word}"),
            None => words.push(word.to_owned()),
        }
        open = open.or(quote).filter(|quote| !word.ends_with(*quote));
    }
    words.iter().map(|word| word.trim_matches(['\'', '"']).to_owned()).collect()
}

#[test]
fn every_helm_command_in_the_documents_renders() {
    let mut rendered = 0;
    for document in DOCUMENTS {
        for block in blocks(document, "sh") {
            let joined = block.replace("\\\n", " ");
            for command in
                joined.lines().filter(|line| line.starts_with("helm install") || line.starts_with("helm upgrade"))
            {
                let mut arguments = words(command.split(" #").next().unwrap());
                arguments.drain(..2);
                // What only means something beside a cluster, and files of the reader's own.
                arguments
                    .retain(|word| !["--create-namespace", "--install", "--take-ownership"].contains(&word.as_str()));
                while let Some(at) = arguments.iter().position(|word| word == "--values") {
                    arguments.drain(at..at + 2);
                }
                let output = Command::new(program("helm").unwrap())
                    .arg("template")
                    .args(&arguments)
                    .current_dir(project::root())
                    .output()
                    .unwrap();
                assert!(output.status.success(), "{document}: {command}: {}", String::from_utf8_lossy(&output.stderr));
                rendered += 1;
            }
        }
    }
    assert!(rendered >= 3, "only {rendered} Helm commands were found in the documents");
}

#[tokio::test]
async fn every_manifest_in_the_document_on_rights_is_taken_by_the_api_server() {
    let plane = ControlPlane::shared().await.unwrap();
    let manifests = blocks("docs/rbac.md", "yaml");
    assert!(!manifests.is_empty(), "docs/rbac.md has no manifests");
    for manifest in manifests {
        plane.apply("default", &manifest).await.unwrap().succeeded().unwrap();
    }
}
