//! What the kernel says of a process.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// Clock ticks a second in `/proc/PID/stat`: fixed by the kernel's interface to user space on Linux.
const TICKS_PER_SECOND: f64 = 100.0;

/// User and system time of a process so far.
pub(crate) fn cpu(process: u32) -> Result<Duration> {
    times(process, [11, 12])
}

/// User and system time of those children of this process that have been waited for.
pub(crate) fn ended_children() -> Result<Duration> {
    times(std::process::id(), [13, 14])
}

/// The sum of two fields of `/proc/PID/stat`, counted from the process's state.
fn times(process: u32, fields: [usize; 2]) -> Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).context("the process has ended")?;
    // The command's name may hold blanks; what counts comes after its closing parenthesis.
    let words: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| words.get(index).and_then(|word| word.parse::<f64>().ok()).context("no such field");
    Ok(Duration::from_secs_f64((ticks(fields[0])? + ticks(fields[1])?) / TICKS_PER_SECOND))
}

/// Resident memory of a process, in bytes.
pub(crate) fn resident(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process has ended")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").trim().parse()?;
    Ok(kilobytes * 1024)
}
