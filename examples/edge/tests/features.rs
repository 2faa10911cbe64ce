//! What the edge asks of the crates that it shares with the library.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::process::Command;

/// Cargo unifies features: what one package of a workspace build enables, the runtime inside the shared library has, too.
/// Signals and child processes would give it a driver that belongs to the whole process.
#[test]
fn no_package_enables_drivers_that_belong_to_the_process() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--workspace", "--edges", "features,normal,dev,build", "--invert", "tokio"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let tree = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let enabled = |name: &str| tree.contains(&format!("tokio feature \"{name}\""));
    assert!(enabled("net") && enabled("time"), "the tree is another one than expected:\n{tree}");
    for feature in ["signal", "process", "full"] {
        assert!(!enabled(feature), "somebody enables tokio's `{feature}`:\n{tree}");
    }
}
