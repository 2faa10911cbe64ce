//! The C ABI of target-sdk: `include/target_sdk.h` is generated from this package.
//!
//! `ffi` validates, converts and delegates; `runtime` owns threads and everything that has to do with the host process;
//! what Adobe Target means is in `target-sdk-core`. All unsafe code of the project is in this package.

pub mod ffi;
mod runtime;
