//! The library does not hurt the process it lives in: the programs of `tests/hygiene`, compiled and run.
//!
//! Everything here has a short form. With `TARGET_SDK_LONG=1` the programs run many times as long.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)] // a test

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Once;

mod support;

use support::{Run, build_dir, root};

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
fn callbacks_that_do_not_return() {
    program("hygiene/throws.cpp").go();
}
