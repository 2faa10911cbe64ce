//! Talking to the preloaded shim, `shim/faults.c`.

use std::ffi::CString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Sets a variable of the shim in this process.
pub fn set(name: &str, value: i64) {
    let name = CString::new(format!("fault_{name}")).expect("a name");
    // SAFETY: the name ends with a NUL.
    let variable = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) }.cast::<i64>();
    assert!(!variable.is_null(), "the shim is not preloaded");
    // SAFETY: the shim declares it as a 64-bit integer, and only reads it.
    unsafe { variable.write_volatile(value) };
}

/// Compiles the shim.
pub fn compile(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("shim/faults.c");
    let out = dir.join("faults.so");
    let status = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-O1"])
        .arg(source)
        .arg("-o")
        .arg(&out)
        .status()
        .expect("a C compiler");
    assert!(status.success(), "the shim does not compile");
    out
}
