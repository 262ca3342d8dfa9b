//! What a run cost this process: time, memory, CPU. Processes that it started are not counted.

use std::alloc::System;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;

/// The system's allocator with counters. A program that wants allocations counted makes it its global allocator; a few
/// atomic additions for each allocation are the price.
pub type CountingAllocator = cap::Cap<System>;

/// A counting allocator, for a `#[global_allocator]`.
pub const fn counting_allocator() -> CountingAllocator {
    cap::Cap::new(System, usize::MAX)
}

/// What a run cost. Whatever the system does not tell is `None`.
#[derive(Debug, Clone, Copy)]
pub struct Measurement {
    /// From the start of the program on.
    pub elapsed: Duration,
    /// The most memory that was resident at once.
    pub peak_rss_bytes: Option<u64>,
    /// The most memory that was allocated at once.
    pub peak_alloc_bytes: Option<u64>,
    /// All allocations together; growing a buffer counts its whole new size.
    pub total_alloc_bytes: Option<u64>,
    /// Time spent in this program.
    pub user_cpu: Option<Duration>,
    /// Time spent in the system on behalf of this program.
    pub system_cpu: Option<Duration>,
}

/// Measure now a program that began at `started`.
pub fn measure(started: Instant, allocator: Option<&CountingAllocator>) -> Measurement {
    let usage = getrusage(UsageWho::RUSAGE_SELF).ok();
    let counted = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Measurement {
        elapsed: started.elapsed(),
        peak_rss_bytes: high_water_mark()
            .or_else(|| usage.as_ref().and_then(|usage| max_rss(usage.max_rss()))),
        peak_alloc_bytes: allocator.map(|allocator| counted(allocator.max_allocated())),
        total_alloc_bytes: allocator.map(|allocator| counted(allocator.total_allocated())),
        user_cpu: usage.as_ref().map(|usage| duration(usage.user_time())),
        system_cpu: usage.as_ref().map(|usage| duration(usage.system_time())),
    }
}

/// Linux counts what the parent had before `exec` into `ru_maxrss`, but not into this.
fn high_water_mark() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    parse_high_water_mark(&status)
}

fn parse_high_water_mark(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = value.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Kilobytes everywhere but on macOS: getrusage(2).
fn max_rss(value: i64) -> Option<u64> {
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    u64::try_from(value).ok()?.checked_mul(unit)
}

fn duration(time: TimeVal) -> Duration {
    let seconds = u64::try_from(time.tv_sec()).unwrap_or_default();
    let micros = u64::try_from(time.tv_usec()).unwrap_or_default();
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_high_water_mark_is_in_kilobytes() {
        let status = "Name:\tx\nVmPeak:\t    3000 kB\nVmHWM:\t    2140 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(parse_high_water_mark(status), Some(2140 * 1024));
        assert_eq!(parse_high_water_mark("Name:\tx\n"), None);
    }

    #[test]
    fn this_process_costs_something() {
        let measured = measure(Instant::now(), None);
        assert!(measured.peak_rss_bytes.unwrap() > 100_000);
        assert!(measured.user_cpu.is_some() && measured.peak_alloc_bytes.is_none());
    }
}
