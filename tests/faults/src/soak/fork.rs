//! Children of a process with threads: they run another program, or ask for what is no longer theirs.

use crate::abi;

/// `fork` and `exec`; whether the child ended well.
pub fn exec() -> bool {
    let program = c"/bin/true";
    let arguments = [program.as_ptr(), std::ptr::null()];
    // SAFETY: nothing between fork and exec but exec.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::execv(program.as_ptr(), arguments.as_ptr());
            libc::_exit(127);
        }
        ended_well(child)
    }
}

/// `fork`; the child asks the library about an inherited client.
pub fn inherit(client: u64) -> bool {
    let api = abi::api();
    // SAFETY: the child calls a function that is documented for this, and leaves.
    unsafe {
        let child = libc::fork();
        if child == 0 {
            let mut state = 0;
            let status = (api.target_client_state)(client, &mut state);
            // The client may have been destroyed just before.
            let (bad_handle, forked) = (-4, -20);
            libc::_exit(if status == forked || status == bad_handle { 0 } else { 1 });
        }
        ended_well(child)
    }
}

/// # Safety
/// `child` is a process that this thread has just made.
unsafe fn ended_well(child: i32) -> bool {
    if child < 0 {
        return false;
    }
    let mut status = 0;
    // SAFETY: valid for writing.
    unsafe {
        libc::waitpid(child, &mut status, 0) == child && libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
    }
}
