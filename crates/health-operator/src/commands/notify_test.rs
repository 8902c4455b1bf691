//! `notify-test`: a marked test message through every channel of a rule of a folder or of the cluster at hand, and what
//! each provider said.
//!
//! Nothing is recorded, and nothing that the provider says is shown with a secret in it.

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use anyhow::bail;
use health_model::{RuleDefinition, RuleId, RuleSpec};
use health_notifications::{
    Trial,
    channel::{Transport, Verdict},
    try_out,
};
use jiff::Timestamp;

use super::load::{Loaded, load, materials_beside};
use crate::{cli::NotifyTestArgs, collection::collect, kubernetes, logging, output};

/// Exit code when there is no such rule or it cannot be used.
const EXIT_NOT_SENT: u8 = 2;
/// How long one provider may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends the messages and prints one line per destination.
///
/// # Errors
/// When standard output cannot be written to, or there are no roots of trust to be had.
pub(crate) fn run(arguments: &NotifyTestArgs) -> anyhow::Result<ExitCode> {
    logging::init(arguments.log);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (rule, spec) = match runtime.block_on(find(arguments)) {
        Ok(found) => found,
        Err(error) => {
            output::tell(&format!("error: {error:#}"));
            return Ok(ExitCode::from(EXIT_NOT_SENT));
        }
    };
    let transport = Transport::new(PATIENCE, None)?;
    let trials = runtime.block_on(try_out(&rule, &spec, &transport, Timestamp::now()));
    output::print(&trials.iter().map(line).collect::<String>())?;
    let all_accepted = trials.iter().all(|trial| trial.verdict == Verdict::Accepted);
    Ok(if all_accepted { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(trial: &Trial) -> String {
    let Trial { destination, verdict, said } = trial;
    match verdict {
        Verdict::Accepted => format!("{destination}: accepted ({said})\n"),
        Verdict::Retry { why, .. } => format!("{destination}: not accepted, the operator would try again: {why}\n"),
        Verdict::Rejected { why } => format!("{destination}: refused: {why}\n"),
    }
}

async fn find(arguments: &NotifyTestArgs) -> anyhow::Result<(RuleId, Arc<RuleSpec>)> {
    let RuleDefinition { id, spec, .. } = match &arguments.manifests {
        Some(path) => in_folder(path, &arguments.rule)?,
        None => kubernetes::rule(kubernetes::connect().await?, &arguments.rule).await?,
    };
    let spec = spec.map_err(|problem| anyhow::anyhow!("{id} cannot be used: {problem}"))?;
    Ok((id, spec))
}

fn in_folder(path: &Path, asked: &str) -> anyhow::Result<RuleDefinition> {
    let mut named: Vec<RuleDefinition> = rules(path)?.into_iter().filter(|rule| is_meant(&rule.id, asked)).collect();
    match (named.pop(), named.is_empty()) {
        (None, _) => bail!("{} holds no NotificationRule {asked}", path.display()),
        (Some(_), false) => bail!("several namespaces have a rule {asked}: write namespace/{asked}"),
        (Some(rule), true) => Ok(rule),
    }
}

fn rules(path: &Path) -> anyhow::Result<Vec<RuleDefinition>> {
    let Loaded { mut texts, unreadable, empty: _ } = load(&[path.to_owned()]);
    if let Some(problem) = unreadable.into_iter().next() {
        bail!("{problem}");
    }
    if path.is_file() {
        texts.extend(materials_beside(path));
    }
    Ok(collect(texts.iter()).rules)
}

fn is_meant(id: &RuleId, asked: &str) -> bool {
    match asked.split_once('/') {
        Some((namespace, name)) => id.namespace() == namespace && id.name() == name,
        None => id.name() == asked,
    }
}
