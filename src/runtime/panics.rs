//! Panics are bugs of this library, and stay inside: no word of them on the host's standard error, no look into its environment
//! for `RUST_BACKTRACE`, both of which the standard library's own hook would do. They are told by a log record.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};

thread_local! {
    static HERE: Cell<Where> = const { Cell::new(Where::Host) };
    static LAST: Cell<Option<String>> = const { Cell::new(None) };
}

/// Whose code a thread is in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Where {
    Host,
    /// Inside [`contain`], which tells of the panic once all locks are gone.
    Contained,
    /// On a thread of the library, whose panics nobody else tells of.
    OwnThread,
}

/// This thread is in code of `place` until what is returned is dropped.
pub(crate) fn enter(place: Where) -> Entered {
    Entered(HERE.try_with(|here| here.replace(place)).unwrap_or(Where::Host))
}

pub(crate) struct Entered(Where);

impl Drop for Entered {
    fn drop(&mut self) {
        let _ = HERE.try_with(|here| here.set(self.0));
    }
}

/// Runs `body`; where it panics, says what happened. What is dropped meanwhile is dropped before that is logged.
pub(crate) fn contain<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    let _inside = enter(Where::Contained);
    catch_unwind(AssertUnwindSafe(body)).map_err(|payload| {
        // Dropping a panic's payload may panic; this one has had its chance.
        std::mem::forget(payload);
        LAST.try_with(Cell::take).ok().flatten().unwrap_or_else(|| "no message".to_owned())
    })
}

fn describe(info: &PanicHookInfo<'_>) -> String {
    let what = info.payload_as_str().unwrap_or("no message");
    info.location().map_or_else(|| what.to_owned(), |place| format!("{what} at {}:{}", place.file(), place.line()))
}

/// Called once, when the library is loaded. A Rust program that is linked with the archive may share the standard library with
/// it: panics of its own go where they went before.
pub(super) fn watch() {
    if cfg!(test) {
        return; // whose panics are for its runner
    }
    let before = take_hook();
    set_hook(Box::new(move |info| match HERE.try_with(Cell::get).unwrap_or(Where::Host) {
        Where::Host => before(info),
        Where::Contained => {
            let _ = LAST.try_with(|last| last.set(Some(describe(info))));
        }
        Where::OwnThread => {
            ::log::error!(target: "target_sdk::runtime", "a bug in target-sdk: panicked: {}", describe(info));
        }
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_are_contained_and_places_nest() {
        assert_eq!(contain(|| 7), Ok(7));
        // Under the test's own hook, which keeps no message.
        assert_eq!(contain(|| -> u8 { panic!("contained") }), Err("no message".to_owned()));
        let outer = enter(Where::OwnThread);
        drop(enter(Where::Host));
        assert!(HERE.get() == Where::OwnThread);
        drop(outer);
        assert!(HERE.get() == Where::Host);
    }
}
