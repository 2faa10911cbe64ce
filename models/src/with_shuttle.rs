//! The modules with shuttle's threads, locks and atomics.
#![allow(dead_code)] // the library uses more of them than the models

use shuttle as checker;

include!("modules.rs");
