//! Logs: text on a terminal, JSON elsewhere, always to standard error.
//!
//! Only the product's own crates log below warning level: what libraries write when they debug (headers, TLS secrets,
//! API objects) never appears, whatever level is asked for. `RUST_LOG` is not read for the same reason.

use std::io::{IsTerminal, stderr};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::cli::{LogFlags, LogFormat, LogLevel};

/// How the targets of our own crates begin.
const OWN_TARGETS: &str = "health_";

/// Starts logging for the whole process. A second call changes nothing.
pub(crate) fn init(flags: LogFlags) {
    let json = match flags.log_format {
        LogFormat::Auto => !stderr().is_terminal(),
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let layer = fmt::layer().with_writer(stderr);
    let layer = if json {
        layer.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        layer.with_ansi(stderr().is_terminal()).with_target(false).boxed()
    };
    // An error means that somebody has started logging already: theirs goes on.
    let _already = tracing_subscriber::registry().with(layer.with_filter(targets(flags.log_level))).try_init();
}

fn targets(level: LogLevel) -> Targets {
    let own = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new().with_default(own.min(LevelFilter::WARN)).with_target(OWN_TARGETS, own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_stay_at_warnings_whatever_is_asked_for() {
        let targets = targets(LogLevel::Trace);
        assert!(targets.would_enable("health_runner::engine", &tracing::Level::TRACE));
        for library in ["hyper::proto", "rustls::client", "kube_client::client", "h2", "tower_http"] {
            assert!(targets.would_enable(library, &tracing::Level::WARN), "{library}");
            assert!(!targets.would_enable(library, &tracing::Level::INFO), "{library}");
        }
    }

    #[test]
    fn at_error_level_libraries_say_no_more_than_we_do() {
        let targets = targets(LogLevel::Error);
        assert!(!targets.would_enable("hyper", &tracing::Level::WARN));
        assert!(!targets.would_enable("health_runner", &tracing::Level::WARN));
    }
}
