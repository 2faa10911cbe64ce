//! The built library exports what the header declares and the symbol list names, and nothing else.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `TARGET_SDK_TEST_LIBRARY` names another one to look at: that of a package.
fn library() -> PathBuf {
    if let Some(library) = std::env::var_os("TARGET_SDK_TEST_LIBRARY") {
        return library.into();
    }
    let executable = std::env::current_exe().expect("path of the test");
    executable.ancestors().nth(2).expect("target directory").join("libtarget_sdk.so")
}

fn output(tool: &str, arguments: &[&str]) -> String {
    let output = Command::new(tool).args(arguments).arg(library()).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs {tool} (binutils): {error}"));
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

fn listed() -> BTreeSet<String> {
    let list = std::fs::read_to_string(root().join("tests/abi/symbols.txt")).expect("tests/abi/symbols.txt");
    let names: Vec<String> = list.lines().map(str::to_owned).collect();
    assert!(names.is_sorted(), "tests/abi/symbols.txt is sorted");
    names.into_iter().collect()
}

/// Names that are followed by `(` in the header, outside comments and typedefs.
fn declared() -> BTreeSet<String> {
    let header = std::fs::read_to_string(root().join("include/target_sdk.h")).expect("include/target_sdk.h");
    let mut code = String::new();
    let mut rest = header.as_str();
    while let Some((before, comment)) = rest.split_once("/*") {
        code.push_str(before);
        rest = comment.split_once("*/").expect("comments end").1;
    }
    code.push_str(rest);
    code.split(';')
        .filter(|statement| statement.contains("TARGET_API") && !statement.contains("typedef"))
        .filter_map(|statement| {
            let head = statement.rsplit_once("TARGET_API")?.1.split_once('(')?.0;
            Some(head.trim().rsplit([' ', '*', '\n']).next()?.to_owned())
        })
        .collect()
}

#[test]
fn exports_are_the_declared_functions() {
    let exported: BTreeSet<String> = output("nm", &["-D", "--defined-only"])
        .lines()
        .map(|line| line.rsplit(' ').next().expect("a name").split('@').next().expect("a name").to_owned())
        .collect();
    assert!(exported.len() > 40, "nm found the exports");
    assert_eq!(exported, listed(), "the library (left) and tests/abi/symbols.txt (right)");
    assert_eq!(declared(), listed(), "include/target_sdk.h (left) and tests/abi/symbols.txt (right)");
}

/// The name that programs ask for, no unmapping, nothing bound late, no text relocations.
#[test]
fn linked_as_promised() {
    let dynamic = output("readelf", &["-d", "-W"]);
    let has = |what: &str| dynamic.lines().any(|line| line.contains(what));
    assert!(has("[libtarget_sdk.so.0]"), "soname:\n{dynamic}");
    assert!(has("NODELETE"), "-z nodelete:\n{dynamic}");
    assert!(has("BIND_NOW") && has("SYMBOLIC"), "-z now, -Bsymbolic:\n{dynamic}");
    assert!(!has("TEXTREL") && !has("RPATH") && !has("RUNPATH"), "{dynamic}");
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let system = ["[libc.so", "[libm.so", "[libgcc_s.so", "[ld-linux", "[libpthread.so", "[libdl.so", "[librt.so"];
    for line in needed {
        assert!(system.iter().any(|name| line.contains(name)), "a library that hosts may not have: {line}");
    }
}

/// Numbers live in `status.rs`; the header, which people read, says the same.
#[test]
fn statuses_are_the_same_everywhere() {
    let source = std::fs::read_to_string(root().join("src/ffi/status.rs")).expect("status.rs");
    let header = std::fs::read_to_string(root().join("include/target_sdk.h")).expect("header");
    let defined: Vec<(String, i32)> = source
        .lines()
        .filter_map(|line| {
            let (name, value) = line.strip_prefix("pub const ")?.split_once(": target_status = ")?;
            Some((name.to_owned(), value.trim_end_matches(';').parse().expect("a number")))
        })
        .collect();
    let in_header: Vec<(String, i32)> = header
        .lines()
        .filter_map(|line| {
            let (name, value) = line.strip_prefix("#define ")?.split_once(' ')?;
            (name == "TARGET_OK" || name.starts_with("TARGET_E_"))
                .then(|| (name.to_owned(), value.trim().parse().expect("a number")))
        })
        .collect();
    assert_eq!(defined, in_header, "status.rs (left) and the header (right)");
    let table = source.split_once("ALL: [").expect("the table").1;
    let listed: Vec<&str> = table
        .lines()
        .filter_map(|line| line.trim().strip_prefix('(')?.split_once(", c\"")?.1.strip_suffix("\"),"))
        .collect();
    let names: Vec<&str> = defined.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(listed, names, "every constant is in the table that bindings enumerate, in order");
}
