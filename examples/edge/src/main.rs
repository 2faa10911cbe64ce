//! A local Adobe Target edge.
fn main() {}
