//! Compiles the C and C++ programs of `tests/c` against the built library and runs them: the contract as hosts see it.
//!
//! A program that exits with 0 and says nothing has passed. Lines that start with `SKIPPED:` are repeated.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)] // a test

use std::process::Command;
use std::time::Duration;

mod support;

use support::{Run, WARNINGS, bounded, build_dir, checked, profile_dir, root};

#[test]
fn null_and_bad_arguments_are_refused() {
    Run::new("c/null_and_bad.c").go();
}

#[test]
fn statuses_and_constants() {
    Run::new("c/statuses.c").go();
}

/// Alone, twice, in each language that includes it.
#[test]
fn header_compiles_alone() {
    let include = root().join("include");
    for (compiler, standard, language) in
        [("cc", "-std=c99", "c"), ("cc", "-std=c11", "c"), ("g++", "-std=c++11", "c++"), ("g++", "-std=c++17", "c++")]
    {
        for includes in [1, 2] {
            let name = format!("header{standard}-{includes}");
            let source = build_dir().join(format!("{name}.{}", if language == "c" { "c" } else { "cpp" }));
            std::fs::write(&source, "#include \"target_sdk.h\"\n".repeat(includes) + "int main(void) { return 0; }\n")
                .expect("write a source");
            let mut command = Command::new(compiler);
            command.arg(standard).args(WARNINGS).arg("-I").arg(&include).arg("-fsyntax-only").arg(&source);
            checked(&mut command);
        }
    }
}

#[test]
fn callbacks() {
    Run::new("c/callbacks.c").go();
}

#[test]
fn queues() {
    Run { alone: true, ..Run::new("c/queues.c") }.go();
}

#[test]
fn exactly_once() {
    Run { arguments: &["50", "2000"], seconds: 120, ..Run::new("c/exactly_once.c") }.go();
}

#[test]
fn exactly_once_while_the_library_stops_and_starts() {
    for seed in ["1", "2", "3", "4"] {
        Run { arguments: &["16", "3000", seed, "shutdown"], ..Run::new("c/exactly_once.c") }.go();
    }
}

#[test]
fn nobody_waits_for_others() {
    Run::new("c/latency.c").go();
}

#[test]
fn close_and_destroy() {
    Run { alone: true, ..Run::new("c/close.c") }.go();
}

#[test]
fn shutdown() {
    Run { alone: true, ..Run::new("c/shutdown.c") }.go();
}

#[test]
fn fork() {
    Run { seconds: 120, ..Run::new("c/fork.c") }.go();
}

#[test]
fn fork_while_names_are_looked_up() {
    Run { arguments: &["200"], seconds: 120, ..Run::new("c/fork_dns.c") }.go();
}

#[test]
fn exit_with_calls_in_flight() {
    for how in ["plain", "close", "shutdown", "busy", "callback", "thread"] {
        for after_ms in ["0", "1", "2", "3", "4", "5", "6", "8"] {
            Run { alone: true, arguments: &[how, after_ms], ..Run::new("c/exit_in_flight.c") }.go();
        }
    }
}

#[test]
fn exit_with_static_objects() {
    for after_ms in ["0", "1", "2", "3", "4"].repeat(10) {
        Run { alone: true, arguments: &[after_ms], ..Run::new("c/exit_in_flight.cpp") }.go();
    }
}

#[test]
fn signals_and_other_property_of_the_host() {
    Run::new("c/signals.c").go();
}

#[test]
fn dlopen_and_dlclose() {
    Run::new("c/dlopen.c").go();
}

#[test]
fn synchronous_calls() {
    Run { alone: true, ..Run::new("c/sync.c") }.go();
}

/// Programs that end with `target_shutdown` leave no memory, no descriptor, and touch nothing that is not theirs.
#[test]
fn nothing_is_leaked() {
    let programs: [(&str, &[&str]); 6] = [
        ("c/null_and_bad.c", &["200"]),
        ("c/callbacks.c", &["3"]),
        ("c/queues.c", &["300"]),
        ("c/close.c", &["8"]),
        ("c/shutdown.c", &["8"]),
        ("c/exactly_once.c", &["8", "50"]),
    ];
    if let Err(error) = Command::new("valgrind").arg("--version").output() {
        panic!("this test needs valgrind (`make tools` or your package manager installs it): {error}");
    }
    for (file, arguments) in programs {
        let log = build_dir().join(format!("{}.valgrind", file.replace('/', "_")));
        let log_file = format!("--log-file={}", log.display());
        let suppressions = format!("--suppressions={}", root().join("tests/valgrind.supp").display());
        Run {
            arguments,
            seconds: 150,
            under: &[
                "valgrind",
                "--leak-check=full",
                "--errors-for-leak-kinds=definite,possible",
                "--track-fds=yes",
                "--fair-sched=yes",
                "--error-exitcode=99",
                &log_file,
                &suppressions,
            ],
            ..Run::new(file)
        }
        .go_with_log(&log);
        let report = std::fs::read_to_string(&log).expect("report of valgrind");
        assert_eq!(descriptors_left_open(&report), Vec::<String>::new(), "{file} leaves descriptors open:\n{report}");
    }
}

/// What valgrind lists as open at exit, but for what the process was started with.
fn descriptors_left_open(report: &str) -> Vec<String> {
    let lines: Vec<&str> = report.lines().filter_map(|line| Some(line.split_once("== ")?.1.trim())).collect();
    lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("Open ") && !pair[1].contains("inherited from parent"))
        .map(|pair| pair[0].to_owned())
        .collect()
}

/// The same contract from the archive, with the libraries that a static host must name.
#[test]
fn statically_linked() {
    let program = build_dir().join("null_and_bad_static");
    let mut command = Command::new("cc");
    command.arg("-std=c99").args(WARNINGS).arg("-I").arg(root().join("include"));
    command.arg(root().join("tests/c/null_and_bad.c")).arg("-o").arg(&program);
    command.arg(profile_dir().join("libtarget_sdk.a")).args(["-pthread", "-ldl", "-lm", "-lgcc_s", "-lc"]);
    checked(&mut command);
    let mut command = Command::new(&program);
    command.arg("1000");
    let (output, timed_out) = bounded(command, Duration::from_secs(60));
    assert!(!timed_out && output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
