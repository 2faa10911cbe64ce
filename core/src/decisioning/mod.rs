//! decisioning
