//! Any sequence of calls of the C API on any handles, right, stale, foreign or made up. A model knows what each must
//! return; at the end every callback must have run once, every `user_data` must have been released once, and nothing may be
//! left. All clients are offline: no run opens a socket.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use target_sdk::ffi::client::*;
use target_sdk::ffi::library::*;
use target_sdk::ffi::offers::*;
use target_sdk::ffi::queue::*;
use target_sdk::ffi::result::*;
use target_sdk::ffi::status::*;

use super::support::Bytes;

#[path = "handle_ops_results.rs"]
mod results;
#[path = "handle_ops_watch.rs"]
mod watch;

use watch::*;

const MOST_STEPS: usize = 64;
const ARTIFACT: &str = r#"{"version":"1.0.0","globalMbox":"global","localMboxes":["hero","json"],"rules":{"mboxes":{"hero":[{"ruleKey":"1","activityId":1,"condition":{"<":[{"var":"allocation"},50]},"consequence":{"name":"hero","options":[{"type":"html","content":"<b>","eventToken":"t"}],"metrics":[{"type":"display","eventToken":"d"}]},"meta":{}}],"json":[{"ruleKey":"2","activityId":2,"condition":true,"consequence":{"name":"json","options":[{"type":"json","content":{"on":true,"n":7,"x":1.5,"s":"é"}}]},"meta":{}}]},"views":{}}}"#;
const OPTIONS: [&str; 8] = [
    r#"{"request":{"execute":{"mboxes":[{"name":"hero","index":1},{"name":"json","index":2}]}}}"#,
    r#"{"request":{"id":{"tntId":"a.28_0"},"prefetch":{"mboxes":[{"name":"hero"}]}},"decisioningMethod":"on-device"}"#,
    r#"{"request":{"execute":{"pageLoad":{}}},"decisioningMethod":"server-side"}"#,
    r#"{"request":{"notifications":[{"id":"n","timestamp":1,"type":"display","tokens":["t"],"mbox":{"name":"hero"}}]}}"#,
    r#"{"request":{}}"#,
    "not JSON",
    "",
    "null",
];

/// What is known of a watch when all is over.
struct Owed {
    watch: Box<Watch>,
    is_call: bool,
    is_released: bool,
    /// How often it had been called back when it was abandoned: so it stays.
    abandoned: Option<u32>,
    /// Answers of the queue style arrive here.
    queue: u64,
    completions: u32,
    request: u64,
}

#[derive(Default)]
struct Model {
    clients: BTreeSet<u64>,
    /// Clients whose close gave up on callbacks: those are not made any more.
    stuck: BTreeSet<u64>,
    queues: BTreeSet<u64>,
    destroyed_queues: BTreeSet<u64>,
    /// Live results with their references.
    results: BTreeMap<u64, u32>,
    /// Every handle there ever was, in the order of their making.
    handles: Vec<u64>,
    owed: Vec<Owed>,
}

/// The library is one for the process: one run at a time.
static RUNS: Mutex<()> = Mutex::new(());

pub(crate) fn run(data: &[u8]) {
    let _alone = RUNS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut bytes = Bytes(data);
    let mut model = Model::default();
    for _ in 0..MOST_STEPS {
        if bytes.0.is_empty() {
            break;
        }
        model.step(&mut bytes);
    }
    model.end();
}

impl Model {
    /// Any handle: mostly one of those there were, seldom one that was made up.
    fn handle(&self, bytes: &mut Bytes<'_>) -> u64 {
        let choice = bytes.byte();
        let known = match self.handles.len() {
            0 => 0,
            count => self.handles[count - 1 - usize::from(choice % 32).min(count - 1)],
        };
        match choice {
            0..240 => known,
            240..250 => known ^ 1 << (bytes.byte() % 64),
            250..253 => u64::from(bytes.byte()),
            _ => 0,
        }
    }

    fn collect_retained(&mut self) {
        for result in RETAINED.lock().expect("lock").drain(..) {
            self.own(result);
        }
    }

    /// One more reference to a result is ours.
    fn own(&mut self, result: u64) {
        if result != 0 {
            *self.results.entry(result).or_insert(0) += 1;
            self.handles.push(result);
        }
    }

    fn watch(&mut self, action: u8, client: u64) -> *mut c_void {
        let watch = Box::new(Watch { done: AtomicU32::new(0), released: AtomicU32::new(0), action, client });
        let pointer = (&raw const *watch).cast_mut().cast();
        self.owed.push(Owed {
            watch,
            is_call: false,
            is_released: false,
            abandoned: None,
            queue: 0,
            completions: 0,
            request: 0,
        });
        pointer
    }

    fn step(&mut self, bytes: &mut Bytes<'_>) {
        self.collect_retained();
        match bytes.below(24) {
            0 | 1 => self.create_client(bytes),
            2 => self.create_queue(bytes),
            3..=7 => self.call(bytes),
            8 => self.call_sync(bytes),
            9 | 10 => self.poll(bytes),
            11 => self.end_request(bytes),
            12 | 13 => self.look_at_result(bytes),
            14 => self.attributes(bytes),
            15 => self.retain(bytes),
            16 => self.free(bytes),
            17 => self.look_at_client(bytes),
            18 => self.close(bytes),
            19 => self.destroy_client(bytes),
            20 => self.queue_step(bytes),
            21 => self.log(bytes),
            22 => self.library(bytes),
            _ => self.call_simply(bytes),
        }
    }

    fn create_client(&mut self, bytes: &mut Bytes<'_>) {
        let style = bytes.byte();
        let head = r#"{"client":"acme","organizationId":"O@AdobeOrg","offline":true"#;
        let config = match bytes.below(6) {
            0 => format!("{head}}}"),
            1 => format!(r#"{head},"decisioningMethod":"on-device","artifactPayload":{ARTIFACT}}}"#),
            2 => format!(
                r#"{head},"decisioningMethod":"hybrid","artifactPayload":{ARTIFACT},"maxInFlight":1,"maxQueued":1}}"#
            ),
            3 => format!(r#"{head},"decisioningMethod":"on-device"}}"#),
            4 => "{}".to_owned(),
            _ => {
                let length = bytes.below(64);
                let more = String::from_utf8_lossy(bytes.take(length));
                // No files, however their key is written.
                let is_harmless = !more.contains(['\\', '\0']) && !more.contains("File");
                format!("{head}{}}}", if is_harmless { &more } else { "," })
            }
        };
        let queue = if style % 4 == 2 { self.handle(bytes) } else { 0 };
        let user_data = self.watch(0, 0);
        let hooks = target_client_hooks {
            size: if style & 64 == 0 { size_of::<target_client_hooks>() as u32 } else { u32::from(bytes.byte() % 8) },
            on_event: (style % 4 == 1).then_some(on_event as _),
            user_data,
            release: (style % 4 == 1 || style & 32 != 0).then_some(release as _),
            queue,
            tag: u64::MAX,
        };
        let (mut client, mut error) = (7, 7);
        let hooks = if style.is_multiple_of(4) { null() } else { &raw const hooks };
        // SAFETY: all of these live longer than the call.
        let status = unsafe {
            target_client_create(config.as_ptr().cast(), config.len(), hooks, &raw mut client, &raw mut error)
        };
        if status == TARGET_OK {
            assert!(client != 0 && error == 0 && self.clients.insert(client));
            self.handles.push(client);
            self.owed.last_mut().expect("just made").is_released = style % 4 == 1;
        } else {
            assert!(client == 0 && status != TARGET_E_INTERNAL, "{status}");
            self.own(error);
        }
    }

    fn create_queue(&mut self, bytes: &mut Bytes<'_>) {
        let mut queue = 7;
        let out = if bytes.byte() < 250 { &raw mut queue } else { null_mut() };
        // SAFETY: NULL or valid for writing.
        let status = unsafe { target_queue_create(out) };
        if out.is_null() {
            return assert_eq!(status, TARGET_E_INVALID_ARG);
        }
        assert_eq!(status, TARGET_OK);
        assert!(self.queues.insert(queue));
        self.handles.push(queue);
    }

    fn options<'o>(bytes: &mut Bytes<'o>) -> std::borrow::Cow<'o, str> {
        match bytes.below(OPTIONS.len() + 1) {
            8 => {
                let length = usize::from(bytes.byte());
                String::from_utf8_lossy(bytes.take(length))
            }
            number => OPTIONS[number].into(),
        }
    }

    fn call(&mut self, bytes: &mut Bytes<'_>) {
        let (client, style, operation) = (self.handle(bytes), bytes.byte(), bytes.below(3));
        let options = Model::options(bytes);
        let user_data = self.watch(bytes.byte(), client);
        let queue = if style % 2 == 1 { self.handle(bytes) } else { 0 };
        let call = target_call {
            size: if style < 240 { size_of::<target_call>() as u32 } else { u32::from(style) - 240 },
            deadline_ms: u32::from(style / 4 % 4),
            flags: u32::from(style == 239),
            on_done: (style % 2 == 0).then_some(on_done as _),
            user_data,
            release: (style % 2 == 0 && style & 64 == 0 || style == 237).then_some(release as _),
            queue,
            tag: self.owed.len() as u64 - 1,
        };
        let mut request = 7;
        let (text, len, call, out) = (options.as_ptr().cast(), options.len(), &raw const call, &raw mut request);
        // SAFETY: all of these live longer than the call.
        let status = unsafe {
            match operation {
                0 => target_get_offers_ex(client, text, len, call, out),
                1 => target_send_notifications_ex(client, text, len, call, out),
                _ => {
                    let names = br#"["hero","json"]"#;
                    target_get_attributes_ex(client, names.as_ptr().cast(), names.len(), text, len, call, out)
                }
            }
        };
        if !self.clients.contains(&client) {
            assert_eq!((status, request), (TARGET_E_BAD_HANDLE, 0));
        }
        if status != TARGET_OK {
            return assert!(request == 0 && status != TARGET_E_INTERNAL, "{status}");
        }
        assert_ne!(request, 0);
        self.handles.push(request);
        let owed = self.owed.last_mut().expect("just made");
        (owed.request, owed.queue) = (request, queue);
        owed.is_call = style % 2 == 0;
        owed.is_released = style % 2 == 0 && style & 64 == 0;
        assert!(owed.is_call || self.queues.contains(&queue));
    }

    fn call_simply(&mut self, bytes: &mut Bytes<'_>) {
        let client = self.handle(bytes);
        let options = CString::new(Model::options(bytes).replace('\0', " ")).expect("no NUL");
        let user_data = self.watch(bytes.byte(), client);
        // SAFETY: a C string, and a watch that lives long enough.
        let status = unsafe {
            match bytes.below(3) {
                0 => target_get_offers(client, options.as_ptr(), Some(on_done), user_data),
                1 => target_send_notifications(client, options.as_ptr(), Some(on_done), user_data),
                _ => target_get_attributes(client, c"[\"hero\"]".as_ptr(), options.as_ptr(), Some(on_done), user_data),
            }
        };
        assert!(
            status != TARGET_E_INTERNAL && (status == TARGET_E_BAD_HANDLE) != self.clients.contains(&client),
            "{status}"
        );
        self.owed.last_mut().expect("just made").is_call = status == TARGET_OK;
    }

    fn call_sync(&mut self, bytes: &mut Bytes<'_>) {
        let (client, operation) = (self.handle(bytes), bytes.below(3));
        let options = Model::options(bytes);
        let (text, len, mut result) = (options.as_ptr().cast(), options.len(), 7);
        // SAFETY: all of these live longer than the call.
        let status = unsafe {
            match operation {
                0 => target_get_offers_sync(client, text, len, 2, &raw mut result),
                1 => target_send_notifications_sync(client, text, len, 2, &raw mut result),
                _ => {
                    let names = br#"["json"]"#;
                    target_get_attributes_sync(
                        client,
                        names.as_ptr().cast(),
                        names.len(),
                        text,
                        len,
                        2,
                        &raw mut result,
                    )
                }
            }
        };
        assert!(
            status != TARGET_E_INTERNAL && (status == TARGET_E_BAD_HANDLE) != self.clients.contains(&client),
            "{status}"
        );
        assert!(status != TARGET_OK || result != 0);
        self.own(result);
    }

    fn poll(&mut self, bytes: &mut Bytes<'_>) {
        let queue = self.handle(bytes);
        let max = 1 + bytes.byte() % 4;
        self.poll_queue(queue, u32::from(max));
    }

    /// Polls; returns how many there were.
    fn poll_queue(&mut self, queue: u64, max: u32) -> i32 {
        let mut room = [target_completion { tag: 0, request: 0, result: 0, status: 0, kind: 0 }; 4];
        // SAFETY: there is room for four.
        let count = unsafe { target_queue_poll(queue, room.as_mut_ptr(), max, 0) };
        if !self.queues.contains(&queue) {
            assert_eq!(count, TARGET_E_BAD_HANDLE);
            return count;
        }
        assert!((0..=max as i32).contains(&count), "{count}");
        for completion in room.iter().take(count as usize) {
            assert_eq!(completion.status, target_result_status(completion.result));
            if completion.kind == TARGET_KIND_CALL {
                let owed = &mut self.owed[completion.tag as usize];
                assert_eq!((owed.request, owed.queue), (completion.request, queue));
                owed.completions += 1;
                assert!(owed.completions == 1 && owed.abandoned.is_none());
            }
            self.own(completion.result);
        }
        count
    }

    fn end_request(&mut self, bytes: &mut Bytes<'_>) {
        let request = self.handle(bytes);
        let known = self.owed.iter_mut().find(|owed| owed.request == request && request != 0);
        let status = if bytes.byte().is_multiple_of(2) {
            target_request_cancel(request)
        } else {
            let done = known.as_ref().map(|owed| owed.watch.done.load(Ordering::Acquire));
            let status = target_request_abandon(request);
            if let (TARGET_OK, Some(owed)) = (status, known) {
                let now = owed.watch.done.load(Ordering::Acquire);
                assert!(now <= 1 && done <= Some(now));
                owed.abandoned = Some(now);
            }
            return assert!(matches!(status, TARGET_OK | TARGET_E_BAD_HANDLE), "{status}");
        };
        assert!(status == TARGET_E_BAD_HANDLE || (status == TARGET_OK && known.is_some()), "{status}");
    }

    fn look_at_client(&mut self, bytes: &mut Bytes<'_>) {
        let client = self.handle(bytes);
        let (mut state, mut document) = (9, 7);
        // SAFETY: places to write to.
        let status = unsafe {
            match bytes.below(5) {
                0 => {
                    document = 0;
                    target_client_state(client, &raw mut state)
                }
                1 => target_client_stats(client, &raw mut document),
                2 => target_client_artifact(client, &raw mut document),
                3 => target_client_flush(client, 0, &raw mut document),
                _ => {
                    document = 0;
                    target_client_wait_ready(client, u32::from(bytes.byte() % 2))
                }
            }
        };
        assert!(
            status != TARGET_E_INTERNAL && (status == TARGET_E_BAD_HANDLE) != self.clients.contains(&client),
            "{status}"
        );
        assert!((TARGET_STATE_STARTING..=TARGET_STATE_CLOSED).contains(&state) || state == 9);
        self.own(document);
    }

    fn close(&mut self, bytes: &mut Bytes<'_>) {
        let client = self.handle(bytes);
        let mut report = 7;
        // SAFETY: a place to write to.
        let status = unsafe { target_client_close(client, u32::from(bytes.byte() % 3), &raw mut report) };
        if !self.clients.contains(&client) {
            return assert_eq!((status, report), (TARGET_E_BAD_HANDLE, 0));
        }
        assert!(matches!(status, TARGET_OK | TARGET_E_CALLBACK_STUCK) && report != 0, "{status}");
        if status == TARGET_E_CALLBACK_STUCK {
            self.stuck.insert(client);
        }
        self.own(report);
    }

    fn destroy_client(&mut self, bytes: &mut Bytes<'_>) {
        let client = self.handle(bytes);
        let status = target_client_destroy(client);
        let expected = if client == 0 || self.clients.remove(&client) { TARGET_OK } else { TARGET_E_BAD_HANDLE };
        assert_eq!(status, expected);
    }

    fn queue_step(&mut self, bytes: &mut Bytes<'_>) {
        let queue = self.handle(bytes);
        let expected = if self.queues.contains(&queue) { TARGET_OK } else { TARGET_E_BAD_HANDLE };
        match bytes.below(4) {
            0 => {
                let mut fd = 7;
                // SAFETY: a place to write to.
                assert_eq!(unsafe { target_queue_fd(queue, &raw mut fd) }, expected);
                assert_eq!(fd >= 0, expected == TARGET_OK);
            }
            1 | 2 => assert_eq!(target_queue_wake(queue), expected),
            _ => {
                let status = target_queue_destroy(queue);
                assert_eq!(status, if queue == 0 { TARGET_OK } else { expected });
                if self.queues.remove(&queue) {
                    self.destroyed_queues.insert(queue);
                }
            }
        }
    }

    fn log(&mut self, bytes: &mut Bytes<'_>) {
        let level = i32::from(bytes.byte() % 8) - 1;
        let valid = (0..=5).contains(&level);
        if bytes.byte().is_multiple_of(2) {
            let user_data = self.watch(0, 0);
            // SAFETY: a watch that lives long enough.
            let status = unsafe { target_set_log(Some(on_log), user_data, Some(release), level) };
            assert_eq!(status, if valid { TARGET_OK } else { TARGET_E_INVALID_ARG });
            self.owed.last_mut().expect("just made").is_released = valid;
        } else {
            let queue = self.handle(bytes);
            let status = target_set_log_queue(queue, level);
            let known = queue == 0 || self.queues.contains(&queue);
            assert_eq!(
                status,
                if !valid {
                    TARGET_E_INVALID_ARG
                } else if known {
                    TARGET_OK
                } else {
                    TARGET_E_BAD_HANDLE
                }
            );
        }
    }

    fn library(&mut self, bytes: &mut Bytes<'_>) {
        match bytes.below(4) {
            0 => assert_eq!(target_shutdown(60_000), TARGET_OK),
            1 => {
                let options = ["{}", r#"{"workerThreads":1}"#, r#"{"workerThreads":0}"#, "[]", "x"][bytes.below(5)];
                let options = CString::new(options).expect("no NUL");
                let mut error = 7;
                // SAFETY: a C string, a place to write to.
                let status = unsafe { target_init(options.as_ptr(), &raw mut error) };
                assert_ne!(status, TARGET_E_INTERNAL);
                self.own(error);
            }
            2 => {
                let (mut room, mut needed) = ([7; 16], 0);
                let length = bytes.below(12);
                let id = CString::new(bytes.take(length)).unwrap_or_default();
                let cap = bytes.below(17);
                // SAFETY: a C string, room for `cap` bytes, a place to write to.
                let status =
                    unsafe { target_visitor_cookie_name(id.as_ptr(), room.as_mut_ptr(), cap, &raw mut needed) };
                assert_eq!(status == TARGET_OK, needed > 0 && needed <= cap, "{status}");
                assert!(room[cap..].iter().all(|byte| *byte == 7), "written beyond {cap}");
            }
            _ => {
                let mut status = 7;
                // SAFETY: a place to write to.
                let known = unsafe { target_status_at(bytes.below(30), &raw mut status) } == TARGET_OK;
                assert!(known || status == 0 || status == 7);
                assert!(!target_status_name(i32::from(bytes.byte()) - 128).is_null());
            }
        }
    }

    /// Ends everything and settles the accounts.
    fn end(mut self) {
        for client in std::mem::take(&mut self.clients) {
            if client % 2 == 0 {
                assert_eq!(target_client_destroy(client), TARGET_OK);
            } else {
                self.clients.insert(client); // the shutdown ends it
            }
        }
        assert_eq!(target_shutdown(60_000), TARGET_OK);
        for client in std::mem::take(&mut self.clients) {
            assert_eq!(target_client_destroy(client), TARGET_OK);
        }
        // SAFETY: NULL ends logging.
        assert_eq!(unsafe { target_set_log(None, null_mut(), None, 0) }, TARGET_OK);
        self.collect_retained();
        for queue in self.queues.clone() {
            while self.poll_queue(queue, 4) > 0 {}
            assert_eq!(target_queue_destroy(queue), TARGET_OK);
        }
        for (result, references) in std::mem::take(&mut self.results) {
            for _ in 0..references {
                assert_eq!(target_result_free(result), TARGET_OK);
            }
            assert_eq!(target_result_free(result), TARGET_E_BAD_HANDLE);
        }
        for owed in &self.owed {
            let (done, released) =
                (owed.watch.done.load(Ordering::Acquire), owed.watch.released.load(Ordering::Acquire));
            assert_eq!(released, u32::from(owed.is_released));
            if !owed.is_call {
                assert_eq!(done, 0);
            } else if let Some(before) = owed.abandoned {
                assert_eq!(done, before);
            } else if !self.stuck.contains(&owed.watch.client) {
                assert_eq!(done, 1);
            }
            if owed.queue != 0 && !self.destroyed_queues.contains(&owed.queue) && owed.abandoned.is_none() {
                assert_eq!(owed.completions, 1);
            }
        }
    }
}
