//! `probe`: asks once, now, and explains.
//!
//! The same parser and the same probes as the running operator, the same view as `/api/v1`. One answer counts: thresholds
//! and `suspend` are passed over.

mod advice;
mod report;

use std::{
    collections::BTreeMap,
    io::{IsTerminal, stdout},
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use health_manifests::{DEFAULT_NAMESPACE, Problem, check_from_target};
use health_model::{
    CheckDefinition, CheckId, CheckMeta, CheckSpec, CheckView, Outcome, Probe, ProbeRequest, Prober, ReasonClass,
    SpecProblem, Standing,
};
use health_probes::Probes;
use jiff::Timestamp;

use self::report::{Style, could_not_be_asked, report, summary};
use super::load::{Loaded, load, materials_beside};
use crate::{
    cli::{OutputFormat, ProbeArgs},
    collection::collect,
    logging, output, wiring,
};

/// Probes under way at once.
const AT_ONCE: usize = 32;
/// Exit code when something is not healthy.
const EXIT_UNHEALTHY: u8 = 1;
/// Exit code when something could not be asked.
const EXIT_NOT_ASKED: u8 = 2;

/// Asks what the arguments name, prints what came of it, and says how it went by exit code.
///
/// # Errors
/// When standard output cannot be written to.
pub(crate) fn run(arguments: &ProbeArgs) -> anyhow::Result<ExitCode> {
    logging::init(arguments.log);
    let asked = gather(arguments).and_then(|questions| Ok((questions, wiring::probes(&arguments.network)?)));
    let (questions, probes) = match asked {
        Ok(asked) => asked,
        Err(error) => {
            output::tell(&format!("error: {error:#}"));
            return Ok(ExitCode::from(EXIT_NOT_ASKED));
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answers = runtime.block_on(ask_all(questions.checks, arguments.timeout, probes));
    let views: Vec<CheckView> = answers.iter().map(|answer| answer.view.clone()).collect();
    match arguments.output {
        OutputFormat::Json => output::print(&format!("{:#}\n", serde_json::json!({ "items": views })))?,
        OutputFormat::Text => output::print(&for_people(&answers, &views))?,
    }
    for problem in &questions.problems {
        output::tell(&format!("error: {problem}"));
    }
    Ok(ExitCode::from(exit_code(&views, questions.problems.is_empty())))
}

fn exit_code(views: &[CheckView], nothing_wrong: bool) -> u8 {
    if !nothing_wrong || views.iter().any(|view| could_not_be_asked(view.reason)) {
        EXIT_NOT_ASKED
    } else if views.iter().any(|view| view.reason.class() != ReasonClass::Good) {
        EXIT_UNHEALTHY
    } else {
        0
    }
}

/// What is to be asked, and what of it cannot even be read.
struct Questions {
    checks: Vec<CheckDefinition>,
    problems: Vec<Problem>,
}

fn gather(arguments: &ProbeArgs) -> anyhow::Result<Questions> {
    let Some(file) = &arguments.file else {
        let spec = check_from_target(arguments.target.as_deref().unwrap_or_default());
        let spec = spec.map_err(|problem| anyhow::Error::msg(problem.sentence()))?;
        return Ok(Questions { checks: vec![unnamed(spec)], problems: Vec::new() });
    };
    let Loaded { mut texts, unreadable, empty: _ } = load(std::slice::from_ref(file));
    let mut collection = collect(texts.iter());
    if !collection.missing.is_empty() && file.is_file() {
        texts.extend(materials_beside(file));
        collection = collect(texts.iter());
    }
    // What is wrong with a check that names itself is told with that check.
    let told_elsewhere = |problem: &Problem| collection.checks.iter().any(|check| concerns(problem, check));
    let mut problems = unreadable;
    problems.extend(collection.problems.iter().filter(|problem| !told_elsewhere(problem)).cloned());
    if collection.checks.is_empty() && problems.is_empty() {
        anyhow::bail!("{} holds no HealthCheck; name a file or folder that does", file.display());
    }
    Ok(Questions { checks: collection.checks, problems })
}

/// The check of a TARGET, under a name that says so.
fn unnamed(spec: CheckSpec) -> CheckDefinition {
    let id = CheckId::new(DEFAULT_NAMESPACE, "probe");
    let meta = CheckMeta { id, labels: BTreeMap::new(), created: None, generation: 0, uid: None };
    CheckDefinition { meta, spec: Ok(Arc::new(spec)) }
}

fn concerns(problem: &Problem, check: &CheckDefinition) -> bool {
    check.spec.is_err() && problem.object.as_deref() == Some(&format!("HealthCheck {}", check.meta.id))
}

/// One check's answer.
struct Answer {
    view: CheckView,
    deadline: Duration,
}

async fn ask_all(checks: Vec<CheckDefinition>, timeout: Option<Duration>, probes: Arc<Probes>) -> Vec<Answer> {
    stream::iter(checks).map(|check| ask(check, timeout, &probes)).buffered(AT_ONCE).collect().await
}

async fn ask(check: CheckDefinition, timeout: Option<Duration>, probes: &Probes) -> Answer {
    let CheckDefinition { meta, spec } = check;
    let mut standing = Standing::pending();
    let spec = match spec.and_then(|spec| askable(&spec, timeout)) {
        Ok(spec) => spec,
        Err(problem) => {
            let outcome = Outcome::new(problem.reason, problem.message.clone());
            standing.refuse(meta.generation, &outcome, Timestamp::now());
            return Answer {
                view: CheckView::new(&meta, Err(&problem), &standing, None, false),
                deadline: Duration::ZERO,
            };
        }
    };
    let request =
        ProbeRequest { id: meta.id.clone(), spec: Arc::clone(&spec), deadline: Instant::now() + spec.timeout };
    let outcome = probes.probe(request).await;
    standing.observe(&spec, meta.generation, Arc::new(outcome), Timestamp::now());
    Answer { view: CheckView::new(&meta, Ok(&spec), &standing, None, false), deadline: spec.timeout }
}

/// The spec as a single question: judged by one answer, and only if there is somebody to ask.
fn askable(spec: &CheckSpec, timeout: Option<Duration>) -> Result<Arc<CheckSpec>, SpecProblem> {
    if let Probe::Heartbeat(_) = spec.probe {
        return Err(SpecProblem {
            reason: health_model::Reason::InvalidConfiguration,
            message: "a heartbeat check is not asked, it is told: POST /api/v1/heartbeats/NAMESPACE/NAME".to_owned(),
            target: Some(spec.probe.target()),
            kind: Some(spec.probe.kind()),
            interval: Some(spec.interval),
        });
    }
    let timeout = timeout.unwrap_or(spec.timeout);
    Ok(Arc::new(CheckSpec { failure_threshold: 1, success_threshold: 1, timeout, ..spec.clone() }))
}

fn for_people(answers: &[Answer], views: &[CheckView]) -> String {
    let terminal = stdout().is_terminal();
    let style = Style {
        colours: terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
        width: terminal.then(|| comfy_table::Table::new().width()).flatten(),
    };
    let now = Timestamp::now();
    let reports: Vec<String> = answers.iter().map(|answer| report(&answer.view, answer.deadline, now, style)).collect();
    let mut text = reports.join("\n");
    if views.len() > 1 {
        text.push('\n');
        text.push_str(&summary(views));
    }
    text
}
