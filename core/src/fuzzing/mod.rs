//! What fuzz targets need of the insides. Not part of the API: exists only in builds for fuzzing and in tests.

pub use crate::artifact::fuzzing as artifact;
pub use crate::decisioning::fuzzing as decisioning;
pub use crate::transport::fuzzing as transport;

#[cfg(test)]
mod corpus;
