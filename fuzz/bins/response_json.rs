#![no_main]

#[path = "../targets/support.rs"]
#[allow(dead_code)]
mod support;
#[path = "../targets/response_json.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::run(data));
