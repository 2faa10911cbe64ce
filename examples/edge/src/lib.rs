//! A local Adobe Target edge for development and tests: the Delivery API, the CDN of rules artifacts and the geo
//! look-up on 127.0.0.1, with faults on demand. Nothing in it talks to Adobe.
//!
//! The command `target-edge` is a thin layer over [`Edge`], which tests may also start in their own process.
#![forbid(unsafe_code)]

mod artifact;
mod connection;
mod debug;
pub mod decider;
mod delivery;
mod dispatch;
mod engine;
pub mod fault;
mod geo;
mod http;
mod misbehave;
mod offers;
pub mod options;
mod record;
mod server;
mod state;
mod stop;
mod tls;
mod validate;
mod watched;

pub use server::Edge;
pub use stop::Stop;
