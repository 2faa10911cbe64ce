//! Long runs. Each step prints one line of figures, `name: key=value ...`, and fails when a promise is broken.

mod cycles;
mod edge;
mod fork;
mod kills;
mod ledger;
mod mixed;
mod slope;
mod victim;

use std::process::ExitCode;
use std::time::Duration;

pub use victim::run as victim;

/// What a step is told.
pub struct Plan {
    pub seconds: u64,
    pub seed: u64,
    pub count: u64,
}

impl Plan {
    pub fn time(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// A source of chance of its own for each user.
    pub fn random(&self, of: u64) -> fastrand::Rng {
        fastrand::Rng::with_seed(self.seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(of))
    }
}

/// Figures of a step, and what was wrong.
#[derive(Default)]
pub struct Report {
    figures: Vec<String>,
    wrong: Vec<String>,
}

impl Report {
    pub fn figure(&mut self, name: &str, value: impl std::fmt::Display) {
        self.figures.push(format!("{name}={value}"));
    }

    pub fn check(&mut self, well: bool, what: impl FnOnce() -> String) {
        if !well {
            self.wrong.push(what());
        }
    }
}

pub fn run(step: &str, options: &[&str]) -> ExitCode {
    let mut plan = Plan { seconds: 60, seed: 1, count: 1000 };
    for pair in options.chunks(2) {
        let [name, value] = pair else { return usage() };
        let Ok(number) = value.parse() else { return usage() };
        match *name {
            "--seconds" => plan.seconds = number,
            "--seed" => plan.seed = number,
            "--count" => plan.count = number,
            _ => return usage(),
        }
    }
    let mut report = Report::default();
    report.figure("seed", plan.seed);
    match step {
        "mixed" => mixed::run(&plan, &mut report),
        "kills" => kills::run(&plan, &mut report),
        "cycles" => cycles::run(&plan, &mut report),
        _ => return usage(),
    }
    for wrong in &report.wrong {
        println!("FAILED {step}: {wrong}");
    }
    println!("{step}: {}", report.figures.join(" "));
    if report.wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn usage() -> ExitCode {
    eprintln!("usage: target-faults soak mixed|kills|cycles [--seconds N] [--seed N] [--count N]");
    ExitCode::from(2)
}
