//! A host written in Rust, with a runtime of its own: the library neither uses it nor minds where it is called from, and the
//! panic hook of the host stays its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)] // a test

use std::ffi::{CString, c_char, c_void};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

const NUL: usize = usize::MAX;
const OFFERS: &std::ffi::CStr = c"{\"request\":{\"execute\":{\"mboxes\":[{\"index\":0,\"name\":\"a\"}]}}}";
const ANSWER: &str = "{\"status\":200,\"requestId\":\"r\",\"client\":\"acme\",\"id\":{\"tntId\":\"t.28_0\"},\
                      \"execute\":{\"mboxes\":[{\"index\":0,\"name\":\"a\"}]}}";

type Done = unsafe extern "C" fn(u64, u64, *mut c_void);

/// The library as `dlopen` gives it.
struct Library {
    create: unsafe extern "C" fn(*const c_char, usize, *const c_void, *mut u64, *mut u64) -> i32,
    offers: unsafe extern "C" fn(u64, *const c_char, Option<Done>, *mut c_void) -> i32,
    offers_sync: unsafe extern "C" fn(u64, *const c_char, usize, u32, *mut u64) -> i32,
    wait_ready: unsafe extern "C" fn(u64, u32) -> i32,
    flush: unsafe extern "C" fn(u64, u32, *mut u64) -> i32,
    close: unsafe extern "C" fn(u64, u32, *mut u64) -> i32,
    destroy: unsafe extern "C" fn(u64) -> i32,
    free: unsafe extern "C" fn(u64) -> i32,
    shutdown: unsafe extern "C" fn(u32) -> i32,
}

fn library() -> &'static Library {
    static LIBRARY: OnceLock<Library> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let executable = std::env::current_exe().expect("path of the test");
        let path: PathBuf = executable.ancestors().nth(2).expect("target directory").join("libtarget_sdk.so");
        let path = CString::new(path.to_str().expect("UTF-8")).expect("no NUL");
        // SAFETY: a NUL-terminated path.
        let library = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!library.is_null(), "cannot open {path:?}");
        macro_rules! find {
            ($name:literal) => {{
                // SAFETY: a live library and a NUL-terminated name.
                let symbol = unsafe { libc::dlsym(library, $name.as_ptr()) };
                assert!(!symbol.is_null(), "{:?} is not there", $name);
                // SAFETY: the header declares it with the type that the field has.
                unsafe { std::mem::transmute_copy(&symbol) }
            }};
        }
        Library {
            create: find!(c"target_client_create"),
            offers: find!(c"target_get_offers"),
            offers_sync: find!(c"target_get_offers_sync"),
            wait_ready: find!(c"target_client_wait_ready"),
            flush: find!(c"target_client_flush"),
            close: find!(c"target_client_close"),
            destroy: find!(c"target_client_destroy"),
            free: find!(c"target_result_free"),
            shutdown: find!(c"target_shutdown"),
        }
    })
}

/// An edge that always gives the same answer; its port.
fn edge() -> u16 {
    static PORT: OnceLock<u16> = OnceLock::new();
    *PORT.get_or_init(|| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        std::thread::spawn(move || {
            for mut connection in listener.incoming().map_while(Result::ok) {
                std::thread::spawn(move || {
                    let mut read = Vec::new();
                    let mut piece = [0; 4096];
                    while let Ok(size @ 1..) = connection.read(&mut piece) {
                        read.extend_from_slice(&piece[..size]);
                        let text = String::from_utf8_lossy(&read);
                        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                        if body.len() < length.map_or(0, |length| length.trim().parse().expect("a number")) {
                            continue;
                        }
                        read.clear();
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{ANSWER}", ANSWER.len());
                        if connection.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        port
    })
}

struct Client(u64);

impl Client {
    fn new() -> Client {
        let config = CString::new(format!(
            "{{\"client\":\"acme\",\"organizationId\":\"ORG@AdobeOrg\",\"serverDomain\":\"127.0.0.1:{}\",\
             \"pinServerDomain\":true,\"secure\":false,\"timeout\":20000}}",
            edge()
        ))
        .expect("no NUL");
        let mut client = 0;
        // SAFETY: as the header says; all pointers are live or NULL.
        let status =
            unsafe { (library().create)(config.as_ptr(), NUL, std::ptr::null(), &mut client, std::ptr::null_mut()) };
        assert_eq!(status, 0);
        Client(client)
    }

    /// The functions that wait, all of them.
    fn wait(&self) {
        let mut result = 0;
        // SAFETY: as above.
        unsafe {
            assert_eq!((library().wait_ready)(self.0, 10_000), 0);
            assert_eq!((library().offers_sync)(self.0, OFFERS.as_ptr(), NUL, 20_000, &mut result), 0);
            assert_eq!((library().free)(result), 0);
            assert_eq!((library().flush)(self.0, 10_000, std::ptr::null_mut()), 0);
        }
    }

    /// One that calls back, awaited on the host's runtime.
    async fn call(&self) {
        unsafe extern "C" fn done(_request: u64, _result: u64, user_data: *mut c_void) {
            // SAFETY: made by `Box::into_raw` below, and called once.
            let sender = unsafe { Box::from_raw(user_data.cast::<oneshot::Sender<bool>>()) };
            // A host's runtime never reaches the library's threads.
            let _ = sender.send(tokio::runtime::Handle::try_current().is_err());
        }
        let (sender, answered) = oneshot::channel::<bool>();
        let user_data = Box::into_raw(Box::new(sender)).cast::<c_void>();
        // SAFETY: as above.
        assert_eq!(unsafe { (library().offers)(self.0, OFFERS.as_ptr(), Some(done), user_data) }, 0);
        assert!(answered.await.expect("a callback"));
    }

    fn close(&self) {
        // SAFETY: as above.
        assert_eq!(unsafe { (library().close)(self.0, 5000, std::ptr::null_mut()) }, 0);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // SAFETY: any number may be given.
        unsafe { (library().destroy)(self.0) };
    }
}

/// Makes, uses and ends a client, in a place where a careless library would find the host's runtime or panic.
async fn everything() {
    let client = Client::new();
    client.call().await;
    client.wait();
    client.call().await;
    client.close();
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// One test: `target_shutdown` is for the whole process.
#[test]
fn a_host_with_a_runtime_of_its_own() {
    static HOOKED: AtomicUsize = AtomicUsize::new(0);
    std::panic::set_hook(Box::new(|_| {
        HOOKED.fetch_add(1, Ordering::SeqCst);
    }));
    let started = Instant::now();

    multi_thread().block_on(everything());
    multi_thread().block_on(async { tokio::spawn(everything()).await.expect("no panic") });
    current_thread().block_on(everything());
    let local = tokio::task::LocalSet::new();
    local.block_on(&current_thread(), async { tokio::task::spawn_local(everything()).await.expect("no panic") });
    multi_thread().block_on(async {
        tokio::task::spawn_blocking(|| current_thread().block_on(everything())).await.expect("no panic");
        tokio::spawn(async { tokio::task::block_in_place(|| Client::new().wait()) }).await.expect("no panic");
    });

    // The host's runtime ends first.
    let (first, second) = (multi_thread(), current_thread());
    let clients = [first.block_on(async { Client::new() }), second.block_on(async { Client::new() })];
    drop(first);
    drop(second);
    for client in &clients {
        client.wait();
        current_thread().block_on(client.call());
    }

    // The library ends, and starts again, where a runtime must not be dropped.
    for runtime in [multi_thread(), current_thread()] {
        runtime.block_on(async {
            // SAFETY: a number.
            assert_eq!(unsafe { (library().shutdown)(10_000) }, 0);
            everything().await;
            // SAFETY: a number.
            assert_eq!(unsafe { (library().shutdown)(10_000) }, 0);
        });
    }
    drop(clients);
    assert!(started.elapsed() < Duration::from_secs(60));

    assert_eq!(HOOKED.load(Ordering::SeqCst), 0, "nothing panicked");
    assert!(std::thread::spawn(|| panic!("the host's")).join().is_err());
    assert_eq!(HOOKED.load(Ordering::SeqCst), 1, "the hook is still the host's");
    drop(std::panic::take_hook());
}
