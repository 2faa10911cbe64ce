//! What a process holds: descriptors, threads, memory.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Open descriptors.
pub fn descriptors() -> usize {
    // One is open for the reading itself.
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count) - 1
}

/// What the first descriptors are, for messages.
pub fn descriptor_names() -> Vec<String> {
    let Ok(all) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    all.flatten()
        .take(40)
        .filter_map(|entry| {
            let target = std::fs::read_link(entry.path()).ok()?;
            Some(format!("{} {}", entry.file_name().to_string_lossy(), target.display()))
        })
        .collect()
}

/// Names of the threads.
pub fn thread_names() -> Vec<String> {
    let Ok(all) = std::fs::read_dir("/proc/self/task") else { return Vec::new() };
    all.flatten()
        .filter_map(|entry| Some(std::fs::read_to_string(entry.path().join("comm")).ok()?.trim().to_owned()))
        .collect()
}

/// How long threads whose names begin like that have waited for a processor since they began, in ms.
pub fn waited_ms(prefix: &str) -> u64 {
    waits_ms(prefix).into_values().sum()
}

/// The same for each thread.
pub fn waits_ms(prefix: &str) -> HashMap<String, u64> {
    let Ok(all) = std::fs::read_dir("/proc/self/task") else { return HashMap::new() };
    let waited = |dir: std::path::PathBuf| {
        let name = std::fs::read_to_string(dir.join("comm")).ok()?;
        let times = std::fs::read_to_string(dir.join("schedstat")).ok()?;
        let nanoseconds: u64 = times.split_whitespace().nth(1)?.parse().ok()?;
        name.starts_with(prefix).then_some(nanoseconds / 1_000_000)
    };
    all.flatten()
        .filter_map(|entry| Some((entry.file_name().to_string_lossy().into_owned(), waited(entry.path())?)))
        .collect()
}

/// Resident memory without the pages that the allocator keeps for later, in bytes.
pub fn resident() -> u64 {
    // SAFETY: gives free pages back, nothing else.
    unsafe { libc::malloc_trim(0) };
    let status = std::fs::read_to_string("/proc/self/smaps_rollup").expect("memory of this process");
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name)).expect("a field of smaps_rollup");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("KiB") * 1024
    };
    field("Anonymous:")
}

/// Bytes that the allocator has given out, over all arenas.
pub fn allocated() -> u64 {
    // SAFETY: only reads the allocator's counters.
    let info = unsafe { libc::mallinfo2() };
    (info.uordblks + info.hblkhd) as u64
}

/// Waits until `true`, at most `limit`.
pub fn eventually(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + limit;
    loop {
        if is_so() {
            return true;
        }
        if Instant::now() >= until {
            return false;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
