//! decisioning
#![allow(dead_code)]
mod coerce;
mod logic;
mod value;
