//! `docs/faults.md`, made of the table.

use std::fmt::Write;
use std::path::Path;

use crate::payload::Subject;
use crate::table::{Expect, GROUPS, OK, Row, rows};

const INTRODUCTION: &str = include_str!("introduction.md");

pub fn text() -> String {
    let rows = rows();
    let mut out = INTRODUCTION.trim_end().to_owned() + "\n";
    for (group, title) in GROUPS {
        let _ = write!(
            out,
            "\n## {title}\n\n| the server, or the network | calls | artifact | test |\n| --- | --- | --- | --- |\n"
        );
        for row in rows.iter().filter(|row| row.group == group) {
            let calls = calls(row);
            let artifact = row.artifact.as_ref().map_or(String::new(), artifact);
            let _ = writeln!(out, "| {} | {calls} | {artifact} | {} |", row.what, row.name);
        }
    }
    out
}

fn calls(row: &Row) -> String {
    match (row.expect(Subject::Delivery), row.expect(Subject::Notifications)) {
        (Some(expect), _) | (None, Some(expect)) => call(expect),
        (None, None) => String::new(),
    }
}

fn call(expect: &Expect) -> String {
    let asked = times(expect.attempts);
    if expect.status == OK {
        return if expect.attempts == (1, 1) { "success".to_owned() } else { format!("success, {asked}") };
    }
    let mut out = format!("`{}`", short(expect.status));
    if let Some(other) = expect.or {
        let _ = write!(out, " or `{}`", short(other));
    }
    if let Some(status) = expect.http {
        let _ = write!(out, " {status}");
    }
    if let Some(phase) = expect.phase {
        let _ = write!(out, " in `{phase}`");
    }
    if expect.at_deadline {
        out.push_str(", at the deadline");
    }
    if expect.attempts != (1, 1) {
        let _ = write!(out, ", {asked}");
    }
    out
}

fn artifact(expect: &Expect) -> String {
    let asked = times(expect.attempts);
    let mut out = match expect.status {
        OK => "taken".to_owned(),
        status => format!("`{}`", short(status)),
    };
    if let Some(other) = expect.or {
        let _ = write!(out, " or `{}`", short(other));
    }
    if expect.attempts != (1, 1) {
        let _ = write!(out, ", {asked}");
    }
    out
}

fn times((least, most): (u32, u32)) -> String {
    match (least, most) {
        (1, 1) => "1 attempt".to_owned(),
        _ if least == most => format!("{most} attempts"),
        _ => format!("{least} to {most} attempts"),
    }
}

fn short(status: &str) -> &str {
    status.strip_prefix("TARGET_E_").unwrap_or(status)
}

/// Whether the file says something else.
pub fn is_stale() -> bool {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/faults.md");
    std::fs::read_to_string(path).ok().as_deref() != Some(text().as_str())
}
