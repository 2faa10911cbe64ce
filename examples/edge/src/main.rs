//! The command `target-edge`.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::process::ExitCode;

use target_edge::options::{Command, Options, help, parse};
use target_edge::{Edge, Stop};

fn main() -> ExitCode {
    let outcome = match parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => run(*options),
        Ok(Command::Help) => say(&help()).map_err(|error| error.to_string()),
        Ok(Command::Version) => {
            say(concat!("target-edge ", env!("CARGO_PKG_VERSION"), "\n")).map_err(|error| error.to_string())
        }
        Err(mistake) => {
            complain(&format!("{mistake}\ntry target-edge --help"));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            complain(&message);
            ExitCode::FAILURE
        }
    }
}

fn run(options: Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?;
    let outcome = runtime.block_on(async {
        let stop = Stop::listen(options.exit_with_parent).map_err(|error| format!("no signals: {error}"))?;
        let edge = Edge::start(options).await?;
        say(&format!("target-edge listening on {}\n", edge.url())).map_err(|error| error.to_string())?;
        stop.wait().await;
        Ok(())
    });
    // Connections in the middle of a fault do not hold up the end.
    runtime.shutdown_background();
    outcome
}

fn say(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    stdout.flush()
}

fn complain(message: &str) {
    // There is no other place to complain to.
    let _ = writeln!(io::stderr(), "target-edge: {message}");
}
