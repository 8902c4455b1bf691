//! Reading the command line, and saying what is wrong with it: which name, which value, what to write instead.
//!
//! A value that came from an environment variable is blamed on the variable, not on a flag nobody wrote.

use std::ffi::OsString;

use clap::{
    CommandFactory, Parser,
    error::{ContextKind, ContextValue, ErrorKind},
};

use super::Cli;

/// The start of every environment variable that is a setting.
const VARIABLE_PREFIX: &str = "HEALTH_CHECK_";
/// Kubernetes gives every pod variables of this form for services whose names begin as ours do.
const SERVICE_LINK_PREFIX: &str = "HEALTH_CHECK_OPERATOR_";

/// Reads the process's arguments; on what cannot be read (and on `--help`), prints why and ends with clap's exit code.
pub(crate) fn parse() -> Cli {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    Cli::try_parse_from(&arguments)
        .unwrap_or_else(|error| blame(error, &arguments, |name| std::env::var_os(name).is_some()).exit())
}

/// Adds the variable's name to an error about a value that no argument holds. A flag may have been written in its short
/// form, so that the variable has to be there (`is_set`) to be to blame.
fn blame(error: clap::Error, arguments: &[OsString], is_set: impl Fn(&str) -> bool) -> clap::Error {
    if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
        return error;
    }
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else { return error };
    let flag = argument.split([' ', '=']).next().unwrap_or_default();
    let written = |part: &OsString| part.to_string_lossy().split('=').next() == Some(flag);
    if !flag.starts_with("--") || arguments.iter().any(written) {
        return error;
    }
    let variable = variable_of(flag);
    if !is_set(&variable) {
        return error;
    }
    let text = error.to_string();
    let text = text.strip_prefix("error: ").unwrap_or(&text);
    let text = text.replacen(&format!("for '{argument}'"), &format!("for {variable} (flag {flag})"), 1);
    Cli::command().error(error.kind(), text.split("\n\nFor more information").next().unwrap_or_default())
}

/// The environment variable of a flag: `--rest-bind-address` is `HEALTH_CHECK_REST_BIND_ADDRESS`.
fn variable_of(flag: &str) -> String {
    format!("{VARIABLE_PREFIX}{}", flag.trim_start_matches('-').replace('-', "_").to_ascii_uppercase())
}

/// Variables that look like settings and are none, each with the nearest that exists, if one is near.
pub(crate) fn mistyped_variables(names: impl Iterator<Item = OsString>) -> Vec<(String, Option<String>)> {
    let command = Cli::command();
    let known: Vec<String> =
        command.get_arguments().filter_map(|argument| argument.get_env()?.to_str().map(str::to_owned)).collect();
    names
        .filter_map(|name| name.into_string().ok())
        .filter(|name| name.starts_with(VARIABLE_PREFIX) && !name.starts_with(SERVICE_LINK_PREFIX))
        .filter(|name| !known.contains(name))
        .map(|name| {
            let nearest = known.iter().max_by(|a, b| nearness(&name, a).total_cmp(&nearness(&name, b)));
            let nearest = nearest.filter(|candidate| nearness(&name, candidate) > 0.9).cloned();
            (name, nearest)
        })
        .collect()
}

fn nearness(a: &str, b: &str) -> f64 {
    strsim::jaro_winkler(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_the_running_operator_has_its_variable() {
        let command = Cli::command();
        let flags: Vec<_> = command.get_arguments().filter(|argument| argument.get_long().is_some()).collect();
        assert!(flags.len() > 15, "the flags were found");
        for argument in flags {
            let long = argument.get_long().unwrap_or_default();
            if !["help", "version"].contains(&long) {
                let variable = argument.get_env().map(|name| name.to_string_lossy().into_owned());
                assert_eq!(variable, Some(variable_of(long)), "--{long}");
            }
        }
    }

    #[test]
    fn a_variable_is_blamed_only_where_it_is_set() {
        let said = |arguments: &[&str], is_set: bool| {
            let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
            let error = Cli::try_parse_from(&arguments).unwrap_err();
            blame(error, &arguments, |_| is_set).to_string()
        };
        let short = said(&["health-check-operator", "probe", "-o", "xml", "http://localhost"], false);
        assert!(short.contains("for '--output <OUTPUT>'") && !short.contains("HEALTH_CHECK_"), "{short}");
        let variable = said(&["health-check-operator", "probe", "-o", "xml", "http://localhost"], true);
        assert!(variable.contains("for HEALTH_CHECK_OUTPUT (flag --output)"), "{variable}");
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_mistyped_variable_is_named_with_the_one_that_was_meant() {
        let names = [
            "HEALTH_CHECK_REST_BIND_ADRESS",
            "HEALTH_CHECK_OPERATOR_REST_SERVICE_PORT",
            "PATH",
            "HEALTH_CHECK_STATE_DIR",
        ];
        let found = mistyped_variables(names.into_iter().map(OsString::from));
        let meant = Some("HEALTH_CHECK_REST_BIND_ADDRESS".to_owned());
        assert_eq!(found, [("HEALTH_CHECK_REST_BIND_ADRESS".to_owned(), meant)]);
    }
}
