//! The fuzz targets over what earlier runs found interesting.

use std::path::Path;

/// Runs a target over its part of the corpus: it must hold for every file, and there must be some.
fn replay(name: &str, run: fn(&[u8])) {
    let dir = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../fuzz/corpus")).join(name);
    let mut files = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        if std::panic::catch_unwind(|| run(&bytes)).is_err() {
            panic!("{} fails, see above", path.display());
        }
        files += 1;
    }
    assert!(files > 0, "{} is empty", dir.display());
}

#[path = "../../../fuzz/targets/support.rs"]
mod support;

macro_rules! targets {
    ($($name:ident $path:literal)*) => {$(
        #[path = $path]
        mod $name;

        #[test]
        fn $name() {
            replay(stringify!($name), $name::run);
        }
    )*};
}

targets! {
    artifact_json "../../../fuzz/targets/artifact_json.rs"
    call_json "../../../fuzz/targets/call_json.rs"
    cookie "../../../fuzz/targets/cookie.rs"
    evaluator "../../../fuzz/targets/evaluator.rs"
    gzip_stream "../../../fuzz/targets/gzip_stream.rs"
    http_date_retry_after "../../../fuzz/targets/http_date_retry_after.rs"
    options_json "../../../fuzz/targets/options_json.rs"
    response_json "../../../fuzz/targets/response_json.rs"
    url_policy "../../../fuzz/targets/url_policy.rs"
}
