// Prefetches an offer and tells Target that it was shown, as a coroutine (C++20) on the thread of the program.
//
//   ./coroutine 127.0.0.1:9700
#include "example.hpp"

#include <condition_variable>
#include <coroutine>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <utility>

// The event loop of the program: functions from any thread run on the one that calls `run`.
class Loop {
public:
  void post(std::function<void()> function) {
    const std::lock_guard<std::mutex> hold(lock_);
    due_.push_back(std::move(function));
    changed_.notify_all();
  }
  void run() {
    while (!stopped_) {
      std::unique_lock<std::mutex> hold(lock_);
      changed_.wait(hold, [this] { return !due_.empty(); });
      const auto next = std::move(due_.front());
      due_.pop_front();
      hold.unlock();
      next();
    }
  }
  void stop() { stopped_ = true; } // on the loop's thread

private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> due_;
  bool stopped_ = false;
};

// The simplest type of coroutine: it begins at once, and destroying this destroys it. Libraries of coroutines have better ones.
struct Task {
  struct promise_type {
    std::exception_ptr error;
    Task get_return_object() { return Task{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { error = std::current_exception(); }
  };
  explicit Task(std::coroutine_handle<promise_type> coroutine) : handle(coroutine) {}
  Task(Task &&other) noexcept : handle(std::exchange(other.handle, nullptr)) {} // also takes the copy constructor away
  ~Task() {
    if (handle) handle.destroy();
  }
  std::coroutine_handle<promise_type> handle;
};

static Task show(const target_sdk::Client &client, Loop &loop) {
  struct Stop {
    Loop &loop;
    ~Stop() { loop.stop(); }
  } stop_at_the_end{loop};
  // Without an executor the coroutine would go on on the library's dispatcher, where it delays other callbacks.
  const auto on_loop = [&loop](target_sdk::Resume resume) { loop.post(std::move(resume)); };

  const target_sdk::Result offers =
      co_await client.co_get_offers(R"({"request": {"prefetch": {"mboxes": [{"name": "homepage-hero"}]}}})").on(on_loop);
  std::cout << "  prefetched                 " << offers.text("/response/prefetch/mboxes/0/options/0/content") << '\n';

  // JSON in, JSON out: what `get` gives keeps its quotes and escapes and goes into the new document as it is.
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  std::string shown = R"({"targetCookie": )";
  shown += offers.get("/targetCookie/value"); // the same visitor
  shown += R"(, "request": {"notifications": [{"id": "shown-1", "type": "display", "timestamp": )" + std::to_string(now.count()) +
           R"(, "mbox": {"name": "homepage-hero"}, "tokens": [)";
  shown += offers.get("/response/prefetch/mboxes/0/options/0/eventToken");
  shown += "]}]}}";
  const target_sdk::Result receipt = co_await client.co_send_notifications(shown).on(on_loop);
  std::cout << "  told Target                " << receipt.get("/response/notifications") << '\n';
}

static void coroutine(const std::string &edge) {
  const auto client = target_sdk::Client::create(example_config(edge));
  Loop loop;
  const Task task = show(client, loop); // destroying it while it waits would abandon its call
  loop.run();
  if (task.handle.promise().error) std::rethrow_exception(task.handle.promise().error);
}

int main(int argc, char **argv) { return example_main(argc, argv, "HOST:PORT", coroutine); }
