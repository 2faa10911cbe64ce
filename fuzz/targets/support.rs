//! What targets share: reading the input piece by piece, and randomness that is the same every time.

use std::sync::atomic::{AtomicU64, Ordering};

use target_sdk_core::env::Random;
use target_sdk_core::error::Error;

/// When everything happens: Tue, 14 Nov 2023 22:13:20 GMT.
pub(crate) const NOW_MS: i64 = 1_700_000_000_000;

/// The input of a run. Where it has ended, it goes on with zeros.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    /// Up to `len` bytes.
    pub(crate) fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// An input that begins with a digit, to choose by, and goes on with text.
pub(crate) fn digit_and_text(data: &[u8]) -> Option<(u8, &str)> {
    let (first, rest) = data.split_first()?;
    Some((first.wrapping_sub(b'0'), std::str::from_utf8(rest).ok()?))
}

/// The same bytes in every run.
pub(crate) struct Repeatable(AtomicU64);

impl Repeatable {
    pub(crate) fn new() -> Repeatable {
        Repeatable(AtomicU64::new(1))
    }
}

impl Random for Repeatable {
    fn fill(&self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = (self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed) >> 56) as u8;
        }
    }
}

/// An error is a JSON document, and its path a JSON pointer.
pub(crate) fn check_error(error: &Error) {
    let json: serde_json::Value = serde_json::from_str(&error.to_json(-1, "TARGET_E")).expect("error document");
    assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
    if let Some(path) = error.path() {
        assert!(path.is_empty() || path.starts_with('/'), "{path:?}");
    }
}

/// The document as serde_json reads it.
pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
}
