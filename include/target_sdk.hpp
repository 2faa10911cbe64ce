// target-sdk for C++17 and newer: Adobe Target (A/B testing and personalisation). A header over target_sdk.h; link the same library.
//
//   auto client = target_sdk::Client::create(R"({"client": "acme", "organizationId": "ORG@AdobeOrg"})");
//   auto flags = client.get_attributes(R"(["demo-engineering-flags"])");
//   bool legacy = flags.get_bool("demo-engineering-flags", "hasLegacyAccess");
//
// In short, for all that follows (docs/cpp.md says more):
//
//  1. Two halves.    A function that fails throws `Error`. Each has an overload whose first argument is `std::nothrow`: it is noexcept
//                    and returns a `Status`. With -fno-exceptions only that half is there. Nothing needs RTTI.
//  2. Four ways      to be answered: wait (`get_offers`), a callback (`get_offers(options, callable)`), a `std::future`
//                    (`get_offers_async`), a coroutine (`co_await client.co_get_offers(options)`, C++20); and a `Queue` for event loops.
//  3. Ownership.     `Client`, `Queue`, `Request` and `Result` own what they name and end it in their destructors. An object that was
//                    made by its default constructor, or moved from, is empty: calls on it fail with `Status::bad_handle`.
//  4. Callbacks      run one at a time on the library's dispatcher thread. Destroying the `Request` takes its callback back: after the
//                    destructor the callback is not running and will not run, and its captures are destroyed. From inside the callback
//                    that is fine, too, and does not wait.
//  5. Exceptions     must not leave a callback: the program ends in `std::terminate`, which says what was thrown.
//  6. Threads.       Const member functions and free functions may be called from any thread at once, also in callbacks. Moving,
//                    assigning, closing or destroying one object is for one thread at a time. Not for signal handlers.
//  7. Text           is UTF-8, passed as `std::string_view` and copied before a call returns. Views out of a `Result` live as long as
//                    that `Result` or a copy of it.
//  8. Times          are `std::chrono` durations of any unit. A deadline of 0 is the client's `timeout`; a negative one is refused. Waits
//                    of 0 or less do not wait.

#ifndef TARGET_SDK_HPP
#define TARGET_SDK_HPP

#include "target_sdk.h"

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#if defined(__cpp_exceptions)
#  define TARGET_SDK_EXCEPTIONS 1
#  include <future>
#  include <stdexcept>
#else
#  define TARGET_SDK_EXCEPTIONS 0
#endif

#if defined(__cpp_impl_coroutine) && __has_include(<coroutine>)
#  define TARGET_SDK_COROUTINES 1
#  include <coroutine>
#else
#  define TARGET_SDK_COROUTINES 0
#endif

namespace target_sdk {
// Programs may hold objects that were compiled with different versions of this header.
inline namespace v1 {

using std::chrono::milliseconds;

/// As a deadline: the client's `timeout`.
inline constexpr milliseconds client_timeout{0};

/// As the timeout of `Queue::poll`: without limit.
inline constexpr milliseconds forever = milliseconds::max();

/// Outcome of a call. Later versions of the library may return numbers that have no name here.
enum class [[nodiscard]] Status : target_status {
  ok = TARGET_OK,                             ///< Success.
  invalid_arg = TARGET_E_INVALID_ARG,         ///< Invalid UTF-8, an embedded NUL, a negative deadline.
  bad_handle = TARGET_E_BAD_HANDLE,           ///< The object is empty, or what it named has ended.
  invalid_json = TARGET_E_INVALID_JSON,       ///< Not JSON, too deep or too large.
  invalid_options = TARGET_E_INVALID_OPTIONS, ///< JSON of the wrong shape; the document's `path` names the place.
  not_ready = TARGET_E_NOT_READY,             ///< On-device decisioning asked for and no artifact yet.
  timeout = TARGET_E_TIMEOUT,                 ///< The deadline of the call passed.
  cancelled = TARGET_E_CANCELLED,             ///< Cancelled by the program.
  queue_full = TARGET_E_QUEUE_FULL,           ///< The limits on calls in flight and waiting are reached.
  closed = TARGET_E_CLOSED,                   ///< The client is closing or closed, or the library is shutting down.
  would_deadlock = TARGET_E_WOULD_DEADLOCK,   ///< A waiting call made from a callback that it would wait for.
  network = TARGET_E_NETWORK,                 ///< DNS, connect, reset, proxy.
  tls = TARGET_E_TLS,                         ///< TLS handshake or certificate.
  http = TARGET_E_HTTP,                       ///< Target answered with a status that is not 2xx.
  decode = TARGET_E_DECODE,                   ///< Not what the Delivery API promises; or the value is of another type.
  artifact = TARGET_E_ARTIFACT,               ///< The artifact is unavailable, of an unsupported version, or invalid.
  no_attribute = TARGET_E_NO_ATTRIBUTE,       ///< No such mbox or attribute, or nothing at that JSON pointer.
  circuit_open = TARGET_E_CIRCUIT_OPEN,       ///< The server is known to be down: failed at once.
  forked = TARGET_E_FORKED,                   ///< The object belongs to the parent process.
  already_init = TARGET_E_ALREADY_INIT,       ///< `init` with other options than before.
  callback_stuck = TARGET_E_CALLBACK_STUCK,   ///< Gave up waiting for a callback that does not return.
  internal = TARGET_E_INTERNAL,               ///< Out of memory, or a bug in the library.
};

/// Name of a status as in the C header, for example "TARGET_E_TIMEOUT". Lives for ever.
inline const char *name(Status status) noexcept { return target_status_name(static_cast<target_status>(status)); }

/// Where a client is in its life.
enum class State : std::int32_t {
  starting = TARGET_STATE_STARTING, ///< Waiting for the first artifact.
  ready = TARGET_STATE_READY,       ///< Able to decide as configured.
  degraded = TARGET_STATE_DEGRADED, ///< No usable artifact; it goes on trying.
  offline = TARGET_STATE_OFFLINE,   ///< Configured never to open a socket.
  draining = TARGET_STATE_DRAINING, ///< Closing: no new calls, those in flight finish.
  closed = TARGET_STATE_CLOSED,     ///< Closed.
};

/// How much a log says; each level has those above it.
enum class Level : std::int32_t {
  off = TARGET_LOG_OFF,         ///< Nothing.
  error = TARGET_LOG_ERROR,     ///< Something failed and the program will notice.
  warning = TARGET_LOG_WARN,    ///< Something is wrong and was worked around.
  information = TARGET_LOG_INFO, ///< Rare and worth knowing.
  debug = TARGET_LOG_DEBUG,     ///< Each call.
  trace = TARGET_LOG_TRACE,     ///< Everything.
};

/// What a queue hands out.
enum class Kind : std::int32_t {
  call = TARGET_KIND_CALL,   ///< The answer of a call.
  event = TARGET_KIND_EVENT, ///< An event of a client.
  log = TARGET_KIND_LOG,     ///< A log record.
};

class Client;
class Queue;
class Result;
#if TARGET_SDK_EXCEPTIONS
class Error;
#endif

/// \cond What follows up to the end of this namespace is not for use.
namespace detail {

/// The C interface takes some short texts up to their NUL. `ok` is false for one that has a NUL inside, or without memory.
class Terminated {
public:
  explicit Terminated(std::string_view text) noexcept {
    char *to = text.size() < sizeof near_ ? near_ : (far_ = new (std::nothrow) char[text.size() + 1]);
    if (to == nullptr || (!text.empty() && std::memchr(text.data(), 0, text.size()) != nullptr)) return;
    if (!text.empty()) std::memcpy(to, text.data(), text.size());
    to[text.size()] = 0;
    text_ = to;
  }
  Terminated(const Terminated &) = delete;
  Terminated &operator=(const Terminated &) = delete;
  ~Terminated() { delete[] far_; }
  bool ok() const noexcept { return text_ != nullptr; }
  const char *get() const noexcept { return text_; }

private:
  char near_[128];
  char *far_ = nullptr;
  const char *text_ = nullptr;
};

/// As the C interface takes it: 0 to UINT32_MAX.
inline std::uint32_t wait_ms(milliseconds time) noexcept {
  if (time.count() <= 0) return 0;
  return time.count() >= std::int64_t{UINT32_MAX} ? UINT32_MAX : static_cast<std::uint32_t>(time.count());
}

inline void append_utf8(std::string &to, std::uint32_t code) {
  if (code < 0x80) {
    to += static_cast<char>(code);
  } else if (code < 0x800) {
    to += static_cast<char>(0xC0 | (code >> 6));
    to += static_cast<char>(0x80 | (code & 0x3F));
  } else if (code < 0x10000) {
    to += static_cast<char>(0xE0 | (code >> 12));
    to += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    to += static_cast<char>(0x80 | (code & 0x3F));
  } else {
    to += static_cast<char>(0xF0 | (code >> 18));
    to += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
    to += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
    to += static_cast<char>(0x80 | (code & 0x3F));
  }
}

/// The four hex digits at `at`, or -1.
inline std::int32_t hex4(std::string_view text, std::size_t at) noexcept {
  std::int32_t code = 0;
  for (std::size_t end = at + 4; at < end; at++) {
    if (at >= text.size()) return -1;
    const char c = text[at];
    const int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
    if (digit < 0) return -1;
    code = code * 16 + digit;
  }
  return code;
}

/// The text of a JSON string as the library writes it; false if that is no string.
inline bool unquote(std::string_view json, std::string &out) {
  if (json.size() < 2 || json.front() != '"' || json.back() != '"') return false;
  json = json.substr(1, json.size() - 2);
  out.clear();
  out.reserve(json.size());
  for (std::size_t i = 0; i < json.size(); i++) {
    if (json[i] != '\\') {
      out += json[i];
      continue;
    }
    if (++i >= json.size()) return false;
    switch (json[i]) {
    case 'b': out += '\b'; break;
    case 'f': out += '\f'; break;
    case 'n': out += '\n'; break;
    case 'r': out += '\r'; break;
    case 't': out += '\t'; break;
    case 'u': {
      std::int32_t code = hex4(json, i + 1);
      if (code < 0) return false;
      i += 4;
      if (code >= 0xD800 && code < 0xDC00 && i + 2 < json.size() && json[i + 1] == '\\' && json[i + 2] == 'u') {
        const std::int32_t low = hex4(json, i + 3);
        if (low >= 0xDC00 && low < 0xE000) {
          code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
          i += 6;
        }
      }
      append_utf8(out, code >= 0xD800 && code < 0xE000 ? 0xFFFD : static_cast<std::uint32_t>(code));
      break;
    }
    default: out += json[i]; // a quote, a slash, a backslash
    }
  }
  return true;
}

/// Shared by the library, until its release, and the object of the program that can take a callback back.
class Shared {
public:
  Shared() = default;
  Shared(const Shared &) = delete;
  Shared &operator=(const Shared &) = delete;
  virtual ~Shared() = default;
  void share() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void drop() noexcept {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

private:
  std::atomic<unsigned> owners_{1};
};

/// A callback for the answer of one call.
class Call : public Shared {
public:
  /// Whether the callback has begun. Once it has, only the dispatcher touches the callable.
  std::atomic<bool> begun{false};
  /// Runs the callable and destroys it.
  virtual void run(target_result borrowed) noexcept = 0;
  /// Destroys the callable.
  virtual void forget() noexcept = 0;
};

/// A callback for the events of one client.
class Events : public Shared {
public:
  /// The client has gone, from inside a callback: no event any more.
  std::atomic<bool> silent{false};
  virtual void run(std::string_view event) noexcept = 0;
  virtual void forget() noexcept = 0;
};

// What the library calls. An exception ends here, in std::terminate.
inline void a_callback_must_not_throw(target_request, target_result result, void *user_data) noexcept {
  auto *call = static_cast<Call *>(user_data);
  call->begun.store(true, std::memory_order_release);
  call->run(result);
}
inline void release_call(void *user_data) noexcept { static_cast<Call *>(user_data)->drop(); }

inline void an_event_callback_must_not_throw(target_client, const char *json, std::size_t len, void *user_data) noexcept {
  auto *events = static_cast<Events *>(user_data);
  if (!events->silent.load(std::memory_order_acquire)) events->run(std::string_view(json, len));
}
inline void release_events(void *user_data) noexcept { static_cast<Events *>(user_data)->drop(); }

template <class F>
void a_log_callback_must_not_throw(std::int32_t level, const char *module, const char *message, std::size_t len,
                                   void *user_data) noexcept {
  (*static_cast<F *>(user_data))(static_cast<Level>(level), std::string_view(module), std::string_view(message, len));
}
template <class F>
void release_log(void *user_data) noexcept {
  delete static_cast<F *>(user_data);
}

/// What to ask, in the order of the C interface.
enum class Operation { get_offers, send_notifications, get_attributes };

inline Status submit(Operation operation, target_client client, std::string_view mboxes, std::string_view options,
                     milliseconds deadline, target_call &call, target_request *out) noexcept {
  if (deadline.count() < 0) return Status::invalid_arg;
  call.size = sizeof call;
  call.deadline_ms = wait_ms(deadline);
  target_status status = TARGET_E_INTERNAL;
  switch (operation) {
  case Operation::get_offers: status = target_get_offers_ex(client, options.data(), options.size(), &call, out); break;
  case Operation::send_notifications:
    status = target_send_notifications_ex(client, options.data(), options.size(), &call, out);
    break;
  case Operation::get_attributes:
    status = target_get_attributes_ex(client, mboxes.data(), mboxes.size(), options.data(), options.size(), &call, out);
    break;
  }
  return static_cast<Status>(status);
}

} // namespace detail
/// \endcond

/// A document of the library: an answer, an error, a report, an event. Copies share it.
///
/// It outlives its client, and lives until the last copy goes. All functions are thread-safe and do not block.
class Result {
public:
  /// Empty: its status is `Status::bad_handle`.
  Result() noexcept = default;
  /// Empty, with the status of a call that was refused and has no document.
  explicit Result(Status status) noexcept : status_(status) {}
  /// Takes over a handle of the C interface that the program owns.
  static Result adopt(target_result owned) noexcept {
    Result result;
    result.handle_ = owned;
    return result;
  }
  /// Shares a handle of the C interface that is borrowed, as in a callback.
  static Result share(target_result borrowed) noexcept {
    Result result(static_cast<Status>(target_result_retain(borrowed)));
    if (result.status_ == Status::ok) result.handle_ = borrowed;
    return result;
  }
  Result(const Result &other) noexcept : Result(other.handle_ == 0 ? Result(other.status_) : share(other.handle_)) {}
  Result(Result &&other) noexcept
      : handle_(std::exchange(other.handle_, 0)), status_(std::exchange(other.status_, Status::bad_handle)) {}
  Result &operator=(Result other) noexcept {
    std::swap(handle_, other.handle_);
    std::swap(status_, other.status_);
    return *this;
  }
  ~Result() {
    if (handle_ != 0) target_result_free(handle_);
  }

  /// `Status::ok` for an answer, else why there is none.
  Status status() const noexcept { return handle_ == 0 ? status_ : static_cast<Status>(target_result_status(handle_)); }
  /// Whether this is an answer.
  bool ok() const noexcept { return handle_ != 0 && target_result_status(handle_) == TARGET_OK; }
  /// The whole document: the answer, or the error. NUL-terminated; "" when there is none.
  std::string_view json() const noexcept {
    const char *json = "";
    std::size_t len = 0;
    if (handle_ == 0 || target_result_json(handle_, &json, &len) != TARGET_OK) return {"", 0};
    return {json, len};
  }
  /// Handle for the C interface; still owned by this object. 0 when empty.
  target_result handle() const noexcept { return handle_; }
  /// Hands the handle out: the caller owns it.
  target_result release() noexcept { return std::exchange(handle_, 0); }

  /// A part of the document by JSON pointer (RFC 6901), as JSON text: a string keeps its quotes. `out` is NUL-terminated.
  Status get(const std::nothrow_t &, std::string_view json_pointer, std::string_view &out) const noexcept {
    return text_of(&target_result_get, out, json_pointer);
  }
  /// The string at a JSON pointer, without quotes and escapes. `Status::decode` when that is no string.
  Status text(const std::nothrow_t &, std::string_view json_pointer, std::string &out) const noexcept {
    std::string_view json;
    const Status status = get(std::nothrow, json_pointer, json);
    if (status != Status::ok) return status;
    return detail::unquote(json, out) ? Status::ok : Status::decode;
  }
  /// An attribute of an mbox as JSON text, of an answer to `get_attributes` or `get_offers`. `out` is NUL-terminated.
  Status get_value(const std::nothrow_t &, std::string_view mbox, std::string_view key, std::string_view &out) const noexcept {
    return text_of(&target_attributes_get_value, out, mbox, key);
  }
  /// An attribute that is a string. `out` is NUL-terminated and may hold NULs of its own.
  Status get_string(const std::nothrow_t &, std::string_view mbox, std::string_view key, std::string_view &out) const noexcept {
    return text_of(&target_attributes_get_string, out, mbox, key);
  }
  /// An attribute that is true or false.
  Status get_bool(const std::nothrow_t &, std::string_view mbox, std::string_view key, bool &out) const noexcept {
    return number_of(&target_attributes_get_bool, out, mbox, key);
  }
  /// An attribute that is a whole number.
  Status get_int64(const std::nothrow_t &, std::string_view mbox, std::string_view key, std::int64_t &out) const noexcept {
    return number_of(&target_attributes_get_int64, out, mbox, key);
  }
  /// An attribute that is a number.
  Status get_double(const std::nothrow_t &, std::string_view mbox, std::string_view key, double &out) const noexcept {
    return number_of(&target_attributes_get_double, out, mbox, key);
  }
  /// All attributes of one mbox: `{"key": value}`.
  Status as_object(const std::nothrow_t &, std::string_view mbox, std::string_view &out) const noexcept {
    return text_of(&target_attributes_as_object, out, mbox);
  }
  /// All attributes of all mboxes: `{"mbox": {"key": value}}`.
  Status as_object(const std::nothrow_t &, std::string_view &out) const noexcept {
    const char *json = "";
    std::size_t len = 0;
    const Status status = own_or(target_attributes_as_object(handle_, nullptr, &json, &len));
    out = status == Status::ok ? std::string_view(json, len) : std::string_view("", 0);
    return status;
  }

#if TARGET_SDK_EXCEPTIONS
  // The same, throwing `Error`.

  std::string_view get(std::string_view json_pointer) const;                          ///< Part of the document, as JSON text.
  std::string text(std::string_view json_pointer) const;                              ///< String in the document.
  std::string_view get_value(std::string_view mbox, std::string_view key) const;      ///< Attribute as JSON text.
  std::string_view get_string(std::string_view mbox, std::string_view key) const;     ///< Attribute that is a string.
  bool get_bool(std::string_view mbox, std::string_view key) const;                   ///< Attribute that is true or false.
  std::int64_t get_int64(std::string_view mbox, std::string_view key) const;          ///< Attribute that is a whole number.
  double get_double(std::string_view mbox, std::string_view key) const;               ///< Attribute that is a number.
  std::string_view as_object(std::string_view mbox) const;                            ///< All attributes of one mbox.
  std::string_view as_object() const;                                                 ///< All attributes of all mboxes.
#endif

private:
  // An empty result says why it is empty.
  Status own_or(target_status status) const noexcept {
    return handle_ == 0 && status_ != Status::ok ? status_ : static_cast<Status>(status);
  }
  template <class Function, class... Names>
  Status text_of(Function function, std::string_view &out, const Names &...names) const noexcept {
    return terminated(
        [&](auto... texts) {
          const char *text = "";
          std::size_t len = 0;
          const Status status = own_or(function(handle_, texts..., &text, &len));
          out = status == Status::ok ? std::string_view(text, len) : std::string_view("", 0);
          return status;
        },
        detail::Terminated(names)...);
  }
  template <class Function, class Value>
  Status number_of(Function function, Value &out, std::string_view mbox, std::string_view key) const noexcept {
    out = Value{};
    return terminated([&](const char *m, const char *k) { return own_or(function(handle_, m, k, &out)); }, detail::Terminated(mbox),
                      detail::Terminated(key));
  }
  template <class Function, class... Texts>
  static Status terminated(Function function, const Texts &...texts) noexcept {
    return (texts.ok() && ...) ? function(texts.get()...) : Status::invalid_arg;
  }

  target_result handle_ = 0;
  Status status_ = Status::bad_handle; // of an empty one
};

#if TARGET_SDK_EXCEPTIONS

/// What every function of the throwing half throws. Copies share the document.
class [[gnu::visibility("default")]] Error : public std::runtime_error {
public:
  /// From an error of the library.
  explicit Error(Result result, const char *during = "the call was refused")
      : std::runtime_error(describe(result, during)), result_(std::move(result)), status_(result_.status()) {}
  /// From a status without a document.
  Error(Status status, const char *during) : Error(Result(status), during) {}

  /// What kind of failure this is: for programs.
  Status status() const noexcept { return status_; }
  /// The error document as JSON (docs/errors.md), or "" when the call was refused and there is none. Lives as long as this.
  std::string_view document() const noexcept { return result_.json(); }
  /// The document as a result, for its members: `error.result().text("/path")`.
  const Result &result() const noexcept { return result_; }
  /// Whether asking again later may help.
  bool retryable() const noexcept {
    std::string_view json;
    return result_.get(std::nothrow, "/retryable", json) == Status::ok
               ? json == "true"
               : status_ == Status::queue_full || status_ == Status::not_ready || status_ == Status::timeout;
  }

private:
  static std::string describe(const Result &result, const char *during) {
    std::string message;
    if (result.text(std::nothrow, "/message", message) != Status::ok) message = during;
    return std::string(name(result.status())) + ": " + message;
  }

  Result result_;
  Status status_;
};

/// \cond
namespace detail {
inline void check(Status status, const char *during) {
  if (status != Status::ok) throw Error(status, during);
}
/// `error` has the document, if there is one.
inline void check(Status status, Result &error, const char *during) {
  if (status == Status::ok) return;
  throw error.handle() == 0 ? Error(status, during) : Error(std::move(error), during);
}
} // namespace detail
/// \endcond

inline std::string_view Result::get(std::string_view json_pointer) const {
  std::string_view out;
  detail::check(get(std::nothrow, json_pointer, out), "nothing at that JSON pointer");
  return out;
}
inline std::string Result::text(std::string_view json_pointer) const {
  std::string out;
  detail::check(text(std::nothrow, json_pointer, out), "no string at that JSON pointer");
  return out;
}
inline std::string_view Result::get_value(std::string_view mbox, std::string_view key) const {
  std::string_view out;
  detail::check(get_value(std::nothrow, mbox, key, out), "no such attribute");
  return out;
}
inline std::string_view Result::get_string(std::string_view mbox, std::string_view key) const {
  std::string_view out;
  detail::check(get_string(std::nothrow, mbox, key, out), "no such attribute that is a string");
  return out;
}
inline bool Result::get_bool(std::string_view mbox, std::string_view key) const {
  bool out = false;
  detail::check(get_bool(std::nothrow, mbox, key, out), "no such attribute that is a boolean");
  return out;
}
inline std::int64_t Result::get_int64(std::string_view mbox, std::string_view key) const {
  std::int64_t out = 0;
  detail::check(get_int64(std::nothrow, mbox, key, out), "no such attribute that is a whole number");
  return out;
}
inline double Result::get_double(std::string_view mbox, std::string_view key) const {
  double out = 0;
  detail::check(get_double(std::nothrow, mbox, key, out), "no such attribute that is a number");
  return out;
}
inline std::string_view Result::as_object(std::string_view mbox) const {
  std::string_view out;
  detail::check(as_object(std::nothrow, mbox, out), "no attributes of that mbox");
  return out;
}
inline std::string_view Result::as_object() const {
  std::string_view out;
  detail::check(as_object(std::nothrow, out), "no attributes");
  return out;
}

#endif // TARGET_SDK_EXCEPTIONS

/// \cond
namespace detail {

template <class F>
class CallOf final : public Call {
public:
  template <class G>
  explicit CallOf(G &&callable) : callable_(std::in_place, std::forward<G>(callable)) {}
  void run(target_result borrowed) noexcept override {
    (*callable_)(Result::share(borrowed));
    callable_.reset();
  }
  void forget() noexcept override { callable_.reset(); }

private:
  std::optional<F> callable_;
};

template <class F>
class EventsOf final : public Events {
public:
  template <class G>
  explicit EventsOf(G &&callable) : callable_(std::in_place, std::forward<G>(callable)) {}
  void run(std::string_view event) noexcept override { (*callable_)(event); }
  void forget() noexcept override { callable_.reset(); }

private:
  std::optional<F> callable_;
};

template <class F>
using for_answers = std::enable_if_t<std::is_invocable_v<std::decay_t<F> &, Result>, int>;
template <class F>
using for_events = std::enable_if_t<std::is_invocable_v<std::decay_t<F> &, std::string_view>, int>;
template <class F>
using for_logs = std::enable_if_t<std::is_invocable_v<std::decay_t<F> &, Level, std::string_view, std::string_view>, int>;

} // namespace detail
/// \endcond

/// A call in flight whose answer goes to a callback. Owns the callback: destroying this takes it back.
///
/// Do not hold a lock in `abandon` or the destructor that the callback takes, too: they wait for a callback that is running.
class [[nodiscard]] Request {
public:
  /// Empty.
  Request() noexcept = default;
  Request(Request &&other) noexcept : handle_(std::exchange(other.handle_, 0)), call_(std::exchange(other.call_, nullptr)) {}
  /// Abandons the call that this had.
  Request &operator=(Request &&other) noexcept {
    if (this != &other) {
      abandon();
      handle_ = std::exchange(other.handle_, 0);
      call_ = std::exchange(other.call_, nullptr);
    }
    return *this;
  }
  /// `abandon`.
  ~Request() { abandon(); }

  /// "Stop, and tell me": the callback runs with `Status::cancelled`, or with an answer that was a moment faster. Does not block.
  /// False when there is nothing to stop: the callback has returned, or this is empty.
  bool cancel() const noexcept { return target_request_cancel(handle_) == TARGET_OK; }

  /// "Forget me": afterwards the callback is not running and will not run, and its captures are destroyed. Waits for the callback if
  /// it is running on the dispatcher; called from inside it, returns at once (the captures then go when it returns). Leaves this empty.
  void abandon() noexcept {
    if (call_ == nullptr) return;
    const target_status status = target_request_abandon(handle_);
    // Nobody else touches the callable of a callback that can no longer begin. A child process only leaves it alone.
    if (status != TARGET_E_FORKED && !call_->begun.load(std::memory_order_acquire)) call_->forget();
    std::exchange(call_, nullptr)->drop();
    handle_ = 0;
  }

  /// Lets the call go on without this object: the callback will run, and owns itself. Leaves this empty.
  void detach() noexcept {
    if (call_ != nullptr) std::exchange(call_, nullptr)->drop();
    handle_ = 0;
  }

  /// Whether this is not empty. The callback may have run.
  explicit operator bool() const noexcept { return call_ != nullptr; }
  /// Handle for the C interface; 0 when empty.
  target_request handle() const noexcept { return handle_; }

private:
  friend class Client;
  target_request handle_ = 0;
  detail::Call *call_ = nullptr;
};

/// Cancels a call whose answer goes to a queue: it completes there with `Status::cancelled`, or with an answer that was faster. False
/// when it was polled already.
inline bool cancel(target_request request) noexcept { return target_request_cancel(request) == TARGET_OK; }
/// Ends a call whose answer goes to a queue: nothing arrives there. False when it was polled already.
inline bool abandon(target_request request) noexcept { return target_request_abandon(request) == TARGET_OK; }

/// Something that a queue hands out.
struct Completion {
  std::uint64_t tag = 0;       ///< The program's tag.
  target_request request = 0;  ///< The call that this answers; its handle has ended. 0 for events and log records.
  Status status = Status::ok;  ///< Status of the document.
  Kind kind = Kind::call;      ///< What this is.
  Result result;               ///< The document.
};

/// A completion queue, for event loops: no code of the program runs on threads of the library. Thread-safe.
///
/// Destroying it throws away what was not polled; calls that would have arrived run on, unheard.
class Queue {
public:
  /// Empty.
  Queue() noexcept = default;
  Queue(Queue &&other) noexcept : handle_(std::exchange(other.handle_, 0)) {}
  Queue &operator=(Queue &&other) noexcept {
    if (this != &other) {
      target_queue_destroy(handle_);
      handle_ = std::exchange(other.handle_, 0);
    }
    return *this;
  }
  ~Queue() { target_queue_destroy(handle_); }

  /// Makes a queue.
  static Status create(const std::nothrow_t &, Queue &out) noexcept {
    Queue made;
    const target_status status = target_queue_create(&made.handle_);
    out = std::move(made);
    return static_cast<Status>(status);
  }
  /// A descriptor for epoll, poll or select: readable (level-triggered) while there is something to poll. It belongs to the library:
  /// only watch it, and stop watching before this object goes.
  Status fd(const std::nothrow_t &, int &out) const noexcept {
    std::intptr_t fd = -1;
    const target_status status = target_queue_fd(handle_, &fd);
    out = static_cast<int>(fd);
    return static_cast<Status>(status);
  }
  /// Takes completions in the order they came, into `out`, which has room for `room` (64 at a time at most).
  ///
  /// Waits up to `timeout` for the first one: 0 does not wait, `forever` has no limit. `count` is 0 when the time passed or `wake` was
  /// called.
  Status poll(const std::nothrow_t &, Completion *out, std::size_t room, std::size_t &count, milliseconds timeout = {}) const noexcept {
    target_completion batch[64];
    count = 0;
    const std::uint32_t wait = detail::wait_ms(timeout);
    const std::int32_t wait_ms = timeout == forever ? -1 : wait > std::uint32_t{INT32_MAX} ? INT32_MAX : static_cast<std::int32_t>(wait);
    const std::int32_t taken = target_queue_poll(handle_, batch, static_cast<std::uint32_t>(room < 64 ? room : 64), wait_ms);
    if (taken < 0) return static_cast<Status>(taken);
    for (; count < static_cast<std::size_t>(taken); count++) {
      const target_completion &one = batch[count];
      out[count].tag = one.tag;
      out[count].request = one.request;
      out[count].status = static_cast<Status>(one.status);
      out[count].kind = static_cast<Kind>(one.kind);
      out[count].result = Result::adopt(one.result);
    }
    return Status::ok;
  }
  /// Makes one poll, running or the next, return at once.
  Status wake(const std::nothrow_t &) const noexcept { return static_cast<Status>(target_queue_wake(handle_)); }

#if TARGET_SDK_EXCEPTIONS
  /// Makes a queue.
  static Queue create() {
    Queue made;
    detail::check(create(std::nothrow, made), "no queue");
    return made;
  }
  /// As above.
  int fd() const {
    int out = -1;
    detail::check(fd(std::nothrow, out), "no descriptor");
    return out;
  }
  /// As above; at most 64 completions.
  std::vector<Completion> poll(milliseconds timeout = {}) const {
    std::vector<Completion> completions(64);
    std::size_t count = 0;
    detail::check(poll(std::nothrow, completions.data(), completions.size(), count, timeout), "the queue cannot be polled");
    completions.resize(count);
    return completions;
  }
  /// As above.
  void wake() const { detail::check(wake(std::nothrow), "the queue cannot be woken"); }
#endif

  /// Whether this is not empty.
  explicit operator bool() const noexcept { return handle_ != 0; }
  /// Handle for the C interface; still owned by this object. 0 when empty.
  target_queue handle() const noexcept { return handle_; }

private:
  target_queue handle_ = 0;
};

#if TARGET_SDK_COROUTINES
/// \cond
namespace detail {
struct OnDispatcher {};
struct ToStatus {
  static Result take(Result result) noexcept { return result; }
};
#if TARGET_SDK_EXCEPTIONS
struct ToException {
  static Result take(Result result) {
    if (!result.ok()) throw Error(std::move(result));
    return result;
  }
};
#endif
} // namespace detail
/// \endcond

/// Resumes a coroutine that waits for an answer: `void()`, copyable, for an executor to run once. Does nothing when the coroutine has
/// been destroyed in the meantime.
class Resume {
public:
  void operator()() const {
    if (void *waiting = waiting_->exchange(nullptr, std::memory_order_acq_rel)) std::coroutine_handle<>::from_address(waiting).resume();
  }

private:
  template <class Executor, class Outcome>
  friend class Awaitable;
  explicit Resume(std::shared_ptr<std::atomic<void *>> waiting) noexcept : waiting_(std::move(waiting)) {}
  std::shared_ptr<std::atomic<void *>> waiting_;
};

/// A call for `co_await`, which makes it and gives its `Result`.
///
/// The coroutine goes on inside a callback of the library's dispatcher, or, after `.on(executor)`, where that runs it. A call that is
/// refused does not suspend. Destroying the coroutine while it waits abandons the call; do that where nothing can resume it at that
/// moment: on its executor, or (without one) in a callback on the dispatcher.
template <class Executor, class Outcome>
class [[nodiscard]] Awaitable {
public:
  /// For functions that take awaitables by value. Not after the wait has begun.
  Awaitable(Awaitable &&other) noexcept(std::is_nothrow_move_constructible_v<Executor>)
      : operation_(other.operation_), client_(other.client_), mboxes_(std::move(other.mboxes_)), options_(std::move(other.options_)),
        deadline_(other.deadline_), has_options_(other.has_options_), executor_(std::move(other.executor_)),
        waiting_(std::move(other.waiting_)) {}
  Awaitable &operator=(Awaitable &&) = delete;
  ~Awaitable() {
    if (request_ != 0 && !answered_.load(std::memory_order_acquire)) target_request_abandon(request_);
    if (waiting_ != nullptr) waiting_->store(nullptr, std::memory_order_release);
  }

  /// Where the coroutine goes on: `executor(resume)` is called on the dispatcher, once, with a `Resume` for it to run on a thread of
  /// the program. It must not throw.
  template <class Other>
  Awaitable<std::decay_t<Other>, Outcome> on(Other &&executor) && {
    static_assert(std::is_invocable_v<std::decay_t<Other> &, Resume>, "an executor is called with a target_sdk::Resume");
    return {std::move(*this), std::forward<Other>(executor)};
  }

  /// \cond
  bool await_ready() const noexcept { return false; }
  // Not inlined: when the library has the call, the coroutine may go on, and even end, before this returns. What this works with
  // must then be on this thread's stack, not in the coroutine.
  [[gnu::noinline]] bool await_suspend(std::coroutine_handle<> coroutine) noexcept {
    coroutine_ = coroutine;
    if (waiting_ != nullptr) waiting_->store(coroutine.address(), std::memory_order_release);
    target_call call{};
    call.on_done = &answered;
    call.user_data = this;
    const std::string_view options = has_options_ ? std::string_view(options_) : std::string_view();
    const Status status = detail::submit(operation_, client_, mboxes_, options, deadline_, call, &request_);
    if (status == Status::ok) return true;
    result_ = Result(status);
    return false;
  }
  Result await_resume() noexcept(std::is_same_v<Outcome, detail::ToStatus>) { return Outcome::take(std::move(result_)); }
  /// \endcond

private:
  friend class Client;
  template <class, class>
  friend class Awaitable;

  Awaitable(detail::Operation operation, target_client client, std::string_view mboxes, std::string_view options, milliseconds deadline)
      : operation_(operation), client_(client), mboxes_(mboxes), options_(options), deadline_(deadline),
        has_options_(options.data() != nullptr) {}
  template <class Other>
  Awaitable(Awaitable<Other, Outcome> &&from, Executor executor)
      : operation_(from.operation_), client_(from.client_), mboxes_(std::move(from.mboxes_)), options_(std::move(from.options_)),
        deadline_(from.deadline_), has_options_(from.has_options_), executor_(std::move(executor)),
        waiting_(std::make_shared<std::atomic<void *>>(nullptr)) {}

  static void answered(target_request, target_result result, void *user_data) noexcept {
    auto *self = static_cast<Awaitable *>(user_data);
    self->result_ = Result::share(result);
    if constexpr (std::is_same_v<Executor, detail::OnDispatcher>) {
      const std::coroutine_handle<> coroutine = self->coroutine_;
      self->answered_.store(true, std::memory_order_release); // from here on `self` may be gone
      coroutine.resume();
    } else {
      Executor executor = std::move(self->executor_);
      Resume resume(self->waiting_);
      self->answered_.store(true, std::memory_order_release);
      executor(std::move(resume));
    }
  }

  detail::Operation operation_;
  target_client client_;
  std::string mboxes_;
  std::string options_;
  milliseconds deadline_;
  bool has_options_;
  Executor executor_{};
  std::shared_ptr<std::atomic<void *>> waiting_; // with an executor: whom to resume, until somebody did
  std::coroutine_handle<> coroutine_;
  target_request request_ = 0; // written before the callback can run, and never again
  std::atomic<bool> answered_{false};
  Result result_;
};
#endif // TARGET_SDK_COROUTINES

/// A client: configuration, connections, the rules artifact. Make one and keep it; all threads may use it.
///
/// Options, configuration and answers are JSON as in docs/configuration.md, passed on unchanged. A deadline covers everything, retries
/// included. When a function of the throwing half throws, no callback runs and no answer comes.
class Client {
public:
  /// How long the destructor waits for calls in flight and queued notifications, unless `drain` says otherwise.
  static constexpr milliseconds default_drain{1000};

  /// Empty.
  Client() noexcept = default;
  Client(Client &&other) noexcept
      : handle_(std::exchange(other.handle_, 0)), events_(std::exchange(other.events_, nullptr)), drain_(other.drain_) {}
  /// Ends the client that this had, like the destructor.
  Client &operator=(Client &&other) noexcept {
    if (this != &other) {
      end();
      handle_ = std::exchange(other.handle_, 0);
      events_ = std::exchange(other.events_, nullptr);
      drain_ = other.drain_;
    }
    return *this;
  }
  /// Closes: waits for calls in flight and notifications for `drain`, then cancels what is left, and for callbacks. Bounded: the drain
  /// time and 200 ms. Afterwards no callback of this client is running or will run (unless one did not return in that time).
  ///
  /// From inside a callback it does not wait: its calls then end with `Status::closed`, notifications that are queued are lost, and no
  /// event comes any more.
  ~Client() { end(); }

  /// Makes a client. Does not block: an artifact is fetched in the background.
  ///
  /// `error`, if given, receives the error document when the configuration is wrong.
  static Status create(const std::nothrow_t &, std::string_view config, Client &out, Result *error = nullptr) noexcept {
    return create(config, nullptr, nullptr, 0, out, error);
  }
  /// Makes a client whose events go to `on_event(std::string_view event)`, a JSON document each, on the dispatcher. The view lives until
  /// the callable returns. It is destroyed when this client is (when that happens inside a callback: soon after).
  template <class OnEvent, detail::for_events<OnEvent> = 0>
  static Status create(const std::nothrow_t &, std::string_view config, OnEvent &&on_event, Client &out, Result *error = nullptr) noexcept {
    auto *events = new (std::nothrow) detail::EventsOf<std::decay_t<OnEvent>>(std::forward<OnEvent>(on_event));
    if (events == nullptr) return Status::internal;
    return create(config, events, nullptr, 0, out, error);
  }
  /// Makes a client whose events go to a queue, with `tag`.
  static Status create(const std::nothrow_t &, std::string_view config, const Queue &queue, std::uint64_t tag, Client &out,
                       Result *error = nullptr) noexcept {
    if (!queue) return Status::bad_handle;
    return create(config, nullptr, &queue, tag, out, error);
  }

  /// Time that the destructor gives to calls in flight and queued notifications; 0 cancels them at once.
  void drain(milliseconds time) noexcept { drain_ = time; }

  /// Where the client is in its life.
  Status state(const std::nothrow_t &, State &out) const noexcept {
    std::int32_t state = 0;
    const target_status status = target_client_state(handle_, &state);
    out = static_cast<State>(state);
    return static_cast<Status>(status);
  }
  /// Waits until the client is able to decide as configured: `Status::timeout` when it still starts, `Status::not_ready` when the first
  /// artifact could not be had (it goes on trying). A server-side client always is.
  Status wait_ready(const std::nothrow_t &, milliseconds timeout) const noexcept {
    return static_cast<Status>(target_client_wait_ready(handle_, detail::wait_ms(timeout)));
  }
  /// Sends what is queued in the background and waits for the outcome, which `report` receives:
  /// `{"delivered":n,"dropped":n,"pending":n}`. `Status::timeout` when something is still pending.
  Status flush(const std::nothrow_t &, milliseconds timeout, Result *report = nullptr) const noexcept {
    return with_result(report, [&](target_result *out) { return target_client_flush(handle_, detail::wait_ms(timeout), out); });
  }
  /// Statistics, described in docs/statistics.md.
  Status stats(const std::nothrow_t &, Result &out) const noexcept {
    return with_result(&out, [&](target_result *result) { return target_client_stats(handle_, result); });
  }
  /// The rules artifact in use, for starting another process without a download. `Status::not_ready` when there is none.
  Status artifact(const std::nothrow_t &, Result &out) const noexcept {
    return with_result(&out, [&](target_result *result) { return target_client_artifact(handle_, result); });
  }
  /// Closes, as the destructor does, for `drain` and 200 ms at most; the object stays, for `state`. A close during another one waits
  /// for that one's end, and is `Status::timeout` when that takes longer. `report` receives
  /// `{"completed":n,"cancelled":n,"delivered":n,"dropped":n}`. `Status::callback_stuck` when a callback does not return,
  /// `Status::would_deadlock` inside a callback.
  Status close(const std::nothrow_t &, milliseconds drain, Result *report = nullptr) noexcept {
    return with_result(report, [&](target_result *out) { return target_client_close(handle_, detail::wait_ms(drain), out); });
  }

  /// Asks Target for offers and waits for the answer: `out` has it, or the error. Decisions on the device are made on this thread.
  Status get_offers(const std::nothrow_t &, std::string_view options, Result &out, milliseconds deadline = client_timeout) const noexcept {
    return wait_for(deadline, out, [&](std::uint32_t ms, target_result *result) {
      return target_get_offers_sync(handle_, options.data(), options.size(), ms, result);
    });
  }
  /// Tells Target what was shown or clicked, and waits for the answer.
  Status send_notifications(const std::nothrow_t &, std::string_view options, Result &out,
                            milliseconds deadline = client_timeout) const noexcept {
    return wait_for(deadline, out, [&](std::uint32_t ms, target_result *result) {
      return target_send_notifications_sync(handle_, options.data(), options.size(), ms, result);
    });
  }
  /// Asks Target for the JSON offers of some mboxes, a JSON array of names, and waits for the answer. Without `options`: an anonymous
  /// visitor.
  Status get_attributes(const std::nothrow_t &, std::string_view mboxes, std::string_view options, Result &out,
                        milliseconds deadline = client_timeout) const noexcept {
    return wait_for(deadline, out, [&](std::uint32_t ms, target_result *result) {
      return target_get_attributes_sync(handle_, mboxes.data(), mboxes.size(), options.data(), options.size(), ms, result);
    });
  }

  /// The same with a callback: `callback(Result)` runs exactly once, on the dispatcher, never inside this call, unless the request is
  /// abandoned. Any callable will do, also one that can only be moved; it is destroyed after it ran. When this returns an error it never
  /// runs. The callback may run before this has returned, and so before `out` is written for other threads to see.
  template <class Callback, detail::for_answers<Callback> = 0>
  Status get_offers(const std::nothrow_t &, std::string_view options, Callback &&callback, Request &out,
                    milliseconds deadline = client_timeout) const noexcept {
    return call_back(detail::Operation::get_offers, {}, options, std::forward<Callback>(callback), out, deadline);
  }
  /// As `get_offers` with a callback.
  template <class Callback, detail::for_answers<Callback> = 0>
  Status send_notifications(const std::nothrow_t &, std::string_view options, Callback &&callback, Request &out,
                            milliseconds deadline = client_timeout) const noexcept {
    return call_back(detail::Operation::send_notifications, {}, options, std::forward<Callback>(callback), out, deadline);
  }
  /// As `get_offers` with a callback.
  template <class Callback, detail::for_answers<Callback> = 0>
  Status get_attributes(const std::nothrow_t &, std::string_view mboxes, std::string_view options, Callback &&callback, Request &out,
                        milliseconds deadline = client_timeout) const noexcept {
    return call_back(detail::Operation::get_attributes, mboxes, options, std::forward<Callback>(callback), out, deadline);
  }

  /// The same with a queue, where the answer arrives with `tag`. `out`, if given, receives a number for `cancel` and `abandon`.
  Status get_offers(const std::nothrow_t &, std::string_view options, const Queue &queue, std::uint64_t tag, target_request *out = nullptr,
                    milliseconds deadline = client_timeout) const noexcept {
    return enqueue(detail::Operation::get_offers, {}, options, queue, tag, out, deadline);
  }
  /// As `get_offers` with a queue.
  Status send_notifications(const std::nothrow_t &, std::string_view options, const Queue &queue, std::uint64_t tag,
                            target_request *out = nullptr, milliseconds deadline = client_timeout) const noexcept {
    return enqueue(detail::Operation::send_notifications, {}, options, queue, tag, out, deadline);
  }
  /// As `get_offers` with a queue.
  Status get_attributes(const std::nothrow_t &, std::string_view mboxes, std::string_view options, const Queue &queue, std::uint64_t tag,
                        target_request *out = nullptr, milliseconds deadline = client_timeout) const noexcept {
    return enqueue(detail::Operation::get_attributes, mboxes, options, queue, tag, out, deadline);
  }

#if TARGET_SDK_COROUTINES
  /// The same for `co_await`, giving a `Result` whatever happens: `status()` says what. The texts are copied at once.
  Awaitable<detail::OnDispatcher, detail::ToStatus> co_get_offers(const std::nothrow_t &, std::string_view options,
                                                                  milliseconds deadline = client_timeout) const {
    return {detail::Operation::get_offers, handle_, {}, options, deadline};
  }
  /// As `co_get_offers`.
  Awaitable<detail::OnDispatcher, detail::ToStatus> co_send_notifications(const std::nothrow_t &, std::string_view options,
                                                                          milliseconds deadline = client_timeout) const {
    return {detail::Operation::send_notifications, handle_, {}, options, deadline};
  }
  /// As `co_get_offers`.
  Awaitable<detail::OnDispatcher, detail::ToStatus> co_get_attributes(const std::nothrow_t &, std::string_view mboxes,
                                                                      std::string_view options = {},
                                                                      milliseconds deadline = client_timeout) const {
    return {detail::Operation::get_attributes, handle_, mboxes, options, deadline};
  }
#endif

#if TARGET_SDK_EXCEPTIONS
  // The same, throwing `Error`.

  /// Makes a client.
  static Client create(std::string_view config) {
    Client made;
    Result error;
    detail::check(create(std::nothrow, config, made, &error), error, "no client");
    return made;
  }
  /// Makes a client whose events go to a callable.
  template <class OnEvent, detail::for_events<OnEvent> = 0>
  static Client create(std::string_view config, OnEvent &&on_event) {
    Client made;
    Result error;
    auto events = std::make_unique<detail::EventsOf<std::decay_t<OnEvent>>>(std::forward<OnEvent>(on_event));
    detail::check(create(config, events.release(), nullptr, 0, made, &error), error, "no client");
    return made;
  }
  /// Makes a client whose events go to a queue.
  static Client create(std::string_view config, const Queue &queue, std::uint64_t tag) {
    Client made;
    Result error;
    detail::check(create(std::nothrow, config, queue, tag, made, &error), error, "no client");
    return made;
  }

  /// Where the client is in its life.
  State state() const {
    State out = State::closed;
    detail::check(state(std::nothrow, out), "no client");
    return out;
  }
  /// Waits until the client is able to decide as configured.
  void wait_ready(milliseconds timeout) const { detail::check(wait_ready(std::nothrow, timeout), "the client is not ready"); }
  /// Sends what is queued in the background; the report. Throws with `Status::timeout` when something is still pending.
  Result flush(milliseconds timeout) const {
    Result report;
    detail::check(flush(std::nothrow, timeout, &report), "not all was sent");
    return report;
  }
  /// Statistics.
  Result stats() const {
    Result out;
    detail::check(stats(std::nothrow, out), "no statistics");
    return out;
  }
  /// The rules artifact in use.
  Result artifact() const {
    Result out;
    detail::check(artifact(std::nothrow, out), "no artifact");
    return out;
  }
  /// Closes; the report.
  Result close(milliseconds drain) {
    Result report;
    detail::check(close(std::nothrow, drain, &report), "the client could not be closed in time");
    return report;
  }

  /// Asks Target for offers and waits for the answer.
  Result get_offers(std::string_view options, milliseconds deadline = client_timeout) const {
    Result out;
    detail::check(get_offers(std::nothrow, options, out, deadline), out, "get_offers was refused");
    return out;
  }
  /// Tells Target what was shown or clicked, and waits for the answer.
  Result send_notifications(std::string_view options, milliseconds deadline = client_timeout) const {
    Result out;
    detail::check(send_notifications(std::nothrow, options, out, deadline), out, "send_notifications was refused");
    return out;
  }
  /// Asks Target for the JSON offers of some mboxes and waits for the answer.
  Result get_attributes(std::string_view mboxes, std::string_view options = {}, milliseconds deadline = client_timeout) const {
    Result out;
    detail::check(get_attributes(std::nothrow, mboxes, options, out, deadline), out, "get_attributes was refused");
    return out;
  }

  /// The same with a callback. Keep the `Request`: destroying it takes the callback back; or `detach` it.
  template <class Callback, detail::for_answers<Callback> = 0>
  Request get_offers(std::string_view options, Callback &&callback, milliseconds deadline = client_timeout) const {
    return call_back(detail::Operation::get_offers, {}, options, std::forward<Callback>(callback), deadline, "get_offers was refused");
  }
  /// As `get_offers` with a callback.
  template <class Callback, detail::for_answers<Callback> = 0>
  Request send_notifications(std::string_view options, Callback &&callback, milliseconds deadline = client_timeout) const {
    return call_back(detail::Operation::send_notifications, {}, options, std::forward<Callback>(callback), deadline,
                     "send_notifications was refused");
  }
  /// As `get_offers` with a callback.
  template <class Callback, detail::for_answers<Callback> = 0>
  Request get_attributes(std::string_view mboxes, std::string_view options, Callback &&callback,
                         milliseconds deadline = client_timeout) const {
    return call_back(detail::Operation::get_attributes, mboxes, options, std::forward<Callback>(callback), deadline,
                     "get_attributes was refused");
  }

  /// The same with a queue; a number for `cancel` and `abandon`.
  target_request get_offers(std::string_view options, const Queue &queue, std::uint64_t tag, milliseconds deadline = client_timeout) const {
    target_request request = 0;
    detail::check(get_offers(std::nothrow, options, queue, tag, &request, deadline), "get_offers was refused");
    return request;
  }
  /// As `get_offers` with a queue.
  target_request send_notifications(std::string_view options, const Queue &queue, std::uint64_t tag,
                                    milliseconds deadline = client_timeout) const {
    target_request request = 0;
    detail::check(send_notifications(std::nothrow, options, queue, tag, &request, deadline), "send_notifications was refused");
    return request;
  }
  /// As `get_offers` with a queue.
  target_request get_attributes(std::string_view mboxes, std::string_view options, const Queue &queue, std::uint64_t tag,
                                milliseconds deadline = client_timeout) const {
    target_request request = 0;
    detail::check(get_attributes(std::nothrow, mboxes, options, queue, tag, &request, deadline), "get_attributes was refused");
    return request;
  }

  /// The same with a future, which gives the answer or throws `Error`. A call that is refused throws here. Waiting for it in a callback
  /// would wait for ever: the dispatcher is what fulfils it.
  std::future<Result> get_offers_async(std::string_view options, milliseconds deadline = client_timeout) const {
    return later([&](auto &&callback) { return get_offers(options, std::move(callback), deadline); });
  }
  /// As `get_offers_async`.
  std::future<Result> send_notifications_async(std::string_view options, milliseconds deadline = client_timeout) const {
    return later([&](auto &&callback) { return send_notifications(options, std::move(callback), deadline); });
  }
  /// As `get_offers_async`.
  std::future<Result> get_attributes_async(std::string_view mboxes, std::string_view options = {},
                                           milliseconds deadline = client_timeout) const {
    return later([&](auto &&callback) { return get_attributes(mboxes, options, std::move(callback), deadline); });
  }

#  if TARGET_SDK_COROUTINES
  /// The same for `co_await`, which gives the answer or throws `Error`. The texts are copied at once.
  Awaitable<detail::OnDispatcher, detail::ToException> co_get_offers(std::string_view options, milliseconds deadline = client_timeout) const {
    return {detail::Operation::get_offers, handle_, {}, options, deadline};
  }
  /// As `co_get_offers`.
  Awaitable<detail::OnDispatcher, detail::ToException> co_send_notifications(std::string_view options,
                                                                             milliseconds deadline = client_timeout) const {
    return {detail::Operation::send_notifications, handle_, {}, options, deadline};
  }
  /// As `co_get_offers`.
  Awaitable<detail::OnDispatcher, detail::ToException> co_get_attributes(std::string_view mboxes, std::string_view options = {},
                                                                         milliseconds deadline = client_timeout) const {
    return {detail::Operation::get_attributes, handle_, mboxes, options, deadline};
  }
#  endif
#endif // TARGET_SDK_EXCEPTIONS

  /// Whether this is not empty.
  explicit operator bool() const noexcept { return handle_ != 0; }
  /// Handle for the C interface; still owned by this object. 0 when empty.
  target_client handle() const noexcept { return handle_; }

private:
  // Takes `events` over, whatever happens.
  static Status create(std::string_view config, detail::Events *events, const Queue *queue, std::uint64_t tag, Client &out,
                       Result *error) noexcept {
    target_client_hooks hooks{};
    hooks.size = sizeof hooks;
    if (events != nullptr) {
      events->share(); // the library's part, until it releases
      hooks.on_event = &detail::an_event_callback_must_not_throw;
      hooks.user_data = events;
      hooks.release = &detail::release_events;
    } else if (queue != nullptr) {
      hooks.queue = queue->handle();
      hooks.tag = tag;
    }
    Client made;
    target_result document = 0;
    const bool wants = events != nullptr || queue != nullptr;
    const target_status status =
        target_client_create(config.data(), config.size(), wants ? &hooks : nullptr, &made.handle_, &document);
    if (events != nullptr && status != TARGET_OK) {
      events->drop();
      events->drop();
    } else {
      made.events_ = events;
    }
    if (error != nullptr) *error = document == 0 ? Result(static_cast<Status>(status)) : Result::adopt(document);
    else if (document != 0) target_result_free(document);
    out = std::move(made);
    return static_cast<Status>(status);
  }

  void end() noexcept {
    if (handle_ == 0) return;
    const target_status closed = target_client_close(handle_, detail::wait_ms(drain_), nullptr);
    target_client_destroy(handle_);
    handle_ = 0;
    if (events_ == nullptr) return;
    events_->silent.store(true, std::memory_order_release);
    if (closed == TARGET_OK) events_->forget(); // no event is running, nor will: its captures go now
    std::exchange(events_, nullptr)->drop();
  }

  template <class Function>
  static Status with_result(Result *out, Function function) noexcept {
    target_result result = 0;
    const target_status status = function(out == nullptr ? nullptr : &result);
    if (out != nullptr) *out = result == 0 ? Result(static_cast<Status>(status)) : Result::adopt(result);
    return static_cast<Status>(status);
  }

  template <class Function>
  static Status wait_for(milliseconds deadline, Result &out, Function function) noexcept {
    if (deadline.count() < 0) {
      out = Result(Status::invalid_arg);
      return Status::invalid_arg;
    }
    return with_result(&out, [&](target_result *result) { return function(detail::wait_ms(deadline), result); });
  }

  // Takes `callback` over, whatever happens.
  Status start(detail::Operation operation, std::string_view mboxes, std::string_view options, detail::Call *callback, Request &out,
               milliseconds deadline) const noexcept {
    target_call call{};
    call.on_done = &detail::a_callback_must_not_throw;
    call.user_data = callback;
    call.release = &detail::release_call;
    callback->share(); // the library's part, until it releases
    Request request;
    const Status status = detail::submit(operation, handle_, mboxes, options, deadline, call, &request.handle_);
    if (status == Status::ok) {
      request.call_ = callback;
    } else {
      callback->drop();
      callback->drop();
    }
    out = std::move(request);
    return status;
  }

  template <class Callback>
  Status call_back(detail::Operation operation, std::string_view mboxes, std::string_view options, Callback &&callback, Request &out,
                   milliseconds deadline) const noexcept {
    auto *call = new (std::nothrow) detail::CallOf<std::decay_t<Callback>>(std::forward<Callback>(callback));
    return call == nullptr ? Status::internal : start(operation, mboxes, options, call, out, deadline);
  }

  Status enqueue(detail::Operation operation, std::string_view mboxes, std::string_view options, const Queue &queue, std::uint64_t tag,
                 target_request *out, milliseconds deadline) const noexcept {
    if (!queue) return Status::bad_handle;
    target_call call{};
    call.queue = queue.handle();
    call.tag = tag;
    return detail::submit(operation, handle_, mboxes, options, deadline, call, out);
  }

#if TARGET_SDK_EXCEPTIONS
  template <class Callback>
  Request call_back(detail::Operation operation, std::string_view mboxes, std::string_view options, Callback &&callback,
                    milliseconds deadline, const char *during) const {
    auto call = std::make_unique<detail::CallOf<std::decay_t<Callback>>>(std::forward<Callback>(callback));
    Request request;
    detail::check(start(operation, mboxes, options, call.release(), request, deadline), during);
    return request;
  }

  template <class Start>
  static std::future<Result> later(Start start) {
    std::promise<Result> promise;
    std::future<Result> future = promise.get_future();
    start([promise = std::move(promise)](Result result) mutable {
      if (result.ok()) promise.set_value(std::move(result));
      else promise.set_exception(std::make_exception_ptr(Error(std::move(result))));
    }).detach();
    return future;
  }
#endif

  target_client handle_ = 0;
  detail::Events *events_ = nullptr;
  milliseconds drain_ = default_drain;
};

/// Version of the library, for example "0.1.0". Lives for ever.
inline const char *version() noexcept { return target_version(); }

/// Sets options of the library before its first use: `{"workerThreads": 2}`. Optional. The first call decides; the same options again are
/// fine. `error`, if given, receives the error document.
inline Status init(const std::nothrow_t &, std::string_view options, Result *error = nullptr) noexcept {
  const detail::Terminated text(options);
  if (!text.ok()) return Status::invalid_arg;
  target_result document = 0;
  const target_status status = target_init(text.get(), &document);
  const Result result = document == 0 ? Result(static_cast<Status>(status)) : Result::adopt(document);
  if (error != nullptr) *error = result;
  return static_cast<Status>(status);
}

/// Stops the library: closes all clients, runs the callbacks that are due, ends all threads. Optional at the end of a program. A new
/// client starts it again. Blocks for about `timeout` at most. `Status::would_deadlock` inside a callback.
inline Status shutdown(const std::nothrow_t &, milliseconds timeout) noexcept {
  return static_cast<Status>(target_shutdown(detail::wait_ms(timeout)));
}

/// Hands log records of all clients to `log(Level level, std::string_view module, std::string_view message)`, on the dispatcher. Replaces
/// what was set before, function or queue, and waits for it if it is running. The views live until the callable returns.
template <class Log, detail::for_logs<Log> = 0>
Status set_log(const std::nothrow_t &, Level max, Log &&log) noexcept {
  using Function = std::decay_t<Log>;
  auto *function = new (std::nothrow) Function(std::forward<Log>(log));
  if (function == nullptr) return Status::internal;
  const target_status status = target_set_log(&detail::a_log_callback_must_not_throw<Function>, function,
                                              &detail::release_log<Function>, static_cast<std::int32_t>(max));
  if (status != TARGET_OK) delete function;
  return static_cast<Status>(status);
}
/// Has log records of all clients arrive in a queue. Replaces what was set before.
inline Status set_log_queue(const std::nothrow_t &, Level max, const Queue &queue) noexcept {
  return queue ? static_cast<Status>(target_set_log_queue(queue.handle(), static_cast<std::int32_t>(max))) : Status::bad_handle;
}
/// Ends logging. Afterwards the function that was set is not running and will not run (unless this is called from inside it), and may lose
/// what it refers to. Its captures are destroyed soon, on the dispatcher.
inline void end_log() noexcept { target_set_log(nullptr, nullptr, nullptr, TARGET_LOG_OFF); }

/// Name of the cookie that holds session and device id: "mbox". Lives for ever.
inline const char *cookie_name() noexcept { return target_cookie_name(); }
/// Name of the cookie that holds the edge cluster: "mboxEdgeCluster". Lives for ever.
inline const char *location_hint_cookie_name() noexcept { return target_location_hint_cookie_name(); }
/// Name of the visitor cookie of an organization: "AMCV_" and the id, unencoded.
inline Status visitor_cookie_name(const std::nothrow_t &, std::string_view organization_id, std::string &out) noexcept {
  out.clear();
  const detail::Terminated id(organization_id);
  if (!id.ok()) return Status::invalid_arg;
  std::size_t needed = 0;
  // Asks for the size; says that 0 is not enough.
  if (target_visitor_cookie_name(id.get(), nullptr, 0, &needed) == TARGET_OK || needed == 0) return Status::invalid_arg;
  out.resize(needed);
  const target_status status = target_visitor_cookie_name(id.get(), &out[0], needed, &needed);
  out.resize(status == TARGET_OK ? needed - 1 : 0);
  return static_cast<Status>(status);
}

/// A text as a JSON string, with quotes and escapes, for building options.
inline std::string json_string(std::string_view text) {
  static constexpr char digits[] = "0123456789abcdef";
  std::string json;
  json.reserve(text.size() + 2);
  json += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      json += '\\';
      json += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      json += "\\u00";
      json += digits[static_cast<unsigned char>(c) >> 4];
      json += digits[static_cast<unsigned char>(c) & 15];
    } else {
      json += c;
    }
  }
  json += '"';
  return json;
}
/// Texts as a JSON array, for example the mbox names of `get_attributes`.
inline std::string json_array(std::initializer_list<std::string_view> texts) {
  std::string json = "[";
  for (const std::string_view text : texts) {
    if (json.size() > 1) json += ',';
    json += json_string(text);
  }
  json += ']';
  return json;
}

#if TARGET_SDK_EXCEPTIONS
// The same, throwing `Error`.

/// Sets options of the library before its first use.
inline void init(std::string_view options) {
  Result error;
  detail::check(init(std::nothrow, options, &error), error, "the options were refused");
}
/// Stops the library.
inline void shutdown(milliseconds timeout) { detail::check(shutdown(std::nothrow, timeout), "the library could not stop in time"); }
/// Hands log records to a callable.
template <class Log, detail::for_logs<Log> = 0>
void set_log(Level max, Log &&log) {
  detail::check(set_log(std::nothrow, max, std::forward<Log>(log)), "no log");
}
/// Has log records arrive in a queue.
inline void set_log_queue(Level max, const Queue &queue) { detail::check(set_log_queue(std::nothrow, max, queue), "no log"); }
/// Name of the visitor cookie of an organization.
inline std::string visitor_cookie_name(std::string_view organization_id) {
  std::string out;
  detail::check(visitor_cookie_name(std::nothrow, organization_id, out), "no organization id");
  return out;
}
#endif

} // namespace v1
} // namespace target_sdk

#endif // TARGET_SDK_HPP
