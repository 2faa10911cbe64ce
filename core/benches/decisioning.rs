//! What on-device decisions cost: `cargo bench -p target-sdk-core --bench decisioning`.
//!
//! Prints the best of several rounds for each kind of decision, and time and memory of compiling a large artifact.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a program for developers

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use target_sdk_core::decisioning::{Input, Ruleset, TraceSource, decide};
use target_sdk_core::env::{Random, SystemRandom};
use target_sdk_core::json::{self, Limits};

/// Ids that cost nothing, to see the decision alone.
struct Fixed;

impl Random for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

const AGENT: &str = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36";

fn rule(out: &mut String, mbox: &str, activity: usize, from: u32, to: u32, padding: usize) {
    let _ = write!(
        out,
        r#"{{"ruleKey":"{activity}-0","activityId":{activity},"propertyTokens":[],"condition":{{"and":[
        {{"and":[{{"<":[{from},{{"var":"allocation"}}]}},{{">=":[{to},{{"var":"allocation"}}]}}]}},
        {{"and":[{{"==":["chrome",{{"var":"user.browserType"}}]}},{{"in":["shop",{{"var":"page.path_lc"}}]}},{{"==":["example.com",{{"var":"page.domain"}}]}}]}},
        {{"or":[{{"==":["gold",{{"var":"mbox.tier_lc"}}]}},{{"==":["silver",{{"var":"mbox.tier_lc"}}]}}]}}]}},
        "consequence":{{"name":"{mbox}","options":[{{"type":"html","eventToken":"qZ5VkG0sTLcZZ9fAhUrj7WqipfsIHvVzTQxHolz2IpSCnQ9Y9OaLL2gsdrWQTvE5=","content":"<div class=\"hero\">Hello ${{user}}, this is ${{activity.name}}{}</div>"}}],"metrics":[{{"type":"click","selector":"A.buy","eventToken":"x0ltdElF/V7FU72UKn8wYg=="}}]}},
        "meta":{{"activity.id":{activity},"activity.name":"Activity {activity}","activity.type":"ab","experience.id":0,"experience.name":"Experience A","location.id":0,"location.name":"{mbox}","location.type":"mbox","audience.ids":[1,2],"offer.id":{activity},"option.id":2,"option.name":"Offer2"}}}}"#,
        "x".repeat(padding)
    );
}

/// `mboxes` A/B activities of two experiences each.
fn artifact(mboxes: usize, padding: usize) -> String {
    let mut out = String::from(
        r#"{"version":"1.0.0","globalMbox":"target-global-mbox","geoTargetingEnabled":false,"responseTokens":["activity.id","activity.name","experience.id","experience.name","geo.city"],"remoteMboxes":[],"remoteViews":[],"localViews":[],"localMboxes":["#,
    );
    for n in 0..mboxes {
        let _ = write!(out, "{}\"mbox-{n}\"", if n > 0 { "," } else { "" });
    }
    out.push_str(r#"],"meta":{"clientCode":"acme"},"rules":{"views":{},"mboxes":{"#);
    for n in 0..mboxes {
        let name = format!("mbox-{n}");
        let _ = write!(out, "{}\"{name}\":[", if n > 0 { "," } else { "" });
        rule(&mut out, &name, 100_000 + n, 0, 50, padding);
        out.push(',');
        rule(&mut out, &name, 100_000 + n, 50, 100, padding);
        out.push(']');
    }
    out.push_str("}}}");
    out
}

fn request(mode: &str, mbox: &str) -> String {
    format!(
        r#"{{"requestId":"r-1","id":{{"tntId":"338e3c1e51f7416a8e1ccba4f81acea0.28_0"}},"context":{{"channel":"web","userAgent":"{AGENT}","address":{{"url":"https://www.Example.com/Shop/shoes?size=42#top","referringUrl":"https://search.test/"}},"geo":{{"city":"BERN"}}}},"{mode}":{{"mboxes":[{{"name":"{mbox}","index":0,"parameters":{{"user":"Bob","page":"shoes","size":"42","tier":"Gold","cart.total":"99"}}}}]}}}}"#
    )
}

/// Best nanoseconds per call of several rounds.
fn best(mut call: impl FnMut()) -> f64 {
    let mut calls = 1_u32;
    loop {
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        if started.elapsed() > Duration::from_millis(50) {
            break;
        }
        calls = calls.saturating_mul(2);
    }
    let rounds = (0..8).map(|_| {
        let started = Instant::now();
        (0..calls).for_each(|_| call());
        started.elapsed().as_nanos() as f64 / f64::from(calls)
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn report(what: &str, rules: &Ruleset, request: &str, random: &dyn Random) {
    let parsed = json::parse(request, &Limits::OPTIONS).unwrap();
    let input = Input {
        client: "acme",
        request: parsed.as_object().unwrap(),
        session_id: "s",
        location_hint: None,
        now_ms: 1_614_036_374_000,
        random,
        all_matching_rules_mboxes: &[],
        trace: TraceSource::default(),
    };
    let first = decide(rules, &input);
    let ns = best(|| {
        black_box(decide(rules, black_box(&input)));
    });
    println!("{what:<58} {ns:>8.0} ns   {} bytes", first.response.len());
}

/// Resident memory in kB, where the system tells.
fn memory(field: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix(field)?.split_whitespace().nth(1)?.parse().ok())
}

fn main() {
    // An argument of one's own, for profilers: only decisions whose description holds it.
    let only = std::env::args().nth(1).filter(|argument| !argument.starts_with("--"));
    if let Some(only) = only {
        let rules = Ruleset::compile(&artifact(1, 24)).unwrap();
        return small(&rules, &only);
    }
    // First of all, while the memory of the process is not fragmented yet.
    let text = artifact(5_000, 24);
    let before = memory("VmRSS");
    let started = Instant::now();
    let large = Ruleset::compile(&text).unwrap();
    let elapsed = started.elapsed();
    let (after, peak) = (memory("VmRSS"), memory("VmHWM"));
    println!("compile {} rules, {:.1} MB: {:.0} ms", 10_000, text.len() as f64 / 1e6, elapsed.as_secs_f64() * 1e3);
    if let (Some(before), Some(after), Some(peak)) = (before, after, peak) {
        let size = text.len() as f64 / 1024.0;
        println!(
            "memory of the rules: {:.2} x the text, {:.2} x while compiling",
            after.saturating_sub(before) as f64 / size,
            peak.saturating_sub(before) as f64 / size
        );
    }
    let best_compile = best(|| {
        black_box(Ruleset::compile(&text).unwrap());
    });
    println!("compile again: {:.0} ms", best_compile / 1e6);

    report("prefetch in an artifact of 10,000 rules", &large, &request("prefetch", "mbox-2500"), &Fixed);
    small(&Ruleset::compile(&artifact(1, 24)).unwrap(), "");
}

fn small(rules: &Ruleset, only: &str) {
    for (what, mode, mbox, random) in [
        ("prefetch, one A/B mbox: agent, URL, parameters", "prefetch", "mbox-0", &Fixed as &dyn Random),
        ("execute, one A/B mbox, with notification", "execute", "mbox-0", &Fixed),
        ("execute with the system's randomness", "execute", "mbox-0", &SystemRandom),
        ("an mbox without rules", "prefetch", "none", &Fixed),
    ] {
        if what.contains(only) {
            report(what, rules, &request(mode, mbox), random);
        }
    }
}
