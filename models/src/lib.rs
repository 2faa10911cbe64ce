//! Model checks of what several threads of the library use at once.
//!
//! The modules under test are the files of `../src/runtime` themselves, included here with another `sync`: loom's, which goes
//! through every order of steps of two or three threads and through what weak memory allows, and shuttle's, which tries
//! random orders of more threads and longer stories. Each test fails on a broken promise, a deadlock or a lost wake-up.

pub mod with_loom;
pub mod with_shuttle;
