//! The modules with loom's threads, locks and atomics.
#![allow(dead_code)] // the library uses more of them than the models

use loom as checker;

include!("modules.rs");
