//! The committed header is what the sources say. `make header` rewrites it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test

use std::path::Path;

fn generate() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    // Sources are named instead of asking cargo, which would want its lock in the middle of a test run. The order of the
    // files is the order of the header.
    let order = ["status", "handle", "callback", "library", "client", "offers", "queue", "result", "attributes"];
    let mut builder = cbindgen::Builder::new().with_config(config);
    for name in order {
        builder = builder.with_src(root.join(format!("src/ffi/{name}.rs")));
    }
    let mut text = Vec::new();
    builder.generate().expect("bindings").write(&mut text);
    String::from_utf8(text).expect("UTF-8")
}

#[test]
fn header_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/target_sdk.h");
    let generated = generate();
    #[allow(clippy::disallowed_methods)]
    if std::env::var_os("TARGET_SDK_WRITE_HEADER").is_some() {
        std::fs::write(&path, &generated).expect("write the header");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    if committed != generated {
        let line = committed.lines().zip(generated.lines()).position(|(old, new)| old != new);
        panic!(
            "include/target_sdk.h is not what the sources say (first difference after line {line:?}): run `make header`"
        );
    }
}
