//! The library as a host sees it: opened at run time, called through its exported functions.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::Value;

pub type Status = i32;
pub type DoneFn = unsafe extern "C" fn(u64, u64, *mut c_void);
pub type FreeFn = unsafe extern "C" fn(*mut c_void);

pub const OK: Status = 0;
const KIND_EVENT: i32 = 1;
const KIND_LOG: i32 = 2;
const UNTIL_NUL: usize = usize::MAX;

/// `target_call`
#[repr(C)]
pub struct Call {
    size: u32,
    pub deadline_ms: u32,
    flags: u32,
    pub on_done: Option<DoneFn>,
    pub user_data: *mut c_void,
    pub release: Option<FreeFn>,
    pub queue: u64,
    pub tag: u64,
}

impl Call {
    fn new(deadline_ms: u32) -> Call {
        Call {
            size: size_of::<Call>() as u32,
            deadline_ms,
            flags: 0,
            on_done: None,
            user_data: std::ptr::null_mut(),
            release: None,
            queue: 0,
            tag: 0,
        }
    }

    /// Callback style.
    pub fn back(deadline_ms: u32, on_done: DoneFn, user_data: *mut c_void, release: FreeFn) -> Call {
        Call { on_done: Some(on_done), user_data, release: Some(release), ..Call::new(deadline_ms) }
    }

    pub fn into_queue(deadline_ms: u32, queue: Queue, tag: u64) -> Call {
        Call { queue: queue.0, tag, ..Call::new(deadline_ms) }
    }
}

/// `target_client_hooks`
#[repr(C)]
struct Hooks {
    size: u32,
    on_event: Option<unsafe extern "C" fn(u64, *const c_char, usize, *mut c_void)>,
    user_data: *mut c_void,
    release: Option<FreeFn>,
    queue: u64,
    tag: u64,
}

/// `target_completion`
#[repr(C)]
#[derive(Clone, Copy)]
pub struct RawCompletion {
    pub tag: u64,
    pub request: u64,
    pub result: u64,
    pub status: Status,
    pub kind: i32,
}

macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $result:ty)?;)*) => {
        /// Addresses of the exported functions.
        pub struct Api { $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $result)?,)* }

        impl Api {
            fn load(library: *mut c_void) -> Api {
                Api { $($name: {
                    let name = CString::new(stringify!($name)).expect("a name");
                    // SAFETY: `library` is open, and the name ends with a NUL.
                    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
                    assert!(!address.is_null(), "the library does not export {}", stringify!($name));
                    // SAFETY: the header declares the function with this type.
                    unsafe { std::mem::transmute::<*mut c_void, unsafe extern "C" fn($($argument),*) $(-> $result)?>(address) }
                },)* }
            }
        }
    };
}

functions! {
    target_status_name: fn(Status) -> *const c_char;
    target_init: fn(*const c_char, *mut u64) -> Status;
    target_shutdown: fn(u32) -> Status;
    target_set_log_queue: fn(u64, i32) -> Status;
    target_client_create: fn(*const c_char, usize, *const c_void, *mut u64, *mut u64) -> Status;
    target_client_state: fn(u64, *mut i32) -> Status;
    target_client_wait_ready: fn(u64, u32) -> Status;
    target_client_flush: fn(u64, u32, *mut u64) -> Status;
    target_client_stats: fn(u64, *mut u64) -> Status;
    target_client_close: fn(u64, u32, *mut u64) -> Status;
    target_client_destroy: fn(u64) -> Status;
    target_get_offers_ex: fn(u64, *const c_char, usize, *const Call, *mut u64) -> Status;
    target_get_offers_sync: fn(u64, *const c_char, usize, u32, *mut u64) -> Status;
    target_send_notifications_ex: fn(u64, *const c_char, usize, *const Call, *mut u64) -> Status;
    target_send_notifications_sync: fn(u64, *const c_char, usize, u32, *mut u64) -> Status;
    target_get_attributes_ex: fn(u64, *const c_char, usize, *const c_char, usize, *const Call, *mut u64) -> Status;
    target_request_cancel: fn(u64) -> Status;
    target_request_abandon: fn(u64) -> Status;
    target_queue_create: fn(*mut u64) -> Status;
    target_queue_poll: fn(u64, *mut RawCompletion, u32, i32) -> i32;
    target_queue_destroy: fn(u64) -> Status;
    target_result_status: fn(u64) -> Status;
    target_result_json: fn(u64, *mut *const c_char, *mut usize) -> Status;
    target_result_free: fn(u64) -> Status;
}

static API: OnceLock<Api> = OnceLock::new();

/// The library beside this program, unless TARGET_SDK_LIBRARY names another one.
pub fn library_path() -> PathBuf {
    match std::env::var_os("TARGET_SDK_LIBRARY") {
        Some(path) => path.into(),
        None => std::env::current_exe().expect("path of this program").with_file_name("libtarget_sdk.so"),
    }
}

/// The exported functions.
pub fn api() -> &'static Api {
    API.get_or_init(|| {
        let path = library_path();
        let text = CString::new(path.to_str().expect("a path in UTF-8")).expect("a path without NUL");
        // SAFETY: the path ends with a NUL.
        let library = unsafe { libc::dlopen(text.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "cannot open {}: build the library first", path.display());
        Api::load(library)
    })
}

/// `TARGET_E_NETWORK` and so on.
pub fn status_name(status: Status) -> String {
    // SAFETY: the name is static text.
    unsafe { CStr::from_ptr((api().target_status_name)(status)) }.to_string_lossy().into_owned()
}

/// Takes a result apart and frees it: its JSON text.
pub fn take_text(result: u64) -> String {
    if result == 0 {
        return "null".to_owned();
    }
    let (mut text, mut length) = (std::ptr::null(), 0);
    // SAFETY: both are valid for writing; the text lives until the result is freed, at the end.
    unsafe {
        assert_eq!((api().target_result_json)(result, &mut text, &mut length), OK);
        let bytes = std::slice::from_raw_parts(text.cast::<u8>(), length);
        let text = std::str::from_utf8(bytes).expect("results are UTF-8").to_owned();
        assert_eq!((api().target_result_free)(result), OK);
        text
    }
}

/// The same, parsed.
pub fn take(result: u64) -> Value {
    let text = take_text(result);
    match serde_json::from_str(&text) {
        Ok(value) => value,
        // Deeper than this parser goes; the text was the server's.
        Err(error) if error.to_string().contains("recursion limit") => serde_json::json!({"deep": text.len()}),
        Err(error) => panic!("a result is not JSON ({error}): {text:.300}"),
    }
}

/// Frees a result unread.
pub fn free(result: u64) {
    if result != 0 {
        // SAFETY: a number, whatever it is.
        assert_eq!(unsafe { (api().target_result_free)(result) }, OK);
    }
}

/// Status of a result, which stays whose it is.
pub fn status_of(result: u64) -> Status {
    // SAFETY: a number.
    unsafe { (api().target_result_status)(result) }
}

/// A completion queue.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Queue(pub u64);

impl Queue {
    pub fn new() -> Queue {
        let mut queue = 0;
        // SAFETY: valid for writing.
        assert_eq!(unsafe { (api().target_queue_create)(&mut queue) }, OK);
        Queue(queue)
    }

    /// Waits up to `timeout_ms` for completions; those of calls, events and logs come to the one who asks first.
    pub fn poll(self, max: usize, timeout_ms: i32) -> Vec<RawCompletion> {
        let empty = RawCompletion { tag: 0, request: 0, result: 0, status: 0, kind: 0 };
        let mut out = vec![empty; max];
        // SAFETY: room for `max`.
        let count = unsafe { (api().target_queue_poll)(self.0, out.as_mut_ptr(), max as u32, timeout_ms) };
        assert!(count >= 0, "poll: {}", status_name(count));
        out.truncate(count as usize);
        out
    }

    pub fn destroy(self) {
        // SAFETY: a number.
        assert_eq!(unsafe { (api().target_queue_destroy)(self.0) }, OK);
    }
}

impl RawCompletion {
    pub fn is_event(&self) -> bool {
        self.kind == KIND_EVENT
    }

    pub fn is_log(&self) -> bool {
        self.kind == KIND_LOG
    }
}

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    Offers,
    Notifications,
    Attributes,
}

/// A client.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Client(pub u64);

impl Client {
    /// `events`: where its events go, with which tag.
    pub fn create(config: &str, events: Option<(Queue, u64)>) -> Result<Client, Value> {
        let (mut client, mut error) = (0, 0);
        let hooks = events.map(|(queue, tag)| Hooks {
            size: size_of::<Hooks>() as u32,
            on_event: None,
            user_data: std::ptr::null_mut(),
            release: None,
            queue: queue.0,
            tag,
        });
        let hooks = hooks.as_ref().map_or(std::ptr::null(), |hooks| std::ptr::from_ref(hooks).cast());
        // SAFETY: text of that length; hooks as the header declares them; outputs valid for writing.
        let status = unsafe {
            (api().target_client_create)(config.as_ptr().cast(), config.len(), hooks, &mut client, &mut error)
        };
        if status == OK { Ok(Client(client)) } else { Err(take(error)) }
    }

    /// Submits; the request's handle, or why it was refused.
    ///
    /// # Safety
    /// `call` names valid functions, whose `user_data` lives as long as they may be called.
    pub unsafe fn submit(self, what: What, options: &str, call: &Call) -> Result<u64, Status> {
        let mut request = 0;
        let (text, length) = (options.as_ptr().cast(), options.len());
        // SAFETY: texts of their lengths; the caller answers for `call`.
        let status = unsafe {
            match what {
                What::Offers => (api().target_get_offers_ex)(self.0, text, length, call, &mut request),
                What::Notifications => (api().target_send_notifications_ex)(self.0, text, length, call, &mut request),
                What::Attributes => {
                    let names = c"[\"m\"]".as_ptr();
                    (api().target_get_attributes_ex)(self.0, names, UNTIL_NUL, text, length, call, &mut request)
                }
            }
        };
        if status == OK { Ok(request) } else { Err(status) }
    }

    /// Submits to a queue.
    pub fn submit_to(self, queue: Queue, tag: u64, what: What, options: &str, deadline_ms: u32) -> Result<u64, Status> {
        // SAFETY: there are no functions in it.
        unsafe { self.submit(what, options, &Call::into_queue(deadline_ms, queue, tag)) }
    }

    /// Asks and waits. `0` as a result: it could not be asked.
    pub fn sync(self, what: What, options: &str, deadline_ms: u32) -> (Status, u64) {
        let mut result = 0;
        let call = match what {
            What::Notifications => api().target_send_notifications_sync,
            _ => api().target_get_offers_sync,
        };
        // SAFETY: text of that length; output valid for writing.
        let status = unsafe { call(self.0, options.as_ptr().cast(), options.len(), deadline_ms, &mut result) };
        (status, result)
    }

    pub fn state(self) -> i32 {
        let mut state = -1;
        // SAFETY: valid for writing.
        assert_eq!(unsafe { (api().target_client_state)(self.0, &mut state) }, OK);
        state
    }

    pub fn wait_ready(self, timeout_ms: u32) -> Status {
        // SAFETY: a number.
        unsafe { (api().target_client_wait_ready)(self.0, timeout_ms) }
    }

    pub fn flush(self, timeout_ms: u32) -> (Status, Value) {
        let mut report = 0;
        // SAFETY: valid for writing.
        let status = unsafe { (api().target_client_flush)(self.0, timeout_ms, &mut report) };
        (status, take(report))
    }

    pub fn stats(self) -> Value {
        let mut out = 0;
        // SAFETY: valid for writing.
        assert_eq!(unsafe { (api().target_client_stats)(self.0, &mut out) }, OK);
        take(out)
    }

    pub fn close(self, drain_ms: u32) -> (Status, Value) {
        let mut report = 0;
        // SAFETY: valid for writing.
        let status = unsafe { (api().target_client_close)(self.0, drain_ms, &mut report) };
        (status, take(report))
    }

    pub fn destroy(self) -> Status {
        // SAFETY: a number.
        unsafe { (api().target_client_destroy)(self.0) }
    }
}

pub fn cancel(request: u64) -> Status {
    // SAFETY: a number.
    unsafe { (api().target_request_cancel)(request) }
}

pub fn abandon(request: u64) -> Status {
    // SAFETY: a number.
    unsafe { (api().target_request_abandon)(request) }
}

pub fn init() {
    // SAFETY: text, and no output.
    assert_eq!(unsafe { (api().target_init)(c"{}".as_ptr(), std::ptr::null_mut()) }, OK);
}

pub fn shutdown(timeout_ms: u32) -> Status {
    // SAFETY: a number.
    unsafe { (api().target_shutdown)(timeout_ms) }
}

/// All log records go there.
pub fn log_to(queue: Queue) {
    const TRACE: i32 = 5;
    // SAFETY: numbers.
    assert_eq!(unsafe { (api().target_set_log_queue)(queue.0, TRACE) }, OK);
}
