//! Match: what a check means to a rule at this moment. Pure; concludes nothing from what is not known.

use std::{collections::HashMap, sync::Arc, time::Duration};

use health_model::{CheckId, CheckSpec, MaintenanceWindow, Reason, ReasonClass, RuleSpec, Severity, Standing, Verdict};
use jiff::Timestamp;

use crate::{input::CheckSnapshot, step::later};

/// The longest that a failing check waits for what it depends on to be asked.
const DEPENDENCY_PATIENCE: Duration = Duration::from_secs(60);

/// Every check that is known, as it was last seen.
pub(crate) type Checks = HashMap<CheckId, Arc<CheckSnapshot>>;

/// Why a failing check tells nobody for the time being.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize)]
pub enum Mute {
    /// The rule is suspended.
    RuleSuspended,
    /// It is the rule's quiet hours.
    QuietHours,
    /// The check is suspended.
    CheckSuspended,
    /// The check is in maintenance.
    Maintenance,
    /// Something the check depends on is down, or has just come back and the check has not been asked since.
    DependencyDown,
    /// Something the check depends on has not been asked since the check began to fail: it may be what is down.
    DependencyNotAsked,
    /// The last word is not the target's: it is stale, a fault of ours, or the target asked us to come back later.
    NotTheTarget,
}

/// What a check means to a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// Nothing may be concluded: not probed yet, stale, or its source has not been read to the end.
    Unknown,
    /// It fails.
    Failing { since: Timestamp, mute: Option<Mute> },
    /// It is healthy, since then.
    Healthy { at: Timestamp },
    /// The rule no longer watches it.
    Unwatched,
}

/// Whether a rule watches a check.
pub(crate) fn watches(rule: &RuleSpec, check: &CheckSnapshot) -> bool {
    let meta = &check.definition.meta;
    let severity = check.definition.spec.as_ref().map_or(Severity::default(), |spec| spec.severity);
    let named = || rule.checks.iter().any(|name| &**name == meta.id.name());
    let selected = || rule.selector.as_ref().is_some_and(|selector| selector.matches(&meta.labels));
    severity >= rule.min_severity && (named() || selected())
}

/// What a check means to a rule now. The check's namespace must be the rule's.
pub(crate) fn situation(checks: &Checks, rule: &RuleSpec, id: &CheckId, synced: bool, now: Timestamp) -> Situation {
    let Some(check) = checks.get(id) else {
        return if synced { Situation::Unwatched } else { Situation::Unknown };
    };
    if !watches(rule, check) {
        return if synced { Situation::Unwatched } else { Situation::Unknown };
    }
    let standing = &check.standing;
    match standing.verdict {
        Verdict::Unknown => Situation::Unknown,
        Verdict::Healthy if is_the_targets_word(check) => {
            Situation::Healthy { at: standing.last_transition.or(standing.last_checked).unwrap_or(now) }
        }
        Verdict::Healthy => Situation::Unknown,
        Verdict::Failing if standing.restored => Situation::Unknown,
        Verdict::Failing => {
            let since = standing.failing_since.or(standing.last_transition).unwrap_or(now);
            Situation::Failing { since, mute: mute(checks, rule, check, now) }
        }
    }
}

fn is_the_targets_word(check: &CheckSnapshot) -> bool {
    let standing = &check.standing;
    let class = standing.reason.class();
    !standing.stale() && !check.overdue && !matches!(class, ReasonClass::Ours | ReasonClass::NotAsked)
}

/// Why a failing check tells nobody now.
pub(crate) fn mute(checks: &Checks, rule: &RuleSpec, check: &CheckSnapshot, now: Timestamp) -> Option<Mute> {
    if rule.suspend {
        return Some(Mute::RuleSuspended);
    }
    let spec = check.definition.spec.as_ref().ok();
    if check.standing.reason == Reason::Suspended || spec.is_some_and(|spec| spec.suspend) {
        return Some(Mute::CheckSuspended);
    }
    if !is_the_targets_word(check) {
        return Some(Mute::NotTheTarget);
    }
    if spec.is_some_and(|spec| spec.in_maintenance(now)) {
        return Some(Mute::Maintenance);
    }
    if let Some(mute) = spec.and_then(|spec| dependency_mute(checks, check, spec, now)) {
        return Some(mute);
    }
    in_quiet_hours(&rule.quiet_hours, now).then_some(Mute::QuietHours)
}

/// Whether one of the windows is open.
pub(crate) fn in_quiet_hours(windows: &[MaintenanceWindow], now: Timestamp) -> bool {
    windows.iter().any(|window| window.contains(now))
}

fn dependency_mute(checks: &Checks, check: &CheckSnapshot, spec: &CheckSpec, now: Timestamp) -> Option<Mute> {
    let namespace = check.definition.meta.id.namespace();
    let ids = spec.depends_on.iter().map(|name| CheckId::new(namespace, Arc::clone(name)));
    let dependencies: Vec<&Arc<CheckSnapshot>> = ids.filter_map(|id| checks.get(&id)).collect();
    if dependencies.iter().any(|dependency| holds_back(&dependency.standing, &check.standing)) {
        return Some(Mute::DependencyDown);
    }
    let awaited = dependencies.iter().any(|dependency| is_awaited(dependency, &check.standing, now));
    awaited.then_some(Mute::DependencyNotAsked)
}

/// A dependency is awaited until it has been asked after the dependent check began to fail: both may have gone down
/// together, and the dependent may only have been asked first. One that is asked rarely, or not at all, is not awaited
/// for ever.
fn is_awaited(dependency: &CheckSnapshot, dependent: &Standing, now: Timestamp) -> bool {
    let (Some(since), Ok(spec)) = (dependent.failing_since, &dependency.definition.spec) else { return false };
    let asked = dependency.standing.last_checked.is_some_and(|asked| asked > since);
    let patience = spec.interval.saturating_add(spec.timeout).min(DEPENDENCY_PATIENCE);
    !asked && !spec.suspend && now < later(since, patience)
}

/// A dependency holds back while it is down or about to be believed down, and until the dependent check has been asked
/// again after it came back: what it said before says nothing about now.
fn holds_back(dependency: &Standing, dependent: &Standing) -> bool {
    if dependency.verdict == Verdict::Failing || dependency.consecutive_failures > 0 {
        return true;
    }
    let came_back = (dependency.verdict == Verdict::Healthy).then_some(dependency.last_transition).flatten();
    came_back.is_some_and(|at| {
        dependent.failing_since.is_some_and(|since| since <= at) && dependent.last_checked <= Some(at)
    })
}
