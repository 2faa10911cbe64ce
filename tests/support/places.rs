//! Locales and time zones in which everything must be the same.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Where a program may be run.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) locale: &'static str,
    pub(crate) zone: &'static str,
}

/// Every locale with every time zone; first the plain ones.
pub(crate) fn all() -> Vec<Place> {
    let mut locales = vec!["C"];
    for name in ["tr_TR", "de_DE"] {
        if make_locale(name) {
            locales.push(name);
        } else {
            eprintln!("SKIPPED: locale {name}: this needs localedef and its sources (package locales)");
        }
    }
    let zones = ["UTC", "Asia/Kolkata", "America/St_Johns", "Pacific/Kiritimati"];
    locales.iter().flat_map(|locale| zones.map(|zone| Place { locale, zone })).collect()
}

/// Where locales are made (`LOCPATH`), once for many runs, from the sources that the C library's package has.
pub(crate) fn locale_dir() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("locales")
}

fn make_locale(name: &str) -> bool {
    let kept = locale_dir().join(name);
    if kept.exists() {
        return true;
    }
    std::fs::create_dir_all(locale_dir()).expect("directory for locales");
    let made = locale_dir().join(format!("{name}.{}", std::process::id()));
    let output = Command::new("localedef").args(["-c", "-i", name, "-f", "UTF-8"]).arg(&made).output();
    // Another run may have been first.
    output.is_ok_and(|output| output.status.success()) && (std::fs::rename(&made, &kept).is_ok() || kept.exists())
}
