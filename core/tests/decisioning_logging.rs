//! A rule that cannot be evaluated is reported once for each artifact, by its key and without anything about visitors.
#![allow(clippy::unwrap_used, clippy::panic)] // all of this is a test

mod decisioning_support;

use std::sync::Mutex;

use decisioning_support::{Setting, decide_with, parse};
use target_sdk_core::decisioning::{Decision, Ruleset};

struct Recorder(Mutex<Vec<String>>);

impl log::Log for Recorder {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        if record.target() == "target_sdk::decisioning" {
            self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
        }
    }

    fn flush(&self) {}
}

static RECORDER: Recorder = Recorder(Mutex::new(Vec::new()));

fn shared_between_threads<T: Send + Sync>() {}

#[test]
fn failing_rules_are_reported_once() {
    shared_between_threads::<Ruleset>();
    shared_between_threads::<Decision>();
    log::set_logger(&RECORDER).unwrap();
    log::set_max_level(log::LevelFilter::Trace);
    let artifact = r#"{"version":"1.0.0","rules":{"mboxes":{"m":[
        {"ruleKey":"7-0","condition":{"nope":[1]}},{"ruleKey":"8-0","condition":{"*":[]}},{"ruleKey":"9-0","condition":true,"consequence":{"name":"m"}}]}}}"#;
    let request = parse(
        r#"{"id":{"tntId":"secret-visitor"},"context":{"address":{"url":"https://a.example/?secret=1"}},
            "execute":{"mboxes":[{"name":"m","parameters":{"secret":"secret","a":"secret","a.b":"secret"}}]}}"#,
    );
    for _ in 0..2 {
        let rules = Ruleset::compile(artifact).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let decision = decide_with(&rules, &request, &Setting::default());
                    assert!(decision.response.contains(r#"{"name":"m","options":[]}"#), "{}", decision.response);
                });
            }
        });
    }
    let log = RECORDER.0.lock().unwrap();
    let warnings: Vec<_> = log.iter().filter(|line| line.starts_with("WARN")).collect();
    assert_eq!(warnings.len(), 2, "{log:?}"); // one for each of two rulesets
    assert!(warnings.iter().all(|line| line.contains("\"7-0\"") && line.contains("Unrecognized operation nope")));
    let conflicts = log.iter().filter(|line| line.starts_with("DEBUG")).count();
    assert_eq!(conflicts, 8, "{log:?}");
    assert!(log.iter().all(|line| !line.contains("secret")), "{log:?}");
}
