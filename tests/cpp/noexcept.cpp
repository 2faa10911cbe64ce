// The noexcept half, in a program without exceptions and without RTTI.
#include "target_sdk.hpp"

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>

#if defined(__cpp_exceptions) || defined(__cpp_rtti)
#  error "this is to be compiled with -fno-exceptions -fno-rtti"
#endif

#define CHECK(condition)                                                                                                                  \
  do {                                                                                                                                    \
    if (!(condition)) {                                                                                                                   \
      std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                                                      \
      std::exit(1);                                                                                                                       \
    }                                                                                                                                     \
  } while (0)

using namespace std::chrono_literals;
using target_sdk::Status;

namespace {

std::mutex lock;
std::condition_variable changed;
int done = 0;

void tell() {
  const std::lock_guard<std::mutex> hold(lock);
  done++;
  changed.notify_all();
}

bool told(int count) {
  std::unique_lock<std::mutex> hold(lock);
  return changed.wait_for(hold, 20s, [&] { return done >= count; });
}

constexpr std::string_view offers = R"({"request":{"execute":{"mboxes":[{"name":"demo-engineering-flags"}]}}})";
constexpr std::string_view names = R"(["demo-engineering-flags"])";

#if TARGET_SDK_COROUTINES
struct Detached {
  struct promise_type {
    Detached get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

Detached ask(const target_sdk::Client &client) {
  const target_sdk::Result good = co_await client.co_get_offers(std::nothrow, offers);
  CHECK(good.ok());
  const target_sdk::Result bad = co_await client.co_get_attributes(std::nothrow, "1");
  CHECK(bad.status() == Status::invalid_options || bad.status() == Status::invalid_json);
  tell();
}
#endif

} // namespace

int main(int argc, char **argv) {
  CHECK(argc == 2);
  const std::string config = R"({"client":"acme","organizationId":"ORG@AdobeOrg","pinServerDomain":true,"secure":false,"timeout":60000,"serverDomain":)" +
                             target_sdk::json_string(argv[1]) + "}";
  target_sdk::Client client;
  target_sdk::Result result;
  CHECK(target_sdk::Client::create(std::nothrow, "{}", client, &result) == Status::invalid_options);
  CHECK(result.status() == Status::invalid_options && !result.json().empty());
  CHECK(target_sdk::Client::create(std::nothrow, config, [](std::string_view event) { CHECK(!event.empty()); }, client) == Status::ok);
  CHECK(client.wait_ready(std::nothrow, 20s) == Status::ok);

  CHECK(client.get_offers(std::nothrow, offers, result) == Status::ok);
  CHECK(client.get_offers(std::nothrow, "{}", result) == Status::invalid_options);
  std::string path;
  CHECK(result.text(std::nothrow, "/name", path) == Status::ok && path == "TARGET_E_INVALID_OPTIONS");
  CHECK(client.get_attributes(std::nothrow, names, {}, result) == Status::ok);
  std::int64_t provider = 0;
  CHECK(result.get_int64(std::nothrow, "demo-engineering-flags", "searchProviderId", provider) == Status::ok && provider == 143);

  target_sdk::Request request;
  CHECK(client.get_offers(std::nothrow, offers, [owned = std::make_unique<int>(1)](target_sdk::Result answer) {
    CHECK(answer.ok() && *owned == 1);
    tell();
  }, request) == Status::ok);
  CHECK(told(1));

  target_sdk::Queue queue;
  CHECK(target_sdk::Queue::create(std::nothrow, queue) == Status::ok);
  CHECK(client.get_offers(std::nothrow, offers, queue, 7) == Status::ok);
  target_sdk::Completion completion;
  std::size_t count = 0;
  CHECK(queue.poll(std::nothrow, &completion, 1, count, 20s) == Status::ok && count == 1);
  CHECK(completion.tag == 7 && completion.result.ok());

#if TARGET_SDK_COROUTINES
  ask(client);
  CHECK(told(2));
#endif
  CHECK(client.close(std::nothrow, 5s) == Status::ok);
  client = target_sdk::Client();
  return target_sdk::shutdown(std::nothrow, 10s) == Status::ok ? 0 : 1;
}
