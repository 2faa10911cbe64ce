//! What the library does when networks and servers misbehave.
//!
//! `target-faults matrix` runs the table, `target-faults doc` prints it, `target-faults soak` runs for a long time.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // a test
#![allow(clippy::disallowed_methods, unreachable_pub)]

mod abi;
mod case;
mod child;
mod doc;
mod h2;
mod host;
mod http;
mod matrix;
mod payload;
mod process;
mod server;
mod shim;
mod soak;
mod table;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["host"] => {
            host::run();
            ExitCode::SUCCESS
        }
        ["matrix", options @ ..] => matrix::run(options),
        ["doc"] => {
            print!("{}", doc::text());
            ExitCode::SUCCESS
        }
        ["soak", step, options @ ..] => soak::run(step, options),
        ["victim", record, fatal] => soak::victim(record, fatal.parse().expect("a number")),
        _ => {
            eprintln!("usage: target-faults matrix [--long] [--only TEXT] [--repeat N] [--jobs N] | doc | soak STEP");
            ExitCode::from(2)
        }
    }
}
