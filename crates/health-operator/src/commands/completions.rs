//! `completions`: a script that lets a shell complete this program's arguments.

use std::process::ExitCode;

use clap::CommandFactory;

use crate::{
    cli::{Cli, CompletionsArgs},
    output,
};

/// Prints the script.
///
/// # Errors
/// When standard output cannot be written to.
pub(crate) fn print(arguments: &CompletionsArgs) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "health-check-operator", &mut script);
    output::print(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
