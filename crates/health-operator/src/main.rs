//! The process entry point: reads the command line, does what it says, and answers with an exit code.

mod announce;
mod caches;
mod cli;
mod collection;
mod commands;
mod folder;
mod follow;
mod heartbeat;
mod kubernetes;
mod listen;
mod logging;
mod memory;
mod notifying;
mod open_files;
mod output;
mod readiness;
mod settings;
mod stop;
mod wiring;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = cli::parse();
    let done = match cli.command {
        None => wiring::run(cli.run),
        Some(command) => commands::dispatch(command),
    };
    done.unwrap_or_else(|error| {
        output::tell(&format!("error: {error:#}"));
        ExitCode::FAILURE
    })
}
