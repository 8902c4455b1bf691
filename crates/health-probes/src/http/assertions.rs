//! `assertions`: CEL over the answer, with an end.
//!
//! The language has no budget of its own, so one is built into each program before it runs: every turn of a loop is
//! counted and looks at the clock, every sum and literal is weighed. What may be costly runs off the async threads, a few
//! at a time.

use std::{
    fmt::Display,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use cel::{
    Context, ExecutionError, Value,
    common::ast::{CallExpr, ComprehensionExpr, EntryExpr, Expr, IdedExpr, LiteralValue, operators},
    objects::{Key, Map},
};
use health_model::{Assertion, CelExpression, CertificateFacts, Reason};
use http::{HeaderMap, StatusCode};
use tokio::sync::Semaphore;

use super::status_line;
use crate::failure::Failure;

/// Turns of loops, all together.
const MOST_TURNS: u32 = 1_000_000;
/// What one assertion may take.
const LONGEST_RUN: Duration = Duration::from_secs(1);
/// What one value may weigh, in bytes.
const HEAVIEST: usize = 8 << 20;
/// How many times one expression may name a variable; each mention may be a copy.
const MOST_MENTIONS: usize = 100;
/// Costly assertions that run at once in one process.
const AT_ONCE: usize = 2;
/// The stack on which costly assertions are evaluated, in bytes; only what is touched is ever taken.
const STACK: usize = 64 << 20;
/// Expressions no deeper than this are evaluated on whatever stack there is.
const SHALLOW: usize = 16;
/// The counting function's name; it cannot be written in CEL.
const TICK: &str = "@tick";
/// The weighing function's name.
const WEIGH: &str = "@weigh";

/// Where costly assertions wait for their turn.
#[derive(Debug)]
pub(crate) struct Evaluator(Arc<Semaphore>);

impl Default for Evaluator {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

/// The answer, as assertions see it.
pub(super) struct Subject<'a> {
    pub(super) status: StatusCode,
    pub(super) headers: &'a HeaderMap,
    pub(super) body: &'a [u8],
    pub(super) json: Option<&'a serde_json::Value>,
    pub(super) latency: Duration,
    pub(super) certificate: Option<&'a CertificateFacts>,
    pub(super) now: jiff::Timestamp,
}

impl Evaluator {
    /// Judges every assertion; the first that does not hold, or cannot be evaluated, speaks.
    pub(super) async fn judge(
        &self,
        assertions: &[Assertion],
        subject: &Subject<'_>,
        place: &(dyn Display + Sync),
    ) -> Result<(), Failure> {
        if assertions.is_empty() {
            return Ok(());
        }
        let line = status_line(subject.status);
        let response = subject.value();
        for assertion in assertions {
            let source = assertion.expression.as_str();
            let expression = assertion.expression.program().expression();
            let verdict = if assertion.expression.depth() <= SHALLOW && is_cheap(expression) {
                evaluate(expression, response.clone())
            } else {
                self.evaluated(&assertion.expression, response.clone()).await
            };
            let miss = match verdict {
                Ok(true) => continue,
                Ok(false) => match &assertion.message {
                    Some(message) => format!("{message} ({source} does not hold)"),
                    None => format!("expected {source}"),
                },
                Err(problem) => format!("{source} cannot be evaluated ({problem})"),
            };
            return Err(Failure::new(Reason::AssertionFailed, format!("{line}: {miss}, from {place}")));
        }
        Ok(())
    }

    /// Evaluates with a budget, on a stack of its own: what is built in makes an expression deeper than it was written, and
    /// an overflow would end the process.
    async fn evaluated(&self, expression: &CelExpression, response: Value) -> Result<bool, String> {
        if mentions(expression.program().expression()) > MOST_MENTIONS {
            return Err(format!("it names variables more than {MOST_MENTIONS} times"));
        }
        let Ok(turn) = Arc::clone(&self.0).acquire_owned().await else {
            return Err("we are shutting down".to_owned());
        };
        let (told, verdict) = tokio::sync::oneshot::channel();
        let expression = expression.clone();
        let evaluating = std::thread::Builder::new().stack_size(STACK).spawn(move || {
            let _turn = turn;
            let bounded = bounded(expression.program().expression().clone());
            // Whoever asked may have met its deadline.
            let _ = told.send(evaluate(&bounded, response));
        });
        evaluating.map_err(|error| format!("no thread to evaluate it ({error})"))?;
        verdict.await.unwrap_or_else(|_| Err("its evaluation broke off".to_owned()))
    }

    /// Does something that takes long, but not for ever, off the async threads, a few at a time.
    pub(super) async fn costly<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let Ok(_turn) = Arc::clone(&self.0).acquire_owned().await else {
            return Err("we are shutting down".to_owned());
        };
        let run = tokio::task::spawn_blocking(move || {
            let _turn = _turn;
            work()
        });
        run.await.map_err(|_| "its evaluation broke off".to_owned())
    }
}

fn evaluate(expression: &IdedExpr, response: Value) -> Result<bool, String> {
    let mut context = Context::default();
    context.add_variable_from_value("response", response);
    let turns = AtomicU32::new(0);
    let started = Instant::now();
    let tick = move |hold: bool| -> Result<bool, ExecutionError> {
        let turn = turns.fetch_add(1, Ordering::Relaxed);
        if turn >= MOST_TURNS {
            return Err(ExecutionError::function_error("loop", format!("more than {MOST_TURNS} turns")));
        }
        if started.elapsed() > LONGEST_RUN {
            return Err(ExecutionError::function_error(
                "loop",
                format!("takes longer than {} ms", LONGEST_RUN.as_millis()),
            ));
        }
        Ok(hold)
    };
    let weighed = |value: Value| -> Result<Value, ExecutionError> {
        if weight(&value, HEAVIEST) > HEAVIEST {
            return Err(ExecutionError::function_error("value", format!("larger than {} MiB", HEAVIEST >> 20)));
        }
        Ok(value)
    };
    let declared = context.add_function(TICK, tick).and_then(|()| context.add_function(WEIGH, weighed));
    declared.map_err(|error| error.to_string())?;
    match context.resolve(expression) {
        Ok(Value::Bool(verdict)) => Ok(verdict),
        Ok(other) => Err(format!("it is a {}, not a bool", other.type_of())),
        Err(error) => Err(brief(&error)),
    }
}

/// An error in one line, without the document that some of them quote.
fn brief(error: &ExecutionError) -> String {
    const LONGEST: usize = 160;
    let text = error.to_string();
    let mut brief: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(LONGEST).collect();
    if brief.len() < text.len() {
        brief.push('…');
    }
    brief
}

/// Whether an expression's cost is plain from its text: no loop, no sum, no pattern.
fn is_cheap(expression: &IdedExpr) -> bool {
    let mut cheap = true;
    walk(expression, &mut |expr| {
        cheap &= match expr {
            Expr::Comprehension(_) | Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => false,
            Expr::Call(call) => call.func_name != operators::ADD && call.func_name != "matches",
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::Select(_) => true,
        };
    });
    cheap
}

fn mentions(expression: &IdedExpr) -> usize {
    let mut mentions = 0;
    walk(expression, &mut |expr| {
        mentions += usize::from(matches!(expr, Expr::Ident(name) if !name.starts_with('@')));
    });
    mentions
}

fn walk(expression: &IdedExpr, visit: &mut impl FnMut(&Expr)) {
    let mut waiting = vec![expression];
    while let Some(IdedExpr { expr, .. }) = waiting.pop() {
        visit(expr);
        match expr {
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
            Expr::Call(call) => waiting.extend(call.target.as_deref().into_iter().chain(&call.args)),
            Expr::Comprehension(loops) => {
                let ComprehensionExpr { iter_range, accu_init, loop_cond, loop_step, result, .. } = &**loops;
                waiting.extend([iter_range, accu_init, loop_cond, loop_step, result]);
            }
            Expr::List(list) => waiting.extend(&list.elements),
            Expr::Map(map) => map.entries.iter().for_each(|entry| waiting.extend(parts(&entry.expr))),
            Expr::Select(select) => waiting.push(&select.operand),
            Expr::Struct(made) => made.entries.iter().for_each(|entry| waiting.extend(parts(&entry.expr))),
        }
    }
}

fn parts(entry: &EntryExpr) -> Vec<&IdedExpr> {
    match entry {
        EntryExpr::StructField(field) => vec![&field.value],
        EntryExpr::MapEntry(entry) => vec![&entry.key, &entry.value],
    }
}

/// The expression with a budget built in.
fn bounded(expression: IdedExpr) -> IdedExpr {
    let IdedExpr { id, expr } = expression;
    let each = |list: Vec<IdedExpr>| list.into_iter().map(bounded).collect();
    let entries = |list: Vec<cel::common::ast::IdedEntryExpr>| list.into_iter().map(bounded_entry).collect::<Vec<_>>();
    let expr = match expr {
        Expr::Call(call) => {
            let CallExpr { func_name, target, args } = call;
            let grows = func_name == operators::ADD && !folds(&args);
            let call =
                CallExpr { func_name, target: target.map(|target| Box::new(bounded(*target))), args: each(args) };
            return if grows { calling(WEIGH, id, Expr::Call(call)) } else { IdedExpr { id, expr: Expr::Call(call) } };
        }
        Expr::Comprehension(loops) => Expr::Comprehension(Box::new(bounded_loop(*loops))),
        Expr::List(mut list) if !list.elements.is_empty() => {
            list.elements = each(list.elements);
            // A list of one is what `map` and `filter` append: its turn is counted, its element weighed where it is made.
            if list.elements.len() == 1 {
                Expr::List(list)
            } else {
                return calling(WEIGH, id, Expr::List(list));
            }
        }
        Expr::Map(mut map) => {
            map.entries = entries(map.entries);
            return calling(WEIGH, id, Expr::Map(map));
        }
        Expr::Struct(mut made) => {
            made.entries = entries(made.entries);
            Expr::Struct(made)
        }
        Expr::Select(mut select) => {
            select.operand = Box::new(bounded(*select.operand));
            Expr::Select(select)
        }
        other @ (Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) | Expr::List(_)) => other,
    };
    IdedExpr { id, expr }
}

fn bounded_entry(entry: cel::common::ast::IdedEntryExpr) -> cel::common::ast::IdedEntryExpr {
    let expr = match entry.expr {
        EntryExpr::StructField(mut field) => {
            field.value = bounded(field.value);
            EntryExpr::StructField(field)
        }
        EntryExpr::MapEntry(mut entry) => {
            (entry.key, entry.value) = (bounded(entry.key), bounded(entry.value));
            EntryExpr::MapEntry(entry)
        }
    };
    cel::common::ast::IdedEntryExpr { id: entry.id, expr }
}

/// Whether a sum is a loop's own accumulation (`@result + …`), which the interpreter recognises by its shape.
fn folds(args: &[IdedExpr]) -> bool {
    matches!(args.first(), Some(IdedExpr { expr: Expr::Ident(name), .. }) if name.starts_with('@'))
}

/// Counts every turn of a loop, without hiding from the interpreter the shapes it runs faster.
fn bounded_loop(loops: ComprehensionExpr) -> ComprehensionExpr {
    let ComprehensionExpr { iter_range, iter_var, iter_var2, accu_var, accu_init, loop_cond, loop_step, result } =
        loops;
    let (loop_cond, loop_step) = if matches!(loop_cond.expr, Expr::Literal(_)) {
        (loop_cond, counted_step(bounded(loop_step), &accu_var))
    } else {
        let id = loop_cond.id;
        (calling(TICK, id, bounded(loop_cond).expr), bounded(loop_step))
    };
    ComprehensionExpr {
        iter_range: bounded(iter_range),
        iter_var,
        iter_var2,
        accu_var,
        accu_init: bounded(accu_init),
        loop_cond,
        loop_step,
        result: bounded(result),
    }
}

/// `guard ? step : @result` with its guard counted; a step without guard gets one.
fn counted_step(step: IdedExpr, accumulator: &str) -> IdedExpr {
    let id = step.id;
    match step.expr {
        Expr::Call(mut call) if call.func_name == operators::CONDITIONAL && call.args.len() == 3 => {
            let guard = std::mem::take(&mut call.args[0]);
            call.args[0] = calling(TICK, guard.id, guard.expr);
            IdedExpr { id, expr: Expr::Call(call) }
        }
        expr => {
            let always = IdedExpr { id, expr: Expr::Literal(LiteralValue::Boolean(true.into())) };
            let guard = calling(TICK, id, always.expr);
            let unchanged = IdedExpr { id, expr: Expr::Ident(accumulator.to_owned()) };
            let args = vec![guard, IdedExpr { id, expr }, unchanged];
            IdedExpr {
                id,
                expr: Expr::Call(CallExpr { func_name: operators::CONDITIONAL.to_owned(), target: None, args }),
            }
        }
    }
}

fn calling(function: &str, id: u64, argument: Expr) -> IdedExpr {
    let args = vec![IdedExpr { id, expr: argument }];
    IdedExpr { id, expr: Expr::Call(CallExpr { func_name: function.to_owned(), target: None, args }) }
}

/// About how many bytes a value takes; counting stops beyond `enough`.
fn weight(value: &Value, enough: usize) -> usize {
    const EACH: usize = 32;
    let mut waiting = vec![value];
    let mut weight = 0;
    while let Some(value) = waiting.pop() {
        weight += EACH;
        match value {
            Value::String(text) => weight += text.len(),
            Value::Bytes(bytes) => weight += bytes.len(),
            Value::List(items) => waiting.extend(items.iter()),
            Value::Map(map) => waiting.extend(map.map.values()),
            _ => {}
        }
        if weight > enough {
            break;
        }
    }
    weight
}

impl Subject<'_> {
    fn value(&self) -> Value {
        let body = String::from_utf8_lossy(self.body).into_owned();
        let certificate = self.certificate.map_or(Value::Null, |facts| certificate(facts, self.now));
        map([
            ("status", Value::Int(i64::from(self.status.as_u16()))),
            ("headers", headers(self.headers)),
            ("body", text(body)),
            ("json", self.json.map_or(Value::Null, json)),
            ("latencySeconds", Value::Float(self.latency.as_secs_f64())),
            ("certificate", certificate),
        ])
    }
}

fn certificate(facts: &CertificateFacts, now: jiff::Timestamp) -> Value {
    const DAY: f64 = 86_400.0;
    let days = facts.not_after.duration_since(now).as_secs_f64() / DAY;
    map([
        ("notAfter", text(facts.not_after.to_string())),
        ("daysLeft", Value::Float(days)),
        ("issuer", text(facts.issuer.clone())),
        ("subject", text(facts.subject.clone())),
        ("dnsNames", Value::List(Arc::new(facts.dns_names.iter().cloned().map(text).collect()))),
    ])
}

fn headers(headers: &HeaderMap) -> Value {
    let joined = headers.keys().map(|name| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        (name.as_str(), text(values.collect::<Vec<_>>().join(", ")))
    });
    map(joined)
}

fn json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(truth) => Value::Bool(*truth),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(integer) => Value::Int(integer),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        serde_json::Value::String(string) => text(string.clone()),
        serde_json::Value::Array(items) => Value::List(Arc::new(items.iter().map(json).collect())),
        serde_json::Value::Object(members) => map(members.iter().map(|(key, value)| (key.as_str(), json(value)))),
    }
}

fn text(text: String) -> Value {
    Value::String(Arc::new(text))
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Value)>) -> Value {
    let entries = entries.into_iter().map(|(key, value)| (Key::String(Arc::new(key.to_owned())), value));
    Value::Map(Map { map: Arc::new(entries.collect()) })
}
