//! What the program does beside running; one file per subcommand.

use std::process::ExitCode;

use crate::{cli::Command, wiring};

mod completions;
mod crds;
mod demo;
mod load;
mod notify_test;
mod probe;
mod validate;

/// Does what a subcommand says.
///
/// # Errors
/// What kept it from being done at all; the exit code is then 1.
pub(crate) fn dispatch(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Run(flags) => wiring::run(*flags),
        Command::Demo(arguments) => demo::run(*arguments),
        Command::Validate(arguments) => validate::run(&arguments),
        Command::Probe(arguments) => probe::run(&arguments),
        Command::Completions(arguments) => completions::print(&arguments),
        Command::Crds => crds::print(),
        Command::NotifyTest(arguments) => notify_test::run(&arguments),
    }
}
