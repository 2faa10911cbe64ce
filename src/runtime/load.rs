//! What is done once for the process is done when the library is loaded, and not under a `Once` when it is first used: a child
//! that was forked while another thread is inside a `Once` would wait for that thread, which it does not have, for ever.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{fork, log, panics};

static LOADED: AtomicBool = AtomicBool::new(false);

extern "C" fn at_load() {
    if !LOADED.swap(true, Ordering::SeqCst) {
        fork::watch();
        log::install_facade();
        panics::watch();
    }
}

#[used]
#[cfg_attr(target_vendor = "apple", unsafe(link_section = "__DATA,__mod_init_func"))]
#[cfg_attr(not(target_vendor = "apple"), unsafe(link_section = ".init_array"))]
static AT_LOAD: extern "C" fn() = at_load;

/// Linkers take from an archive what is used: whoever relies on [`at_load`] uses it here. A loader that does not run it has it
/// run late.
pub(super) fn required() {
    std::hint::black_box(&AT_LOAD);
    if !LOADED.load(Ordering::Acquire) {
        at_load();
    }
}
