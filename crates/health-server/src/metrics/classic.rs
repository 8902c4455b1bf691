//! From the OpenMetrics text that the encoder writes to the classic text format 0.0.4.
//!
//! The two differ in the names of counters: OpenMetrics describes `x` and samples `x_total`, the classic format describes
//! what it samples. It also has no `# UNIT`, no `# EOF`, and no type `unknown` or `info`.

/// The one counter whose published name has no `_total`.
const WITHOUT_TOTAL: &str = "healthcheck_response_codes";

/// Rewrites an exposition. Sample lines pass unchanged.
pub(super) fn from_open_metrics(text: &str) -> String {
    let mut classic = String::with_capacity(text.len() + 1024);
    let mut lines = text.split_inclusive('\n').peekable();
    let mut help: Option<(&str, &str)> = None;
    while let Some(line) = lines.next() {
        if let Some(described) = line.strip_prefix("# HELP ") {
            help = described.split_once(' ');
        } else if let Some(typed) = line.strip_prefix("# TYPE ") {
            if let Some((name, kind)) = typed.trim_end().split_once(' ') {
                let _unit_is_in_the_name = lines.next_if(|line| line.starts_with("# UNIT "));
                let (suffix, kind) = described_as(name, kind, lines.peek().copied());
                let words = help.take().filter(|(described, _)| *described == name).map_or("\n", |(_, words)| words);
                classic.extend(["# HELP ", name, suffix, " ", words, "# TYPE ", name, suffix, " ", kind, "\n"]);
            }
        } else if !line.starts_with("# ") {
            classic.push_str(line);
        }
    }
    classic
}

/// What the classic format appends to a family's name, and what it calls its type.
fn described_as<'a>(name: &str, kind: &'a str, first_sample: Option<&str>) -> (&'static str, &'a str) {
    let sampled_with = |suffix: &str| {
        first_sample
            .and_then(|sample| sample.strip_prefix(name))
            .and_then(|rest| rest.strip_prefix(suffix))
            .is_some_and(|rest| rest.starts_with(['{', ' ']))
    };
    let no_sample = first_sample.is_none_or(|line| line.starts_with('#'));
    match kind {
        "counter" if sampled_with("_total") => ("_total", kind),
        // Without a sample only the name is left to go by.
        "counter" if no_sample && !name.ends_with("_total") && name != WITHOUT_TOTAL => ("_total", kind),
        "info" if sampled_with("_info") => ("_info", "gauge"),
        "info" | "stateset" => ("", "gauge"),
        "unknown" => ("", "untyped"),
        _ => ("", kind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::{
        encoding::text::encode,
        metrics::{counter::Counter, gauge::Gauge, info::Info},
        registry::{Registry, Unit},
    };

    #[test]
    fn counters_and_infos_are_described_by_the_name_of_their_samples() {
        let mut registry = Registry::default();
        let counter: Counter = Counter::default();
        counter.inc();
        registry.register("sent", "What was sent", counter);
        registry.register("build", "What runs", Info::new([("version", "1")]));
        registry.register_with_unit("uptime", "How long", Unit::Seconds, Gauge::<i64>::default());
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        assert_eq!(
            from_open_metrics(&text),
            "# HELP sent_total What was sent.\n# TYPE sent_total counter\nsent_total 1\n\
             # HELP build_info What runs.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
             # HELP uptime_seconds How long.\n# TYPE uptime_seconds gauge\nuptime_seconds 0\n"
        );
    }

    #[test]
    fn a_family_without_samples_is_described_by_the_name_that_its_samples_would_have() {
        let described = |name: &str| from_open_metrics(&format!("# HELP {name} What\n# TYPE {name} counter\n# EOF\n"));
        assert_eq!(described("sent"), "# HELP sent_total What\n# TYPE sent_total counter\n");
        assert_eq!(described("sent_total"), "# HELP sent_total What\n# TYPE sent_total counter\n");
        let published = "healthcheck_response_codes";
        assert_eq!(described(published), format!("# HELP {published} What\n# TYPE {published} counter\n"));
    }

    #[test]
    fn a_counter_that_is_sampled_under_its_own_name_keeps_it() {
        let text = "# HELP codes Answers\n# TYPE codes counter\ncodes{code=\"200\"} 5\n# EOF\n";
        assert_eq!(from_open_metrics(text), "# HELP codes Answers\n# TYPE codes counter\ncodes{code=\"200\"} 5\n");
    }
}
