//! The conformance cases that Adobe's SDKs share, end to end: a C program, the artifact over HTTP from the local edge, the
//! wall clock frozen from outside.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::disallowed_methods)] // a test

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use places::Place;
use serde_json::{Map, Value, json};

#[path = "support/places.rs"]
mod places;

fn shared() -> Option<PathBuf> {
    let path = std::env::var_os("TARGET_SDK_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared"), PathBuf::from)
        .join("conformance");
    path.is_dir().then_some(path)
}

/// Where cargo puts what it builds: the directory above this test's own.
fn built() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf()
}

fn compile(arguments: &[&str]) {
    let status =
        Command::new("cc").args(["-std=c99", "-Wall", "-Wextra", "-Werror"]).args(arguments).status().expect("cc");
    assert!(status.success(), "cc {arguments:?}");
}

/// The local edge, ended with the test.
struct Edge {
    process: Child,
    address: String,
}

impl Edge {
    fn start(artifact: &Path) -> Edge {
        let mut process = Command::new(built().join("target-edge"))
            .args(["--port", "0", "--exit-with-parent", "--artifact"])
            .arg(artifact)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("target-edge: build the workspace first");
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit("http://").next().unwrap().to_owned();
        assert!(address.contains(':'), "unexpected greeting of the edge: {line}");
        Edge { process, address }
    }

    fn ask(&self, method: &str, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "{method} {path} HTTP/1.0\r\nhost: edge\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{answer}")).1.to_owned()
    }
}

impl Drop for Edge {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Answers each geo look-up with the case's own document.
struct Geo {
    address: String,
    answer: Arc<Mutex<String>>,
}

impl Geo {
    fn start() -> Geo {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let answer = Arc::new(Mutex::new(String::new()));
        let current = answer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                let mut head = String::new();
                while reader.read_line(&mut line).unwrap_or(0) > 2 {
                    head.push_str(&line);
                    line.clear();
                }
                assert!(head.starts_with("GET /v1/geo HTTP/1.1\r\n"), "{head}");
                let body = current.lock().unwrap().clone();
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
                    body.len()
                );
            }
        });
        Geo { address, answer }
    }
}

/// `expected` is a subset of `actual`: see the README of the conformance data.
fn subset(path: &str, expected: &Value, actual: &Value, differences: &mut Vec<String>) {
    match (expected, actual) {
        (Value::String(text), _) if text.starts_with("expect.any(") => {
            let fits = match text.as_str() {
                "expect.any(Object)" => actual.is_object(),
                "expect.any(String)" => actual.is_string(),
                "expect.any(Number)" => actual.is_number(),
                _ => false,
            };
            if !fits {
                differences.push(format!("{path}: {text} does not match {actual}"));
            }
        }
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, value) in expected {
                subset(&format!("{path}/{key}"), value, actual.get(key).unwrap_or(&Value::Null), differences);
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (at, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                subset(&format!("{path}/{at}"), expected, actual, differences);
            }
        }
        (Value::Number(expected), Value::Number(actual)) if expected.as_f64() == actual.as_f64() => {}
        _ if expected == actual => {}
        _ => differences.push(format!("{path}: expected {expected}, got {actual}")),
    }
}

/// Milliseconds since the epoch of a `mockDate`.
fn frozen_ms(date: &Value) -> i64 {
    let part = |name: &str| date[name].as_i64().unwrap_or(0);
    // Days from civil, for the proleptic Gregorian calendar.
    let (mut year, month) = (part("year"), part("month") + 1);
    if month <= 2 {
        year -= 1;
    }
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + part("date") - 1;
    let days = era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468;
    ((days * 24 + part("hours")) * 60 + part("minutes")) * 60_000 + part("seconds") * 1000
}

struct Programs {
    decide: PathBuf,
    clock: PathBuf,
    folder: PathBuf,
    place: Place,
}

fn run_case(programs: &Programs, geo: &Geo, artifacts: &Path, suite: &Value, case: &Value) -> Vec<String> {
    let member = |name: &str| case.get(name).or_else(|| suite.get(name)).cloned().unwrap_or(Value::Null);
    let artifact = artifacts.join(format!("{}.json", member("artifact").as_str().expect("an artifact")));
    let edge = Edge::start(&artifact);
    let mut config: Map<String, Value> = member("conf").as_object().cloned().unwrap_or_default();
    let client = config.get("client").and_then(Value::as_str).unwrap_or("someClientId").to_owned();
    for (key, value) in [
        ("decisioningMethod", json!("on-device")),
        ("serverDomain", json!(edge.address)),
        ("pinServerDomain", json!(true)),
        ("secure", json!(false)),
        ("cdnBasePath", json!(format!("http://{}", geo.address))),
        ("artifactLocation", json!(format!("http://{}/{client}/production/v1/rules.json", edge.address))),
    ] {
        config.insert(key.to_owned(), value);
    }
    *geo.answer.lock().unwrap() = case.get("mockGeo").map_or_else(|| "{}".to_owned(), Value::to_string);
    let config_file = programs.folder.join("config.json");
    let options_file = programs.folder.join("options.json");
    fs::write(&config_file, Value::Object(config).to_string()).unwrap();
    fs::write(&options_file, case["input"].to_string()).unwrap();
    let mut command = Command::new(&programs.decide);
    command.arg(&config_file).arg(&options_file).env("LD_LIBRARY_PATH", built());
    command.env("LOCPATH", places::locale_dir()).env("LC_ALL", programs.place.locale).env("TZ", programs.place.zone);
    if let Some(date) = case.get("mockDate") {
        command.env("LD_PRELOAD", &programs.clock).env("FROZEN_MS", frozen_ms(date).to_string());
    }
    let output = command.output().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    let Ok(envelope) = serde_json::from_slice::<Value>(&output.stdout) else {
        return vec![format!("no document on standard output ({}): {log}", output.status)];
    };
    let mut differences = Vec::new();
    if !output.status.success() {
        return vec![format!("{}: {envelope}\n{log}", output.status)];
    }
    if let Some(expected) = case.get("output") {
        subset("", expected, &envelope["response"], &mut differences);
    }
    if let Some(expected) = case.get("notificationOutput") {
        let received: Value = serde_json::from_str(&edge.ask("GET", "/debug/received")).unwrap();
        let bodies: Vec<Value> = received
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| entry["path"].as_str().is_some_and(|path| path.starts_with("/rest/v1/delivery")))
            .map(|entry| match &entry["body"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                body => body.clone(),
            })
            .collect();
        match (expected, bodies.as_slice()) {
            (Value::Null, []) => {}
            // Telemetry may travel; notifications may not.
            (Value::Null, sent) => {
                let told: Vec<_> = sent.iter().filter(|body| body.get("notifications").is_some()).collect();
                if !told.is_empty() {
                    differences.push(format!("nothing may be sent, but {told:?} was"));
                }
            }
            (expected, sent) => {
                // What the decision caused, among what a start-up ping may have sent.
                let attempts: Vec<Vec<String>> = sent
                    .iter()
                    .map(|body| {
                        let mut differences = Vec::new();
                        subset("/request", &expected["request"], body, &mut differences);
                        differences
                    })
                    .collect();
                if !attempts.iter().any(Vec::is_empty) {
                    differences.push(format!("no request is {expected}: {attempts:?}"));
                }
            }
        }
    }
    differences
}

#[test]
fn conformance_cases_through_the_c_api() {
    let Some(data) = shared() else {
        println!("SKIPPED: the conformance data is not at ../shared/conformance (or TARGET_SDK_SHARED)");
        return;
    };
    let folder = built().join("conformance-work");
    fs::create_dir_all(&folder).unwrap();
    // Programs ask for the library by its soname, which cargo does not make.
    let soname = built().join("libtarget_sdk.so.0");
    if !soname.exists() {
        let made = std::os::unix::fs::symlink("libtarget_sdk.so", &soname);
        assert!(made.is_ok() || soname.exists(), "{made:?}"); // another test may have been first
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let mut programs = Programs {
        decide: folder.join("decide"),
        clock: folder.join("frozen_clock.so"),
        folder,
        place: Place { locale: "C", zone: "UTC" },
    };
    compile(&[
        &path(&root.join("tests/e2e/decide.c")),
        "-o",
        &path(&programs.decide),
        &format!("-I{}", path(&root.join("include"))),
        &format!("-L{}", path(&built())),
        "-ltarget_sdk",
    ]);
    compile(&["-shared", "-fPIC", &path(&root.join("tests/e2e/frozen_clock.c")), "-o", &path(&programs.clock)]);
    let geo = Geo::start();
    let mut suites: Vec<_> = fs::read_dir(data.join("suites")).unwrap().map(|entry| entry.unwrap().path()).collect();
    suites.sort();
    for place in places::all() {
        programs.place = place;
        let passed = run_suites(&programs, &geo, &data, &suites);
        println!("conformance through the C API, locale {}, time zone {}: {passed} passed", place.locale, place.zone);
        assert!(passed >= 39, "only {passed} cases ran");
    }
}

/// How many cases passed: all there are.
fn run_suites(programs: &Programs, geo: &Geo, data: &Path, suites: &[PathBuf]) -> usize {
    let (mut passed, mut failures) = (0, Vec::new());
    for suite_path in suites {
        let suite: Value = serde_json::from_str(&fs::read_to_string(suite_path).unwrap()).unwrap();
        for (name, case) in suite["test"].as_object().unwrap() {
            let differences = run_case(programs, geo, &data.join("artifacts"), &suite, case);
            if differences.is_empty() {
                passed += 1;
            } else {
                let suite = suite_path.file_stem().unwrap().to_string_lossy();
                failures.push(format!("{suite}/{name}:\n  {}", differences.join("\n  ")));
            }
        }
    }
    let Place { locale, zone } = programs.place;
    assert!(failures.is_empty(), "{locale}, {zone}: {}", failures.join("\n"));
    passed
}

#[test]
fn dates_are_utc() {
    assert_eq!(frozen_ms(&json!({"year": 2020, "month": 2, "date": 25, "hours": 1, "minutes": 5})), 1_585_098_300_000);
    assert_eq!(frozen_ms(&json!({"year": 1970, "month": 0, "date": 1})), 0);
}
