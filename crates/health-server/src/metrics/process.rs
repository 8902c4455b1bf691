//! This process: what runs, its memory, processor time and open files, as Linux tells in `/proc`.
//!
//! What cannot be read is left out; a scrape never fails for it.

use std::{fs, path::Path};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};

use super::families::Families;

/// The kernel reports times to user space in hundredths of a second on every architecture (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// The series of the process.
#[derive(Debug)]
pub(super) struct Process;

impl Collector for Process {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> std::fmt::Result {
        let mut families = Families(encoder);
        families.gauge(
            "healthcheck_build_info",
            "What runs; always 1",
            [([("version", env!("CARGO_PKG_VERSION"))], 1_u32)],
        )?;
        let Facts { resident, virtual_size, cpu_seconds, started, open_files, most_files, threads } = Facts::read();
        let gauges = [
            ("process_resident_memory_bytes", "Resident memory size in bytes", resident),
            ("process_virtual_memory_bytes", "Virtual memory size in bytes", virtual_size),
            ("process_start_time_seconds", "Start time of the process, in Unix time", started),
            ("process_open_fds", "Number of open file descriptors", open_files),
            ("process_max_fds", "Maximum number of open file descriptors", most_files),
            ("process_threads", "Number of threads", threads),
        ];
        for (name, help, value) in gauges {
            if let Some(value) = value {
                families.level(name, help, value)?;
            }
        }
        match cpu_seconds {
            Some(seconds) => {
                families.total("process_cpu_seconds_total", "User and system processor time spent, in seconds", seconds)
            }
            None => Ok(()),
        }
    }
}

/// What `/proc` says.
#[derive(Debug, Default)]
struct Facts {
    resident: Option<f64>,
    virtual_size: Option<f64>,
    cpu_seconds: Option<f64>,
    started: Option<f64>,
    open_files: Option<f64>,
    most_files: Option<f64>,
    threads: Option<f64>,
}

impl Facts {
    fn read() -> Self {
        let own = Path::new("/proc/self");
        let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
        let status = text(&own.join("status"));
        let stat = text(&own.join("stat"));
        let boot = text(Path::new("/proc/stat"));
        let limits = text(&own.join("limits"));
        let kilobytes = |field: &str| line_value(&status, field).map(|kilobytes| kilobytes * 1024.0);
        let ticks = |position: usize| stat_field(&stat, position).map(|ticks| ticks / TICKS_PER_SECOND);
        #[expect(clippy::cast_precision_loss, reason = "the number of open files is small")]
        let open_files = fs::read_dir(own.join("fd")).ok().map(|entries| entries.count() as f64);
        Self {
            resident: kilobytes("VmRSS:"),
            virtual_size: kilobytes("VmSize:"),
            cpu_seconds: ticks(14).zip(ticks(15)).map(|(user, system)| user + system),
            started: line_value(&boot, "btime").zip(ticks(22)).map(|(boot, since)| boot + since),
            open_files,
            most_files: line_value(&limits, "Max open files"),
            threads: line_value(&status, "Threads:"),
        }
    }
}

/// The first number after a word that begins a line.
fn line_value(text: &str, field: &str) -> Option<f64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(field))?;
    rest.split_whitespace().next()?.parse().ok()
}

/// A field of `/proc/self/stat` by its number in proc(5). The second, the command, may hold anything, so the count starts
/// behind it.
fn stat_field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    rest.split_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_stat_are_found_whatever_the_command_is_called() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 3 0 1234 1000 2 3";
        assert_eq!(stat_field(stat, 14), Some(250.0));
        assert_eq!(stat_field(stat, 15), Some(50.0));
        assert_eq!(stat_field(stat, 22), Some(1234.0));
        assert_eq!(stat_field("", 14), None);
    }

    #[test]
    fn the_own_process_has_memory_files_and_a_past() {
        let facts = Facts::read();
        assert!(facts.resident.unwrap() > 100_000.0);
        assert!(facts.open_files.unwrap() >= 3.0);
        assert!(facts.most_files.unwrap() >= facts.open_files.unwrap());
        assert!(facts.started.unwrap() > 1.6e9);
        assert!(facts.threads.unwrap() >= 1.0);
    }
}
