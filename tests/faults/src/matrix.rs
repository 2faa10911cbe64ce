//! Runs the table, many cases at a time: nearly all of their time is waiting.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::case::{Case, Tools};
use crate::payload::Subject;
use crate::table::{Net, Row, rows};
use crate::{doc, server, shim};

struct Plan {
    long: bool,
    only: Option<String>,
    repeat: usize,
    jobs: usize,
}

fn plan(options: &[&str]) -> Result<Plan, String> {
    let mut plan = Plan { long: false, only: None, repeat: 1, jobs: 24 };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let mut value = || options.next().ok_or(format!("{option} needs a value"));
        let number = |text: &&str| text.parse().map_err(|_| format!("{text} is no number"));
        match *option {
            "--long" => plan.long = true,
            "--only" => plan.only = Some((*value()?).to_owned()),
            "--repeat" => plan.repeat = number(value()?)?,
            "--jobs" => plan.jobs = number(value()?)?,
            other => return Err(format!("unknown option {other}")),
        }
    }
    Ok(plan)
}

pub fn run(options: &[&str]) -> ExitCode {
    let plan = match plan(options) {
        Ok(plan) => plan,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::from(2);
        }
    };
    let began = Instant::now();
    let mut failures = 0;
    if plan.only.is_none() && doc::is_stale() {
        println!("FAILED docs/faults.md is not what the table says; write it anew: target-faults doc > docs/faults.md");
        failures += 1;
    }
    let dir = directory();
    let shim = shim::compile(&dir);
    let cases = cases(&plan);
    let (rows, total) = (cases.rows, cases.all.len());
    let queue = Mutex::new(cases.all);
    let (done, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..plan.jobs.min(total) {
            scope.spawn(|| {
                loop {
                    let Some((case, close)) = queue.lock().expect("no panics").pop_front() else { return };
                    let tools = Tools { shim: &shim };
                    let wrong = if close { case.run_close(tools) } else { case.run(tools) };
                    done.fetch_add(1, Relaxed);
                    if !wrong.is_empty() {
                        failed.fetch_add(1, Relaxed);
                        let kind = if close { " (close)" } else { "" };
                        println!("FAILED {}{kind}\n    {}", case.name(), wrong.join("\n    "));
                    }
                }
            });
        }
    });
    failures += failed.load(Relaxed);
    let _ = std::fs::remove_dir_all(&dir);
    println!(
        "faults: {rows} rows, {} cases, {failures} failed, {:.0} s",
        done.load(Relaxed),
        began.elapsed().as_secs_f64()
    );
    if failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

struct Cases {
    rows: usize,
    /// With whether the client is closed in the middle.
    all: VecDeque<(Case, bool)>,
}

fn cases(plan: &Plan) -> Cases {
    let ipv6 = server::has_ipv6();
    let chosen: Vec<Arc<Row>> = rows()
        .into_iter()
        .filter(|row| plan.long || !row.long)
        .filter(|row| {
            let possible = ipv6 || row.net != Net::Ipv6;
            if !possible {
                println!("SKIPPED: {}: this machine has no IPv6 loopback", row.name);
            }
            possible
        })
        .collect();
    let mut all = VecDeque::new();
    for _ in 0..plan.repeat {
        for row in &chosen {
            for subject in Subject::ALL.into_iter().filter(|subject| row.expect(*subject).is_some()) {
                let case = || Case { row: Arc::clone(row), subject };
                if plan.only.as_deref().is_some_and(|text| !case().name().contains(text)) {
                    continue;
                }
                // Those that take their time begin first.
                let slow = subject == Subject::Artifact;
                if slow {
                    all.push_front((case(), false))
                } else {
                    all.push_back((case(), false))
                }
                if plan.long {
                    all.push_back((case(), true));
                }
            }
        }
    }
    Cases { rows: chosen.len(), all }
}

fn directory() -> PathBuf {
    let dir = std::env::temp_dir().join(format!("target-faults-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory for the shim");
    dir
}
