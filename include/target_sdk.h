/*
 * target-sdk: Adobe Target (A/B testing and personalisation) for C, C++ and every language that can call C.
 *
 * Generated from the Rust sources by `make header`; do not edit.
 *
 *  1. One completion.   A submit that returns TARGET_OK is completed exactly once, whatever happens. A submit that returns an
 *                       error is never completed and never releases its user_data.
 *  2. Refused at once   is only what concerns taking the call: bad handle, NULL callback, invalid UTF-8, limits reached, closed,
 *                       forked. What is wrong with the content of the JSON arrives as the completion's error.
 *  3. Never inline.     A callback never runs inside the submitting call. *out is written before anyone else can see the request.
 *  4. Threads.          Every function may be called from any thread, also inside any callback. Callbacks run one at a time on the
 *                       library's dispatcher thread: one that blocks delays other callbacks, never I/O, timers or queues. A call
 *                       that would wait for its own callback returns TARGET_E_WOULD_DEADLOCK.
 *  5. Ownership.        Inputs are copied before a call returns. In a callback the result is borrowed until the callback returns;
 *                       target_result_retain keeps it. Results from _sync, from a queue and from out-parameters are the caller's:
 *                       target_result_free. Pointers out of a result live as long as the result. Results outlive their client.
 *  6. Release.          release(user_data) runs exactly once for each accepted call that names one, after the last use.
 *  7. Close.            After target_client_close returned, no callback of that client is running or will run; it returns within
 *                       drain_ms + 200 ms (a close during another one: with that one). target_client_destroy never blocks: pending calls complete with TARGET_E_CLOSED.
 *  8. Fork.             The parent is undisturbed. In the child inherited handles answer TARGET_E_FORKED; new clients work.
 *  9. Hygiene.          No signal, signal handler, environment variable, locale, working directory or standard stream of the host
 *                       is touched, but for this: where descriptor 0, 1 or 2 is closed when the library starts its threads, it opens
 *                       /dev/null there (close-on-exec) and leaves it open. The library stays mapped after dlclose.
 * 10. Errors            are JSON: {"code":-8,"name":"TARGET_E_TIMEOUT","message":"...","retryable":true,"phase":"connect",
 *                       "attempts":1,"elapsedMs":3000,"requestId":"...","path":"/request/execute"}; absent members are left out.
 * 11. Panics           never cross: a bug in this library is TARGET_E_INTERNAL, and the library stays usable.
 * 12. Queues.          A host that takes completions, events and logs from queues never has its code run on a library thread.
 * 13. Units.           Strings are UTF-8, times are milliseconds; a deadline of 0 is the default, a wait of 0 does not wait.
 *
 * Callbacks must return: C++ exceptions and longjmp out of them are not allowed. No function may be called from a signal handler.
 */


#ifndef TARGET_SDK_H
#define TARGET_SDK_H

#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>

#if defined(_WIN32)
#  define TARGET_API __declspec(dllimport)
#else
#  define TARGET_API __attribute__((visibility("default")))
#endif

/** As a length: the string ends at its NUL. */
#define TARGET_NUL ((size_t)-1)


/**
 * Version of this interface. Grows when functions, statuses or members are added; nothing is ever taken away.
 */
#define TARGET_ABI_VERSION 1

/**
 * Log nothing.
 */
#define TARGET_LOG_OFF 0

/**
 * Something failed and the host will notice.
 */
#define TARGET_LOG_ERROR 1

/**
 * Something is wrong and was worked around.
 */
#define TARGET_LOG_WARN 2

/**
 * Rare and worth knowing.
 */
#define TARGET_LOG_INFO 3

/**
 * Each call.
 */
#define TARGET_LOG_DEBUG 4

/**
 * Everything.
 */
#define TARGET_LOG_TRACE 5

/**
 * Waiting for the first artifact.
 */
#define TARGET_STATE_STARTING 0

/**
 * Able to decide as configured.
 */
#define TARGET_STATE_READY 1

/**
 * On-device decisioning configured and no usable artifact; it goes on trying.
 */
#define TARGET_STATE_DEGRADED 2

/**
 * Configured never to open a socket.
 */
#define TARGET_STATE_OFFLINE 3

/**
 * Closing: no new calls, those in flight finish.
 */
#define TARGET_STATE_DRAINING 4

/**
 * Closed.
 */
#define TARGET_STATE_CLOSED 5

/**
 * No flags. Others may come; a library that does not know one refuses it.
 */
#define TARGET_CALL_DEFAULT 0

/**
 * The answer of a call; `tag` is the one of its `target_call`.
 */
#define TARGET_KIND_CALL 0

/**
 * An event of a client, with `"dropped":n` when n events before it were lost; `tag` is the one of its
 * `target_client_hooks`, `request` is 0.
 */
#define TARGET_KIND_EVENT 1

/**
 * A log record, `{"ts":1700000000000,"level":2,"target":"…","message":"…"}`, with `"dropped":n` when n records before it were
 * lost; `tag` and `request` are 0.
 */
#define TARGET_KIND_LOG 2

/**
 * Outcome of a call: `TARGET_OK` or one of the negative `TARGET_E_*`.
 */
typedef int32_t target_status;

/**
 * An answer, an error, an event or another document. 0 is never one.
 */
typedef uint64_t target_result;

/**
 * Receives a log record, borrowed until this returns. `level`: 1 error, 2 warning, 3 information, 4 debug, 5 trace.
 */
typedef void (*target_log_fn)(int32_t level, const char *target, const char *message, size_t len, void *user_data);

/**
 * Runs once, when `user_data` will not be used again.
 */
typedef void (*target_free_fn)(void *user_data);

/**
 * A completion queue. 0 is never one.
 */
typedef uint64_t target_queue;

/**
 * A client. 0 is never one.
 */
typedef uint64_t target_client;

/**
 * Receives an event of a client as JSON, borrowed until this returns; with `"dropped":n` when n events before it were lost.
 */
typedef void (*target_event_fn)(target_client client, const char *event_json, size_t len, void *user_data);

/**
 * Where the events of a client go. Zero-initialise, set `size`; then either the callback style or the queue style.
 */
typedef struct target_client_hooks {
  /**
   * `sizeof(target_client_hooks)`
   */
  uint32_t size;
  /**
   * Callback style: receives each event.
   */
  target_event_fn on_event;
  /**
   * Handed to `on_event` untouched.
   */
  void *user_data;
  /**
   * Runs once, after the last event callback. May be NULL.
   */
  target_free_fn release;
  /**
   * Queue style: events arrive here as completions of kind TARGET_KIND_EVENT.
   */
  target_queue queue;
  /**
   * Tag of those completions.
   */
  uint64_t tag;
} target_client_hooks;

/**
 * A call in flight. 0 is never one.
 */
typedef uint64_t target_request;

/**
 * Receives the answer of a call. `result` is borrowed until this returns: `target_result_retain` keeps it, and without that
 * `target_result_free` refuses it.
 */
typedef void (*target_done_fn)(target_request request, target_result result, void *user_data);

/**
 * How a call is answered. Zero-initialise, set `size`; then exactly one of `on_done` and `queue`.
 */
typedef struct target_call {
  /**
   * `sizeof(target_call)`
   */
  uint32_t size;
  /**
   * Deadline in milliseconds; 0: the client's `timeout`.
   */
  uint32_t deadline_ms;
  /**
   * TARGET_CALL_*
   */
  uint32_t flags;
  /**
   * Callback style: receives the answer.
   */
  target_done_fn on_done;
  /**
   * Handed to `on_done` untouched.
   */
  void *user_data;
  /**
   * Runs once, after the last use of `user_data`. May be NULL.
   */
  target_free_fn release;
  /**
   * Queue style: the answer arrives here as a completion of kind TARGET_KIND_CALL.
   */
  target_queue queue;
  /**
   * Tag of that completion.
   */
  uint64_t tag;
} target_call;

/**
 * Something that a queue hands out.
 */
typedef struct target_completion {
  /**
   * The host's tag.
   */
  uint64_t tag;
  /**
   * The call that this answers; its handle has ended.
   */
  target_request request;
  /**
   * The document. Owned by the poller: `target_result_free`.
   */
  target_result result;
  /**
   * Status of the document.
   */
  target_status status;
  /**
   * TARGET_KIND_*
   */
  int32_t kind;
} target_completion;

/**
 * Success.
 */
#define TARGET_OK 0

/**
 * NULL where a value is required, invalid UTF-8, an embedded NUL, a bad length.
 */
#define TARGET_E_INVALID_ARG -3

/**
 * The handle never existed, was destroyed, or is of another type.
 */
#define TARGET_E_BAD_HANDLE -4

/**
 * Not JSON, too deep or too large.
 */
#define TARGET_E_INVALID_JSON -5

/**
 * JSON of the wrong shape or failing validation; the message names the JSON pointer.
 */
#define TARGET_E_INVALID_OPTIONS -6

/**
 * On-device decisioning asked for and no artifact yet.
 */
#define TARGET_E_NOT_READY -7

/**
 * The deadline of the call passed.
 */
#define TARGET_E_TIMEOUT -8

/**
 * Cancelled by the host.
 */
#define TARGET_E_CANCELLED -9

/**
 * The limits on calls in flight and waiting are reached.
 */
#define TARGET_E_QUEUE_FULL -10

/**
 * The client is closing or closed, or the library is shutting down.
 */
#define TARGET_E_CLOSED -11

/**
 * A waiting call made from a callback that it would wait for.
 */
#define TARGET_E_WOULD_DEADLOCK -12

/**
 * DNS, connect, reset, proxy.
 */
#define TARGET_E_NETWORK -13

/**
 * TLS handshake or certificate.
 */
#define TARGET_E_TLS -14

/**
 * Target answered with a non-2xx status.
 */
#define TARGET_E_HTTP -15

/**
 * The answer is not what the Delivery API promises.
 */
#define TARGET_E_DECODE -16

/**
 * The artifact is unavailable, of an unsupported version, or invalid.
 */
#define TARGET_E_ARTIFACT -17

/**
 * No such mbox or attribute, or nothing at that JSON pointer.
 */
#define TARGET_E_NO_ATTRIBUTE -18

/**
 * The server is known to be down: failed at once.
 */
#define TARGET_E_CIRCUIT_OPEN -19

/**
 * The handle belongs to the parent process.
 */
#define TARGET_E_FORKED -20

/**
 * `target_init` with other options than before.
 */
#define TARGET_E_ALREADY_INIT -21

/**
 * Gave up waiting for a callback that does not return.
 */
#define TARGET_E_CALLBACK_STUCK -22

/**
 * A bug in this library (a panic was caught).
 */
#define TARGET_E_INTERNAL -23

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * Version of the interface that this library has; compare with TARGET_ABI_VERSION of the header.
 *
 * Thread-safe. Does not block.
 */
TARGET_API uint32_t target_abi_version(void);

/**
 * Version of the library, for example "0.1.0". Lives for ever.
 *
 * Thread-safe. Does not block.
 */
TARGET_API const char *target_version(void);

/**
 * Name of a status, for example "TARGET_E_TIMEOUT"; "unknown status" for a number that is none. Lives for ever.
 *
 * @param status  Any number.
 *
 * Thread-safe. Does not block.
 */
TARGET_API const char *target_status_name(target_status status);

/**
 * Enumerates the statuses that this library knows, for bindings.
 *
 * @param index  From 0.
 * @param out    Receives the status.
 * @return TARGET_OK, TARGET_E_INVALID_ARG (NULL, or `index` is past the end).
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `out` must be valid for writing.
 */
TARGET_API target_status target_status_at(size_t index, target_status *out);

/**
 * Sets options of the library. Optional: without it, the first client starts the library with its defaults.
 *
 * The first call decides. The same options again are fine, others are refused until `target_shutdown`.
 *
 * @param options_json  NUL-terminated UTF-8 JSON: `{"workerThreads": 2}` (1 to 64). NULL: the defaults.
 * @param error         Receives an error document when the options are wrong, else 0; owned by the caller. May be NULL.
 * @return TARGET_OK, TARGET_E_ALREADY_INIT, TARGET_E_INVALID_ARG, TARGET_E_INVALID_JSON, TARGET_E_INVALID_OPTIONS.
 *
 * Thread-safe. Does not block; starts nothing.
 *
 * # Safety
 * `options_json` must be NULL or a NUL-terminated string; `error` NULL or valid for writing.
 */
TARGET_API
target_status target_init(const char *options_json,
                          target_result *error);

/**
 * Stops the library: closes all clients (calls in flight complete with TARGET_E_CLOSED), runs the callbacks that are due,
 * ends all threads and waits for them, except for a name look-up that the system has not finished. Handles stay valid for
 * destroying; results keep living. A new client starts the library again.
 *
 * @param timeout_ms  How long to wait for callbacks and threads.
 * @return TARGET_OK, TARGET_E_CALLBACK_STUCK (a callback does not return; its thread is left behind),
 *         TARGET_E_WOULD_DEADLOCK (called from a callback).
 *
 * Thread-safe. Blocks for at most about `timeout_ms`.
 */
TARGET_API
target_status target_shutdown(uint32_t timeout_ms);

/**
 * Has log records handed to a function. Replaces what was set before, queue or function.
 *
 * Records never hold cookies, tokens, visitor ids or passwords. Up to 1,024 wait for the function; what comes beyond that
 * is dropped and counted. Records that the function causes itself are dropped. Up to level `TARGET_LOG_INFO`, one place in the
 * library makes ten records a second at most, and the next one says how many were left out.
 *
 * @param fn         The function; NULL ends logging. After a return from that, the function before is not running and
 *                   will not run (unless this was called from inside it); records that still waited for it are dropped.
 * @param user_data  Handed to `fn` untouched.
 * @param release    Runs once, after the last use of `user_data`. May be NULL; must be if `fn` is.
 * @param max_level  TARGET_LOG_*
 * @return TARGET_OK, TARGET_E_INVALID_ARG (`max_level` is out of range, or `release` comes without `fn`: then `user_data`
 *         stays yours).
 *
 * Thread-safe. Waits for the function before, if it is running. Its release runs on the library's thread for callbacks; but
 * when there are no threads (no client was made, or `target_shutdown` has ended them), it runs on the calling thread before
 * this returns: hold no lock here that the release takes.
 *
 * # Safety
 * `user_data` must be usable from another thread.
 */
TARGET_API
target_status target_set_log(target_log_fn fn,
                             void *user_data,
                             target_free_fn release,
                             int32_t max_level);

/**
 * Has log records arrive in a queue, as completions of kind TARGET_KIND_LOG. Replaces what was set before.
 *
 * @param queue      A queue handle; 0 ends logging.
 * @param max_level  TARGET_LOG_*
 * @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Waits for a log function set before, if it is running, and releases it as `target_set_log` does.
 */
TARGET_API target_status target_set_log_queue(target_queue queue, int32_t max_level);

/**
 * Name of the cookie that holds session and device id: "mbox". Lives for ever.
 *
 * Thread-safe. Does not block.
 */
TARGET_API const char *target_cookie_name(void);

/**
 * Name of the cookie that holds the edge cluster: "mboxEdgeCluster". Lives for ever.
 *
 * Thread-safe. Does not block.
 */
TARGET_API const char *target_location_hint_cookie_name(void);

/**
 * Name of the visitor cookie of an organization: "AMCV_" and the id, unencoded. Browsers may send it percent-encoded.
 *
 * @param organization_id  NUL-terminated, for example "1234@AdobeOrg".
 * @param buf              Receives the NUL-terminated name. May be NULL when `cap` is 0.
 * @param cap              Size of `buf` in bytes.
 * @param needed           Receives the size that the name needs, NUL included. May be NULL.
 * @return TARGET_OK, TARGET_E_INVALID_ARG (a bad id, or `cap` is smaller than needed).
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `organization_id` must be a NUL-terminated string, `buf` valid for writing `cap` bytes, `needed` NULL or valid for
 * writing.
 */
TARGET_API
target_status target_visitor_cookie_name(const char *organization_id,
                                         char *buf,
                                         size_t cap,
                                         size_t *needed);

/**
 * Makes a client.
 *
 * The client can be used at once. Events may come from the moment `*out` is written.
 *
 * @param config_json  UTF-8 JSON; copied before this returns. See docs/configuration.md.
 * @param len          Its length in bytes, or TARGET_NUL.
 * @param hooks        Where events go; copied. May be NULL. `queue` together with `on_event` or `release`, or a `release`
 *                     without `on_event`, is TARGET_E_INVALID_ARG.
 * @param out          Receives the handle; end it with `target_client_destroy`.
 * @param error        Receives an error document when this fails because of the configuration, else 0; owned by the
 *                     caller. May be NULL.
 * @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_INVALID_JSON, TARGET_E_INVALID_OPTIONS (an `artifactPayload`,
 *         `tlsRoots` or `tlsIdentity` that cannot be used, too), TARGET_E_BAD_HANDLE and TARGET_E_FORKED (`hooks->queue`),
 *         TARGET_E_CLOSED (`target_shutdown` on another thread), TARGET_E_INTERNAL (no threads).
 *         If it is not TARGET_OK, `user_data` stays yours.
 *
 * Thread-safe. Does not block: artifacts are fetched in the background.
 *
 * # Safety
 * `config_json` must point to `len` bytes or a NUL-terminated string; `hooks` be NULL or a struct of `size` bytes whose
 * `user_data` may be used from another thread; `out` valid for writing, `error` NULL or valid for writing.
 */
TARGET_API
target_status target_client_create(const char *config_json,
                                   size_t len,
                                   const struct target_client_hooks *hooks,
                                   target_client *out,
                                   target_result *error);

/**
 * Where a client is in its life.
 *
 * @param client  A client handle.
 * @param state   Receives TARGET_STATE_*.
 * @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `state` must be valid for writing.
 */
TARGET_API target_status target_client_state(target_client client, int32_t *state);

/**
 * Waits until a client is able to decide as configured. A server-side client always is.
 *
 * @param client      A client handle.
 * @param timeout_ms  0 does not wait.
 * @return TARGET_OK, TARGET_E_TIMEOUT (still starting), TARGET_E_NOT_READY (the first artifact could not be had; the client
 *         goes on trying), TARGET_E_CLOSED, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Blocks for at most `timeout_ms`.
 */
TARGET_API
target_status target_client_wait_ready(target_client client,
                                       uint32_t timeout_ms);

/**
 * Sends what is queued in the background (notifications, telemetry) and waits for the outcome.
 *
 * @param client      A client handle.
 * @param timeout_ms  How long to wait; with 0 what is queued is sent without this waiting for it, and the report says what is
 *                    pending.
 * @param report      Receives `{"delivered":n,"dropped":n,"pending":n}`, counting notifications accepted before this call;
 *                    owned by the caller. May be NULL.
 * @return TARGET_OK (nothing is pending), TARGET_E_TIMEOUT (something is, and stays queued), TARGET_E_BAD_HANDLE,
 *         TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Blocks for at most `timeout_ms` + 100 ms, which are for the way to the library's threads and back.
 *
 * # Safety
 * `report` must be NULL or valid for writing.
 */
TARGET_API
target_status target_client_flush(target_client client,
                                  uint32_t timeout_ms,
                                  target_result *report);

/**
 * Statistics of a client.
 *
 * @param client  A client handle.
 * @param out     Receives a JSON document, described in docs/statistics.md; owned by the caller.
 * @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `out` must be valid for writing.
 */
TARGET_API target_status target_client_stats(target_client client, target_result *out);

/**
 * The rules artifact in use, for starting another process without a download (`artifactPayload`, `artifactFile`).
 *
 * @param client  A client handle.
 * @param out     Receives the artifact as JSON; owned by the caller.
 * @return TARGET_OK, TARGET_E_NOT_READY (there is none), TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `out` must be valid for writing.
 */
TARGET_API target_status target_client_artifact(target_client client, target_result *out);

/**
 * Closes a client: refuses new calls, lets those in flight finish, sends what is queued, cancels what is left when
 * `drain_ms` have passed, and waits for callbacks. Returns within `drain_ms` + 200 ms whatever happens.
 *
 * After it returned, no callback of this client is running or will run. The handle stays valid for
 * `target_client_state` and `target_client_destroy`.
 *
 * A close during another one waits for that one's end, which it neither hastens nor puts off; after its own `drain_ms` +
 * 200 ms it gives up: TARGET_E_TIMEOUT, and callbacks may still run. `target_client_destroy` and `target_shutdown` on
 * another thread end the drain at once.
 *
 * @param client    A client handle.
 * @param drain_ms  Time for calls and queued notifications to finish; 0 cancels them at once.
 * @param report    Receives `{"completed":n,"cancelled":n,"delivered":n,"dropped":n}`: what became of the calls in flight
 *                  when this was called (cancelled: cut off by the end of the client, whoever ended it), and of
 *                  notifications since; owned by the caller. May be NULL.
 * @return TARGET_OK, TARGET_E_CALLBACK_STUCK (a callback does not return; nothing else of this client will be called back),
 *         TARGET_E_TIMEOUT (another close is not over yet), TARGET_E_WOULD_DEADLOCK (called from a callback),
 *         TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Blocks for at most `drain_ms` + 200 ms.
 *
 * # Safety
 * `report` must be NULL or valid for writing.
 */
TARGET_API
target_status target_client_close(target_client client,
                                  uint32_t drain_ms,
                                  target_result *report);

/**
 * Ends a client at once: its handle is gone, calls in flight complete with TARGET_E_CLOSED. Queued notifications are lost;
 * call `target_client_close` first to send them. A close that another thread is waiting in ends at once.
 *
 * @param client  A client handle; 0 is ignored.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Never blocks.
 */
TARGET_API
target_status target_client_destroy(target_client client);

/**
 * Asks Target for offers.
 *
 * If this returns TARGET_OK, `callback` runs exactly once, on a thread of this library, never inside this call. If it
 * returns anything else, `callback` never runs and `user_data` stays yours. What is wrong with the content of the JSON
 * arrives in the callback.
 *
 * @param client        A client handle.
 * @param options_json  NUL-terminated UTF-8 JSON, `{"request": …, "sessionId": …}`; copied before this returns.
 * @param callback      Receives the answer. Must not be NULL.
 * @param user_data     Handed to `callback` untouched. May be NULL.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `options_json` must be a NUL-terminated string; `user_data` must be usable from another thread.
 */
TARGET_API
target_status target_get_offers(target_client client,
                                const char *options_json,
                                target_done_fn callback,
                                void *user_data);

/**
 * Asks Target for offers: the full form, with a deadline, a request handle, a release or a queue.
 *
 * @param client        A client handle.
 * @param options_json  UTF-8 JSON as for `target_get_offers`; copied before this returns.
 * @param len           Its length in bytes, or TARGET_NUL.
 * @param call          How to answer; copied.
 * @param out           Receives the request handle, before anyone else can see it. May be NULL.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `options_json` must point to `len` bytes or a NUL-terminated string; `call` to a struct of `size` bytes; `out` be NULL or
 * valid for writing; `call->user_data` usable from another thread.
 */
TARGET_API
target_status target_get_offers_ex(target_client client,
                                   const char *options_json,
                                   size_t len,
                                   const struct target_call *call,
                                   target_request *out);

/**
 * Asks Target for offers and waits for the answer.
 *
 * @param client        A client handle.
 * @param options_json  UTF-8 JSON as for `target_get_offers`.
 * @param len           Its length in bytes, or TARGET_NUL.
 * @param timeout_ms    Deadline; 0: the client's `timeout`.
 * @param out           Receives the answer or an error document, whenever the call was taken; owned by the caller.
 * @return The status of the result; or, with `*out` 0, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL,
 *         TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Blocks until the answer or the deadline. No I/O happens on the calling thread.
 *
 * # Safety
 * `options_json` must point to `len` bytes or a NUL-terminated string; `out` be valid for writing.
 */
TARGET_API
target_status target_get_offers_sync(target_client client,
                                     const char *options_json,
                                     size_t len,
                                     uint32_t timeout_ms,
                                     target_result *out);

/**
 * Tells Target what was shown or clicked. As `target_get_offers`; `request.notifications` is required.
 *
 * @param client        A client handle.
 * @param options_json  NUL-terminated UTF-8 JSON, `{"request": {"notifications": […]}}`; copied before this returns.
 * @param callback      Receives the answer. Must not be NULL.
 * @param user_data     Handed to `callback` untouched. May be NULL.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * As for `target_get_offers`.
 */
TARGET_API
target_status target_send_notifications(target_client client,
                                        const char *options_json,
                                        target_done_fn callback,
                                        void *user_data);

/**
 * Tells Target what was shown or clicked: the full form.
 *
 * @param client        A client handle.
 * @param options_json  UTF-8 JSON as for `target_send_notifications`; copied before this returns.
 * @param len           Its length in bytes, or TARGET_NUL.
 * @param call          How to answer; copied.
 * @param out           Receives the request handle, before anyone else can see it. May be NULL.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * As for `target_get_offers_ex`.
 */
TARGET_API
target_status target_send_notifications_ex(target_client client,
                                           const char *options_json,
                                           size_t len,
                                           const struct target_call *call,
                                           target_request *out);

/**
 * Tells Target what was shown or clicked and waits for the answer.
 *
 * @param client        A client handle.
 * @param options_json  UTF-8 JSON as for `target_send_notifications`.
 * @param len           Its length in bytes, or TARGET_NUL.
 * @param timeout_ms    Deadline; 0: the client's `timeout`.
 * @param out           Receives the answer or an error document, whenever the call was taken; owned by the caller.
 * @return As `target_get_offers_sync`.
 *
 * Thread-safe. Blocks until the answer or the deadline.
 *
 * # Safety
 * As for `target_get_offers_sync`.
 */
TARGET_API
target_status target_send_notifications_sync(target_client client,
                                             const char *options_json,
                                             size_t len,
                                             uint32_t timeout_ms,
                                             target_result *out);

/**
 * Asks Target for the JSON offers of some mboxes, to be read with `target_attributes_*`.
 *
 * @param client           A client handle.
 * @param mbox_names_json  NUL-terminated JSON array of mbox names, `["a", "b"]`; copied before this returns.
 * @param options_json     NUL-terminated options as for `target_get_offers`, or NULL for none.
 * @param callback         Receives the answer. Must not be NULL.
 * @param user_data        Handed to `callback` untouched. May be NULL.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * As for `target_get_offers`.
 */
TARGET_API
target_status target_get_attributes(target_client client,
                                    const char *mbox_names_json,
                                    const char *options_json,
                                    target_done_fn callback,
                                    void *user_data);

/**
 * Asks Target for the JSON offers of some mboxes: the full form.
 *
 * @param client           A client handle.
 * @param mbox_names_json  JSON array of mbox names; copied before this returns.
 * @param mbox_names_len   Its length in bytes, or TARGET_NUL.
 * @param options_json     Options as for `target_get_offers`, or NULL for none.
 * @param len              Their length in bytes, or TARGET_NUL.
 * @param call             How to answer; copied.
 * @param out              Receives the request handle, before anyone else can see it. May be NULL.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_QUEUE_FULL, TARGET_E_CLOSED, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * As for `target_get_offers_ex`.
 */
TARGET_API
target_status target_get_attributes_ex(target_client client,
                                       const char *mbox_names_json,
                                       size_t mbox_names_len,
                                       const char *options_json,
                                       size_t len,
                                       const struct target_call *call,
                                       target_request *out);

/**
 * Asks Target for the JSON offers of some mboxes and waits for the answer.
 *
 * @param client           A client handle.
 * @param mbox_names_json  JSON array of mbox names.
 * @param mbox_names_len   Its length in bytes, or TARGET_NUL.
 * @param options_json     Options as for `target_get_offers`, or NULL for none.
 * @param len              Their length in bytes, or TARGET_NUL.
 * @param timeout_ms       Deadline; 0: the client's `timeout`.
 * @param out              Receives the answer or an error document, whenever the call was taken; owned by the caller.
 * @return As `target_get_offers_sync`.
 *
 * Thread-safe. Blocks until the answer or the deadline.
 *
 * # Safety
 * As for `target_get_offers_sync`.
 */
TARGET_API
target_status target_get_attributes_sync(target_client client,
                                         const char *mbox_names_json,
                                         size_t mbox_names_len,
                                         const char *options_json,
                                         size_t len,
                                         uint32_t timeout_ms,
                                         target_result *out);

/**
 * "Stop, and tell me": ends a call. It completes with TARGET_E_CANCELLED, or with the answer that was a moment faster.
 *
 * @param request  A request handle.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE (completed and released already), TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 */
TARGET_API
target_status target_request_cancel(target_request request);

/**
 * "Forget me": ends a call without a completion. After this returned, its callback is not running and will not run, and
 * what the callback uses may go away; from inside that callback it returns at once. The release still runs, once.
 *
 * @param request  A request handle.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE (completed and released already), TARGET_E_FORKED.
 *
 * Thread-safe. Waits for the callback of this call if it is running on another thread.
 */
TARGET_API
target_status target_request_abandon(target_request request);

/**
 * Makes a completion queue.
 *
 * @param out  Receives the handle; end it with `target_queue_destroy`.
 * @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_INTERNAL.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `out` must be valid for writing.
 */
TARGET_API target_status target_queue_create(target_queue *out);

/**
 * A descriptor for epoll, poll or select: readable (level-triggered) while the queue has something to poll.
 *
 * @param queue  A queue handle.
 * @param fd     Receives the descriptor. It is close-on-exec and belongs to the library: only watch it, and stop watching
 *               before `target_queue_destroy`.
 * @return TARGET_OK, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_INTERNAL (no descriptor to be had),
 *         TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `fd` must be valid for writing.
 */
TARGET_API
target_status target_queue_fd(target_queue queue,
                              intptr_t *fd);

/**
 * Takes completions, in the order they came.
 *
 * @param queue       A queue handle.
 * @param out         Room for `max` completions. Each `result` is owned by the caller.
 * @param max         At least 1.
 * @param timeout_ms  How long to wait for the first one; 0 does not wait, a negative number waits without limit.
 * @return How many were taken; 0 when the time passed or `target_queue_wake` was called; or TARGET_E_INVALID_ARG,
 *         TARGET_E_BAD_HANDLE, TARGET_E_FORKED, TARGET_E_INTERNAL.
 *
 * Thread-safe; several threads may poll one queue. Blocks for at most `timeout_ms`.
 *
 * # Safety
 * `out` must be valid for writing `max` completions.
 */
TARGET_API
int32_t target_queue_poll(target_queue queue,
                          struct target_completion *out,
                          uint32_t max,
                          int32_t timeout_ms);

/**
 * Makes one `target_queue_poll` on this queue, running or the next, return at once.
 *
 * @param queue  A queue handle.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block. Not for signal handlers.
 */
TARGET_API target_status target_queue_wake(target_queue queue);

/**
 * Ends a queue. What was not polled is thrown away; calls that would have arrived here run on, unheard.
 *
 * @param queue  A queue handle; 0 is ignored.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block; polls on it return TARGET_E_BAD_HANDLE.
 */
TARGET_API target_status target_queue_destroy(target_queue queue);

/**
 * Status of a result: `TARGET_OK` for an answer, `TARGET_E_*` for an error.
 *
 * @param result  A result handle.
 * @return The status that the result carries, or TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 */
TARGET_API target_status target_result_status(target_result result);

/**
 * The document: the answer, or the error as described above.
 *
 * @param result  A result handle.
 * @param json    Receives UTF-8 text, NUL-terminated, that lives until the result's last `target_result_free`.
 * @param len     Receives its length in bytes without the NUL. May be NULL.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_INVALID_ARG, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `json` must be valid for writing a pointer, `len` NULL or valid for writing a size.
 */
TARGET_API target_status target_result_json(target_result result, const char **json, size_t *len);

/**
 * A part of the document, by JSON pointer (RFC 6901), for example `/response/execute/mboxes/0/options/0/content`.
 *
 * @param result        A result handle.
 * @param json_pointer  NUL-terminated; "" is the whole document.
 * @param json          Receives JSON text (a string keeps its quotes), NUL-terminated, that lives as long as the result.
 * @param len           Receives its length in bytes without the NUL. May be NULL.
 * @return TARGET_OK, TARGET_E_NO_ATTRIBUTE (nothing there), TARGET_E_INVALID_ARG (not a JSON pointer),
 *         TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `json_pointer` must be a NUL-terminated string, `json` valid for writing, `len` NULL or valid for writing.
 */
TARGET_API
target_status target_result_get(target_result result,
                                const char *json_pointer,
                                const char **json,
                                size_t *len);

/**
 * Keeps a result: it needs one `target_result_free` more.
 *
 * @param result  A result handle.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED.
 *
 * Thread-safe. Does not block.
 */
TARGET_API target_status target_result_retain(target_result result);

/**
 * Gives a result back. After the last one its handle and every pointer out of it are gone.
 *
 * @param result  A result handle; 0 is ignored.
 * @return TARGET_OK, TARGET_E_BAD_HANDLE, TARGET_E_FORKED, TARGET_E_INVALID_ARG (the result is borrowed by a callback that
 *         has not returned, and was not retained; it lives on until that returns).
 *
 * Thread-safe. Does not block.
 */
TARGET_API
target_status target_result_free(target_result result);

/**
 * An attribute as JSON: the member `key` of the JSON offers of `mbox`.
 *
 * @param result  A result of `target_get_attributes*` or `target_get_offers*`.
 * @param mbox    Name of the mbox, NUL-terminated.
 * @param key     Name of the attribute, NUL-terminated.
 * @param json    Receives JSON text, NUL-terminated, that lives as long as the result.
 * @param len     Receives its length in bytes without the NUL. May be NULL.
 * @return TARGET_OK, TARGET_E_NO_ATTRIBUTE, TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED, TARGET_E_DECODE; for
 *         a result that is an error, its status.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `mbox` and `key` must be NUL-terminated strings, `json` valid for writing, `len` NULL or valid for writing.
 */
TARGET_API
target_status target_attributes_get_value(target_result result,
                                          const char *mbox,
                                          const char *key,
                                          const char **json,
                                          size_t *len);

/**
 * An attribute that is a string.
 *
 * @param result  A result of `target_get_attributes*` or `target_get_offers*`.
 * @param mbox    Name of the mbox, NUL-terminated.
 * @param key     Name of the attribute, NUL-terminated.
 * @param utf8    Receives the text without quotes or escapes, NUL-terminated, that lives as long as the result.
 * @param len     Receives its length in bytes without the NUL (the text may hold NULs of its own). May be NULL.
 * @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a string.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `mbox` and `key` must be NUL-terminated strings, `utf8` valid for writing, `len` NULL or valid for writing.
 */
TARGET_API
target_status target_attributes_get_string(target_result result,
                                           const char *mbox,
                                           const char *key,
                                           const char **utf8,
                                           size_t *len);

/**
 * An attribute that is true or false.
 *
 * @param result  A result of `target_get_attributes*` or `target_get_offers*`.
 * @param mbox    Name of the mbox, NUL-terminated.
 * @param key     Name of the attribute, NUL-terminated.
 * @param out     Receives the value; false on error.
 * @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a boolean.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `mbox` and `key` must be NUL-terminated strings, `out` valid for writing.
 */
TARGET_API
target_status target_attributes_get_bool(target_result result,
                                         const char *mbox,
                                         const char *key,
                                         bool *out);

/**
 * An attribute that is a whole number.
 *
 * @param result  A result of `target_get_attributes*` or `target_get_offers*`.
 * @param mbox    Name of the mbox, NUL-terminated.
 * @param key     Name of the attribute, NUL-terminated.
 * @param out     Receives the value; 0 on error.
 * @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a number, has a fraction, or does not
 *         fit.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `mbox` and `key` must be NUL-terminated strings, `out` valid for writing.
 */
TARGET_API
target_status target_attributes_get_int64(target_result result,
                                          const char *mbox,
                                          const char *key,
                                          int64_t *out);

/**
 * An attribute that is a number.
 *
 * @param result  A result of `target_get_attributes*` or `target_get_offers*`.
 * @param mbox    Name of the mbox, NUL-terminated.
 * @param key     Name of the attribute, NUL-terminated.
 * @param out     Receives the value; 0 on error.
 * @return As `target_attributes_get_value`; TARGET_E_DECODE when the attribute is not a number.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `mbox` and `key` must be NUL-terminated strings, `out` valid for writing.
 */
TARGET_API
target_status target_attributes_get_double(target_result result,
                                           const char *mbox,
                                           const char *key,
                                           double *out);

/**
 * All attributes of one mbox, or of all: `{"key": value}` or `{"mbox": {"key": value}}`.
 *
 * @param result  A result of `target_get_attributes*` or `target_get_offers*`.
 * @param mbox    Name of the mbox, NUL-terminated; NULL for all.
 * @param json    Receives a JSON object, NUL-terminated, that lives as long as the result.
 * @param len     Receives its length in bytes without the NUL. May be NULL.
 * @return TARGET_OK, TARGET_E_NO_ATTRIBUTE (the mbox has none), TARGET_E_INVALID_ARG, TARGET_E_BAD_HANDLE, TARGET_E_FORKED,
 *         TARGET_E_DECODE; for a result that is an error, its status.
 *
 * Thread-safe. Does not block.
 *
 * # Safety
 * `mbox` must be NULL or a NUL-terminated string, `json` valid for writing, `len` NULL or valid for writing.
 */
TARGET_API
target_status target_attributes_as_object(target_result result,
                                          const char *mbox,
                                          const char **json,
                                          size_t *len);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* TARGET_SDK_H */
