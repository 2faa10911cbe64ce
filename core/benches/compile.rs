//! What compiling an artifact costs: `compile ARTIFACT.json` prints time and memory as JSON.
//!
//! Memory is what the allocator was asked for, so it does not depend on what the process did before: `held` once the compiled
//! rules are all that is left, `peak` while compiling. The text of the artifact is not part of either.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)] // a measurement, not a library

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use target_sdk_core::decisioning::Ruleset;

/// Counts bytes on their way to the system's allocator.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

fn add(bytes: usize) {
    let held = HELD.fetch_add(bytes, Relaxed) + bytes;
    PEAK.fetch_max(held, Relaxed);
}

// SAFETY: every call is handed on unchanged; counting does not allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        add(layout.size());
        // SAFETY: the caller's promises are the ones that System asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the block came from System through `alloc` or `realloc` above, with this layout.
        unsafe { System.dealloc(block, layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        add(size);
        HELD.fetch_sub(layout.size(), Relaxed);
        // SAFETY: as in `dealloc`; the new size is the caller's promise.
        unsafe { System.realloc(block, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 7;

fn main() {
    let Some(file) = std::env::args().skip(1).find(|argument| argument != "--bench") else {
        println!("usage: compile ARTIFACT.json (skipped)");
        return;
    };
    let text = std::fs::read_to_string(file).unwrap();
    let before = HELD.load(Relaxed);
    PEAK.store(before, Relaxed);
    let rules = Ruleset::compile(&text).unwrap();
    let (held, peak) = (HELD.load(Relaxed) - before, PEAK.load(Relaxed) - before);
    drop(black_box(rules));

    let mut ms = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        let started = Instant::now();
        let rules = Ruleset::compile(black_box(&text)).unwrap();
        ms.push(format!("{:.1}", started.elapsed().as_secs_f64() * 1e3));
        drop(black_box(rules));
    }
    println!(r#"{{"bytes":{},"held":{held},"peak":{peak},"ms":[{}]}}"#, text.len(), ms.join(","));
}
