//! The library does not hurt the process it lives in: the programs of `tests/hygiene`, compiled and run.
//!
//! Everything here has a short form. With `TARGET_SDK_LONG=1` the programs run many times as long.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)] // a test

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::Once;
use std::time::Duration;

#[path = "support/places.rs"]
mod places;
mod support;

use places::Place;
use support::{Run, WARNINGS, bounded, build_dir, checked, profile_dir, root};

/// Which statuses the comments of the header name for each export.
fn documented() -> BTreeMap<String, (Vec<String>, bool)> {
    let header = std::fs::read_to_string(root().join("include/target_sdk.h")).expect("include/target_sdk.h");
    let mut found: BTreeMap<String, (Vec<String>, bool)> = BTreeMap::new();
    for declaration in header.split("TARGET_API").skip(1).zip(header.split("TARGET_API")) {
        let (after, before) = declaration;
        let name =
            after.split('(').next().expect("a declaration").trim().rsplit([' ', '*', '\n']).next().expect("a name");
        let comment = before.rsplit("/**").next().expect("a comment");
        let Some((_, returns)) = comment.split_once("@return") else { continue };
        // Up to the empty line.
        let returns = returns.split("\n *\n").next().expect("some text").split("*/").next().expect("some text");
        let text = returns.replace(['\n', '*'], " ");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words = || text.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let mut statuses: Vec<String> =
            words().filter(|word| *word == "TARGET_OK" || word.starts_with("TARGET_E_")).map(str::to_owned).collect();
        let mut any = ["status of the result", "status that the result carries", "its status"]
            .iter()
            .any(|phrase| text.contains(phrase));
        if let Some(other) = text.strip_prefix("As `").and_then(|rest| rest.split('`').next()) {
            let (more, theirs) = found.get(other).unwrap_or_else(|| panic!("{name} refers to {other}"));
            statuses.extend(more.iter().cloned());
            any |= *theirs;
        }
        if name == "target_queue_poll" {
            statuses.push("TARGET_OK".to_owned()); // a count, which callers make this of
        }
        assert!(any || statuses.len() > 1, "{name}: {text}");
        found.insert(name.to_owned(), (statuses, any));
    }
    found
}

/// `documented.h`, which the programs include.
fn write_documented() {
    static WRITTEN: Once = Once::new();
    WRITTEN.call_once(|| {
        let mut text =
            "static const struct {\n    const char *name;\n    int any_status;\n    target_status statuses[24]; \
                        /* 1 ends them */\n} documented[] = {\n"
                .to_owned();
        for (name, (statuses, any)) in documented() {
            writeln!(text, "    {{\"{name}\", {}, {{{}, 1}}}},", u8::from(any), statuses.join(", ")).expect("a string");
        }
        text.push_str("};\n");
        std::fs::write(build_dir().join("documented.h"), text).expect("write documented.h");
    });
}

fn program(file: &str) -> Run<'_> {
    write_documented();
    Run { seconds: if long() { 3000 } else { 120 }, ..Run::new(file) }
}

fn long() -> bool {
    std::env::var("TARGET_SDK_LONG").is_ok_and(|value| !value.is_empty() && value != "0")
}

/// The first is for every run, the second for long ones.
fn times(short: u32, more: u32) -> String {
    if long() { more } else { short }.to_string()
}

/// A new export cannot be forgotten by the tests that are about all of them.
#[test]
fn the_table_of_exports_is_complete() {
    let table = std::fs::read_to_string(root().join("tests/hygiene/exports.h")).expect("exports.h");
    let entries: Vec<&str> =
        table.lines().filter_map(|line| line.trim().strip_prefix("E(")?.split(',').next()).collect();
    let listed = std::fs::read_to_string(root().join("tests/abi/symbols.txt")).expect("symbols.txt");
    assert_eq!(entries, listed.lines().collect::<Vec<_>>(), "tests/hygiene/exports.h (left) and tests/abi/symbols.txt");
    let documented = documented();
    for name in entries {
        assert!(
            documented.contains_key(name) || name.ends_with("_name") || name.ends_with("version"),
            "{name} does not say what it returns"
        );
    }
}

#[test]
fn random_and_stale_handles() {
    Run { arguments: &[&times(1_000_000, 100_000_000)], ..program("hygiene/handles.c") }.go();
}

#[test]
fn every_export_in_every_callback() {
    program("hygiene/matrix.c").go();
}

#[test]
fn texts_and_structs_at_the_edge_of_memory() {
    program("hygiene/edges.c").go();
}

#[test]
fn every_way_to_end_a_process() {
    Run { arguments: &[&times(9, 900)], ..program("hygiene/exits.c") }.go();
}

#[test]
fn forks_while_the_library_starts() {
    Run { arguments: &["first", &times(60, 5000)], ..program("hygiene/forks.c") }.go();
}

#[test]
fn a_fork_while_the_end_is_registered() {
    program("hygiene/fork_registers.c").go();
}

#[test]
fn forks_of_busy_threads() {
    Run { arguments: &["busy", &times(40, 2000)], ..program("hygiene/forks.c") }.go();
}

#[test]
fn forks_in_every_callback() {
    Run { arguments: &["callbacks", &times(2, 100)], ..program("hygiene/forks.c") }.go();
}

#[test]
fn forks_of_forks() {
    Run { arguments: &["generations", "4"], ..program("hygiene/forks.c") }.go();
}

#[test]
fn programs_started_while_calls_run() {
    Run { arguments: &["programs", &times(100, 10000)], ..program("hygiene/forks.c") }.go();
}

#[test]
fn environment_streams_modes_and_clocks() {
    Run { arguments: &[&times(20, 2000)], ..program("hygiene/property.c") }.go();
}

#[test]
fn closed_standard_streams() {
    Run { arguments: &["streams"], ..program("hygiene/scarce.c") }.go();
}

#[test]
fn descriptors_are_not_inherited() {
    Run { arguments: &["inherited"], ..program("hygiene/scarce.c") }.go();
}

#[test]
fn no_threads_to_be_had() {
    Run { arguments: &["threads"], ..program("hygiene/scarce.c") }.go();
}

#[test]
fn no_descriptors_to_be_had() {
    Run { arguments: &["descriptors"], ..program("hygiene/scarce.c") }.go();
}

#[test]
fn no_memory_for_an_answer() {
    program("hygiene/memory.c").go();
}

#[test]
fn panics_in_every_place_that_reads_a_clock() {
    program("hygiene/panics.c").go();
}

/// What the library does when it is loaded is done in a program that it was linked into, too.
#[test]
fn forks_of_a_statically_linked_host() {
    write_documented();
    let program = build_dir().join("forks_static");
    let mut command = Command::new("cc");
    command.arg("-std=c99").args(WARNINGS);
    for headers in [&root().join("include"), &root().join("tests/c"), build_dir()] {
        command.arg("-I").arg(headers);
    }
    command.arg(root().join("tests/hygiene/forks.c")).arg("-o").arg(&program);
    command.arg(profile_dir().join("libtarget_sdk.a")).args(["-pthread", "-ldl", "-lm", "-lgcc_s", "-lc"]);
    checked(&mut command);
    for arguments in [["first", "20"], ["generations", "3"]] {
        let mut command = Command::new(&program);
        command.args(arguments);
        let (output, timed_out) = bounded(command, Duration::from_secs(120));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(!timed_out && output.status.success() && stderr.is_empty(), "{arguments:?}: {stderr}");
    }
}

#[test]
fn an_idle_library_and_inputs_that_are_overwritten() {
    program("hygiene/footprint.c").go();
}

#[test]
fn callbacks_that_do_not_return() {
    program("hygiene/throws.cpp").go();
}

fn artifact() -> String {
    root().join("examples/edge/data/artifact.json").to_str().expect("UTF-8").to_owned()
}

#[test]
fn small_stacks() {
    // Code that is not optimised needs more for documents of the greatest depth: 64 levels.
    let deep = if profile_dir().ends_with("debug") { "192" } else { "64" };
    Run { arguments: &[&artifact(), deep], ..program("hygiene/stacks.c") }.go();
}

#[test]
fn before_and_after_main() {
    Run { environment: &[("HYGIENE_STATIC", "1")], ..program("hygiene/stacks.c") }.go();
}

#[test]
fn two_copies_of_the_library() {
    Run { arguments: &[&times(10_000, 1_000_000)], ..program("hygiene/copies.c") }.go();
}

#[test]
fn starts_and_stops_leave_nothing() {
    Run { arguments: &[&times(200, 10_000)], ..program("hygiene/cycles.c") }.go();
}

#[test]
fn ends_inside_of_callbacks_and_logs() {
    Run { arguments: &[&times(20, 1000)], ..program("hygiene/corners.c") }.go();
}

#[test]
fn an_answer_without_memory_for_it_is_an_error() {
    program("hygiene/no_memory.c").go();
}

/// Under valgrind: not a byte is left.
#[test]
fn nothing_is_left_after_starts_and_stops() {
    let log = build_dir().join("cycles.valgrind");
    let log_file = format!("--log-file={}", log.display());
    let suppressions = format!("--suppressions={}", root().join("tests/valgrind.supp").display());
    Run {
        arguments: &[&times(2, 200)],
        under: &[
            "valgrind",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite,indirect,possible",
            "--fair-sched=yes",
            "--error-exitcode=99",
            &log_file,
            &suppressions,
        ],
        ..program("hygiene/cycles.c")
    }
    .go_with_log(&log);
}

#[test]
fn locales_and_time_zones_change_nothing() {
    let mut first: Option<String> = None;
    for Place { locale, zone } in places::all() {
        let file = build_dir().join(format!("sent-{locale}-{}", zone.replace('/', "-")));
        Run {
            arguments: &[locale, &artifact(), file.to_str().expect("UTF-8")],
            environment: &[("TZ", zone), ("LOCPATH", places::locale_dir().to_str().expect("UTF-8"))],
            ..program("hygiene/same_everywhere.c")
        }
        .go();
        let written = std::fs::read_to_string(&file).expect("what was sent");
        assert!(written.contains("POST /rest/v1/delivery"), "{written}");
        let first = first.get_or_insert_with(|| written.clone());
        assert_eq!(*first, written, "C and UTC (left), {locale} and {zone} (right)");
    }
}

/// What belongs to the process is not even within reach of the library.
#[test]
fn functions_that_change_the_process_are_not_used() {
    let library = profile_dir().join("libtarget_sdk.so");
    let output = Command::new("nm").args(["-D", "--undefined-only"]).arg(library).output().expect("nm (binutils)");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let used: Vec<&str> = text.lines().filter_map(|line| line.split_whitespace().last()?.split('@').next()).collect();
    assert!(used.contains(&"malloc") && used.contains(&"epoll_wait"), "nm found what is used: {used:?}");
    let forbidden = [
        // signals and the end of the process
        "signal",
        "sigaction",
        "sigprocmask",
        "raise",
        "kill",
        "pthread_kill",
        "tgkill",
        "exit",
        "_exit",
        "quick_exit",
        "fork",
        "vfork",
        "system",
        "posix_spawn",
        "posix_spawnp",
        "execve",
        "pthread_cancel",
        "pthread_exit",
        "alarm",
        "setitimer",
        "longjmp",
        "siglongjmp",
        // environment, locale, time zone
        "setenv",
        "unsetenv",
        "putenv",
        "clearenv",
        "setlocale",
        "uselocale",
        "newlocale",
        "localeconv",
        "nl_langinfo",
        "tzset",
        "localtime",
        "localtime_r",
        "mktime",
        "strftime",
        "gmtime",
        "strtod",
        "strtof",
        "atof",
        "toupper",
        "tolower",
        "isalpha",
        "strcoll",
        "strcasecmp",
        "sprintf",
        "snprintf",
        "sscanf",
        "iconv",
        "mbstowcs",
        // directory, limits, modes, identity
        "chdir",
        "fchdir",
        "chroot",
        "umask",
        "setrlimit",
        "setrlimit64",
        "prlimit",
        "prlimit64",
        "setpriority",
        "nice",
        "fesetround",
        "fesetenv",
        "feenableexcept",
        "setuid",
        "setgid",
        "prctl",
        "personality",
        "mallopt",
        // standard streams
        "printf",
        "fprintf",
        "vfprintf",
        "puts",
        "putchar",
        "fputs",
        "fwrite",
        "perror",
        "fflush",
        "setvbuf",
        "setbuf",
        "stdout",
        "stderr",
        "stdin",
        "syslog",
        "openlog",
        // another allocator's business
        "sbrk",
        "brk",
    ];
    let found: Vec<_> = forbidden.iter().filter(|name| used.contains(name)).collect();
    assert!(found.is_empty(), "the library uses {found:?}");
}

/// Alone and with everything else, in every language and version that may include it.
#[test]
fn header_in_every_standard() {
    let include = root().join("include");
    let header = std::fs::read_to_string(include.join("target_sdk.h")).expect("include/target_sdk.h");
    assert!(
        header.contains("intptr_t *fd"),
        "as wide as any descriptor; ptrdiff_t is the same here, but not everywhere"
    );
    let c = ["c99", "gnu99", "c11", "gnu11", "c17", "c2x"];
    let cpp = ["c++11", "gnu++11", "c++14", "c++17", "c++20", "c++23"];
    let before = [
        "",
        "#include <stdint.h>\n#include <stddef.h>\n#include <stdbool.h>\n",
        "#ifndef _GNU_SOURCE\n#define _GNU_SOURCE\n#endif\n#include <stdio.h>\n",
    ];
    for (compiler, language, standards) in [("cc", "c", &c), ("g++", "cpp", &cpp)] {
        for standard in standards {
            for (index, before) in before.iter().enumerate() {
                let source = build_dir().join(format!("standard-{standard}-{index}.{language}"));
                let text = format!(
                    "{before}struct target_call;\nstruct target_client_hooks;\nstruct target_completion;\n\
                     #include \"target_sdk.h\"\n#include \"target_sdk.h\"\n\
                     static struct target_completion taken;\ntarget_completion *same = &taken;\n\
                     static struct target_call call;\nstatic target_client_hooks hooks;\n\
                     int main(void) {{ call.size = (uint32_t)sizeof call; hooks.size = (uint32_t)sizeof hooks; \
                     return target_abi_version() == TARGET_ABI_VERSION && TARGET_NUL == (size_t)-1 ? 0 : 1; }}\n"
                );
                std::fs::write(&source, text).expect("write a source");
                let mut command = Command::new(compiler);
                command.arg(format!("-std={standard}")).args(WARNINGS);
                command.args(["-Wconversion", "-Wshadow", "-Wundef", "-fsyntax-only"]);
                if language == "c" {
                    command.args(["-Wstrict-prototypes", "-Wmissing-prototypes"]);
                }
                checked(command.arg("-I").arg(&include).arg(&source));
            }
        }
    }
}

/// Statics that a forked child would find half-made, or locked by a thread that it does not have. What processes share must be
/// lock-free; everything else hangs on a `PerProcess`.
#[test]
fn no_static_that_a_child_could_wait_for() {
    let mut dirs = vec![root().join("src"), root().join("core/src")];
    let mut wrong = Vec::new();
    let mut files = 0;
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("sources").flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
                continue;
            }
            if path.file_stem().is_some_and(|name| name.to_string_lossy().ends_with("tests")) {
                continue;
            }
            let source = std::fs::read_to_string(&path).expect("a source");
            let code = source.split("#[cfg(test)]\nmod ").next().expect("some text");
            files += 1;
            for line in code.lines().map(str::trim_start) {
                let line = line.strip_prefix("pub(crate) ").or(line.strip_prefix("pub(super) ")).unwrap_or(line);
                // OnceBox is of once_cell::race: nobody waits there.
                let harmless = ["PerProcess<", "OnceBox<"].iter().any(|kind| line.contains(kind));
                let is_static = line.starts_with("static ") && !harmless;
                if is_static && ["Once", "Lazy", "Mutex", "RwLock", "Condvar"].iter().any(|lock| line.contains(lock)) {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    assert!(files > 50 && wrong.is_empty(), "{wrong:#?}");
}
