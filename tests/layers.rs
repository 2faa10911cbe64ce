//! The picture of the layers does not rot: who may use whom, where unsafe code is, what every export looks like.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("directory") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// Every source under `dir`: its path relative to that, and its code without line comments.
fn code_of(dir: &str) -> Vec<(PathBuf, String)> {
    let dir = root().join(dir);
    let mut paths = Vec::new();
    sources(&dir, &mut paths);
    paths.sort();
    assert!(!paths.is_empty());
    paths
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("source");
            let code = text
                .lines()
                .map(|line| line.split_once("//").map_or(line, |(code, _)| code))
                .collect::<Vec<_>>()
                .join("\n");
            (path.strip_prefix(&dir).expect("below").to_owned(), code)
        })
        .collect()
}

/// Names right after `prefix`, for example the `error` of `crate::error::Error`; of `crate::{env, error}`, both.
fn named_after<'c>(code: &'c str, prefix: &str) -> BTreeSet<&'c str> {
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        let rest = &code[at + prefix.len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = 0;
            for (index, character) in list.char_indices() {
                match character {
                    '{' => depth += 1,
                    '}' if depth > 0 => depth -= 1,
                    ',' | '}' if depth == 0 => {
                        names.insert(first_word(list[start..index].trim()));
                        start = index + 1;
                        if character == '}' {
                            break;
                        }
                    }
                    _ => {}
                }
            }
        } else {
            names.insert(first_word(rest));
        }
    }
    names.remove("");
    names
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// Module of the core that a file belongs to: `delivery/mod.rs` and `delivery.rs` are `delivery`.
fn module_of(path: &Path) -> String {
    let first = path.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Used by everybody, and using only each other.
const LEAVES: [&str; 9] = ["error", "json", "env", "config", "suggest", "number", "date", "excerpt", "opaque"];

/// What else a module of the core may use.
const MAY_USE: [(&str, &[&str]); 10] = [
    (
        "client",
        &[
            "delivery",
            "artifact",
            "decisioning",
            "visitor",
            "cookies",
            "attributes",
            "telemetry",
            "envelope",
            "transport",
        ],
    ),
    ("delivery", &["transport", "visitor", "cookies", "envelope", "telemetry"]),
    ("artifact", &["transport"]),
    ("attributes", &["delivery"]), // its options are those of a delivery call
    ("telemetry", &["transport"]), // times of an exchange
    ("envelope", &["visitor", "cookies"]),
    ("visitor", &["cookies"]),
    ("cookies", &[]),
    ("decisioning", &[]),
    ("transport", &[]),
];

#[test]
fn modules_of_the_core_use_whom_they_may() {
    let allowed: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut wrong = Vec::new();
    for (path, code) in code_of("core/src") {
        let module = module_of(&path);
        if module == "lib" || module == "fuzzing" {
            continue; // what fuzzing enters by reaches everything, and is in no library
        }
        let leaf = LEAVES.contains(&module.as_str());
        let more: &[&str] = match allowed.get(module.as_str()) {
            Some(more) => more,
            None if leaf => &[],
            None => panic!("{} belongs to no layer: add it to the picture", path.display()),
        };
        for used in named_after(&code, "crate::") {
            if used != module && !LEAVES.contains(&used) && !more.contains(&used) {
                wrong.push(format!("{} uses {used}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_picture_has_no_circles() {
    let picture: BTreeMap<&str, &[&str]> = MAY_USE.into_iter().collect();
    let mut settled: BTreeSet<&str> = BTreeSet::new();
    while settled.len() < picture.len() {
        let next = picture
            .iter()
            .find(|(module, uses)| !settled.contains(*module) && uses.iter().all(|used| settled.contains(used)));
        settled.insert(next.unwrap_or_else(|| panic!("a circle among {picture:?} without {settled:?}")).0);
    }
}

#[test]
fn decisions_are_pure() {
    for (path, code) in code_of("core/src/decisioning") {
        for word in [
            "tokio",
            "reqwest",
            "SystemTime",
            "Instant::now",
            "std::fs",
            "TcpStream",
            "UdpSocket",
            "std::thread",
            "async fn",
        ] {
            // Its tests read cases from files.
            let tests = path.to_string_lossy().contains("test") || word == "std::fs" && code.contains("#[cfg(test)]");
            assert!(tests || !code.contains(word), "decisioning/{} names {word}", path.display());
        }
    }
}

#[test]
fn transport_alone_talks_to_servers() {
    for (path, code) in code_of("core/src") {
        let code = code.replace("reqwest::Url", ""); // a parser of URLs, which talks to nobody
        assert!(
            module_of(&path) == "transport" || !code.contains("reqwest::"),
            "{} uses reqwest, which is for transport",
            path.display()
        );
    }
}

#[test]
fn the_c_layer_uses_whom_it_may() {
    for (path, code) in code_of("src/ffi") {
        for used in named_after(&code, "crate::") {
            assert_eq!(used, "runtime", "ffi/{}", path.display());
        }
    }
    for (path, code) in code_of("src/runtime") {
        for used in named_after(&code, "crate::") {
            assert_eq!(used, "runtime", "runtime/{}", path.display());
        }
        for word in ["target_sdk_core", "ffi::"] {
            assert!(!code.contains(word), "runtime/{} names {word}", path.display());
        }
    }
}

#[test]
fn unsafe_code_stays_in_its_corner() {
    let core = std::fs::read_to_string(root().join("core/src/lib.rs")).expect("lib.rs");
    assert!(core.contains("#![forbid(unsafe_code)]"));
    // Raw pointers become owners or slices in one file for each kind.
    let raw: [(&str, &[&str]); 7] = [
        ("from_raw_parts", &["ffi/text.rs"]),
        ("Box::from_raw", &["runtime/per_process.rs", "runtime/heap.rs"]),
        ("from_raw_fd", &["runtime/wake.rs"]),
        ("Arc::from_raw", &[]),
        ("CString::from_raw", &[]),
        ("transmute", &[]),
        ("static mut", &[]),
    ];
    for (path, code) in code_of("src") {
        let name = path.to_string_lossy();
        assert!(
            name.starts_with("ffi/") || name.starts_with("runtime/") || !code.contains("unsafe"),
            "unsafe code in src/{name}"
        );
        for (word, homes) in raw {
            assert!(homes.contains(&&*name) || !code.contains(word), "{word} in src/{name}");
        }
        // The panic hook is extended, for the library's own panics, and never replaced.
        assert!(!code.contains("set_hook") || name == "runtime/panics.rs" && code.contains("take_hook"), "src/{name}");
        for word in ["install_default", "set_var", "std::env::var", "println!", "eprintln!", "process::exit"] {
            assert!(!code.contains(word), "src/{name} touches what belongs to the host: {word}");
        }
    }
}

/// Each export: its name, documentation, signature and body.
fn exports() -> Vec<(String, String, String, String)> {
    let mut found = Vec::new();
    let mut paths = Vec::new();
    sources(&root().join("src"), &mut paths);
    for path in paths {
        let text = std::fs::read_to_string(&path).expect("source");
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            if !line.contains("no_mangle") {
                continue;
            }
            assert_eq!(*line, "#[unsafe(no_mangle)]", "{}", path.display());
            let doc: Vec<&str> = lines[..at]
                .iter()
                .rev()
                .take_while(|line| line.starts_with("///") || line.starts_with("#["))
                .copied()
                .collect();
            let doc = doc.into_iter().rev().collect::<Vec<_>>().join("\n");
            let item = lines[at + 1..].iter().take_while(|line| **line != "}").copied().collect::<Vec<_>>().join("\n");
            let (signature, body) = item.split_once(" {\n").expect("a function");
            let name = signature.split_once("fn ").expect("a function").1.split('(').next().expect("a name").to_owned();
            found.push((name, doc, signature.to_owned(), body.to_owned()));
        }
    }
    found
}

#[test]
fn every_export_keeps_the_rules() {
    let exports = exports();
    let listed = std::fs::read_to_string(root().join("tests/abi/symbols.txt")).expect("symbols.txt");
    let names: BTreeSet<&str> = exports.iter().map(|(name, ..)| name.as_str()).collect();
    assert_eq!(names, listed.lines().collect(), "the sources (left) and tests/abi/symbols.txt (right)");
    assert_eq!(exports.len(), names.len());

    // These begin with the guard themselves.
    let offers = std::fs::read_to_string(root().join("src/ffi/offers.rs")).expect("offers.rs");
    for helper in ["simple", "full", "sync"] {
        let body = offers.split_once(&format!("fn {helper}(")).expect(helper).1.split_once(" {\n").expect(helper).1;
        assert!(body.trim_start().starts_with("guard::status(|| {"), "{helper} has no panic boundary");
    }
    for (name, doc, signature, body) in exports {
        assert!(
            signature.starts_with("pub extern \"C\" fn ") || signature.starts_with("pub unsafe extern \"C\" fn "),
            "{name} is not extern \"C\": {signature}"
        );
        assert!(signature.contains("unsafe") == doc.contains("# Safety"), "{name}: what must its caller see to?");
        let body = body.trim_start().trim_start_matches("// SAFETY: contract of this function.").trim_start();
        let guarded = ["guard::", "simple(", "full(", "sync(", "unsafe {\n        full(", "unsafe {\n        sync("];
        assert!(
            guarded.iter().any(|start| body.trim_start_matches("unsafe { ").starts_with(start)),
            "{name} does not begin with the panic boundary: {body}"
        );
        assert!(doc.contains("Thread-safe"), "{name} does not say whether it is thread-safe");
        assert!(
            ["Does not block", "Never blocks", "Blocks ", "Waits "].iter().any(|word| doc.contains(word)),
            "{name}: does it block?"
        );
        let arguments = signature.split_once('(').expect("arguments").1.rsplit_once(')').expect("arguments").0;
        if signature.ends_with("-> target_status") {
            assert!(doc.contains("@return"), "{name} does not say what it returns");
        }
        for argument in arguments.split(',').map(str::trim).filter(|argument| !argument.is_empty()) {
            let (argument_name, kind) = argument.split_once(": ").expect("a type");
            let argument_name = argument_name.trim_start_matches("r#");
            assert!(doc.contains(&format!("@param {argument_name} ")), "{name} does not explain {argument_name}");
            assert!(
                !kind.contains('&') && kind != "bool" && !kind.contains("NonNull"),
                "{name}: C cannot give a {kind}"
            );
        }
    }
}
