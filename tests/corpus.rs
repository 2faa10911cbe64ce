//! The fuzz targets of the C ABI over what earlier runs found interesting. Compiled together with the library's sources: the
//! library itself is no Rust crate that could be linked. Also what sanitizers run to have a host in Rust.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test
#![allow(dead_code, unused_imports, missing_docs, unreachable_pub)] // the library's sources, here part of a program

extern crate self as target_sdk;

#[path = "../src/ffi/mod.rs"]
pub mod ffi;
#[path = "../src/runtime/mod.rs"]
mod runtime;

#[path = "../fuzz/targets/handle_ops.rs"]
mod handle_ops;
#[path = "../fuzz/targets/support.rs"]
mod support;
#[path = "../fuzz/targets/utf8_len.rs"]
mod utf8_len;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Mutex;

/// No test harness: a failing target must end the process, also when the library would catch the panic.
fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("{}: {panic}", RUNNING.lock().map_or_else(|_| String::new(), |path| path.display().to_string()));
        std::process::abort();
    }));
    replay("handle_ops", handle_ops::run);
    replay("utf8_len", utf8_len::run);
    ExitCode::SUCCESS
}

fn replay(name: &str, run: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut paths: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{} is empty", dir.display());
    for path in paths {
        let bytes = std::fs::read(&path).unwrap();
        *RUNNING.lock().unwrap() = path;
        run(&bytes);
    }
}

/// The input that is being run.
static RUNNING: Mutex<PathBuf> = Mutex::new(PathBuf::new());
