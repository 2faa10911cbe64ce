//! An async Adobe Target client: server-side delivery, on-device decisioning, and the hybrid of both.
//!
//! The C library `target-sdk` is a thin layer over this crate. Rust programs may use it directly: a [`client::Client`]
//! is made from the JSON configuration of the C API and an [`env::Environment`] (a tokio runtime handle, a clock, a
//! random source, a place for events). JSON goes in and comes out, as in the Delivery API.
#![forbid(unsafe_code)]

pub mod client;
pub mod config;
pub mod decisioning;
pub mod env;
pub mod error;
pub mod json;
pub mod transport;

pub mod artifact;
pub mod attributes;
pub mod cookies;
pub mod delivery;
pub mod envelope;
pub mod telemetry;
pub mod visitor;

mod date;
mod excerpt;
mod number;
mod opaque;
mod suggest;

// Fuzz targets are tests, too; they name this crate as others do.
#[cfg(test)]
extern crate self as target_sdk_core;
#[cfg(any(fuzzing, test))]
#[doc(hidden)]
pub mod fuzzing;
