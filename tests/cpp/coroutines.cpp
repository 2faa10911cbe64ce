// Coroutines (C++20).
#include "edge.h"

#if TARGET_SDK_COROUTINES

#include <deque>
#include <functional>
#include <random>

using namespace target_sdk;
using namespace test;

namespace {

/// A coroutine that begins at once, owned by this: destroying it destroys the coroutine where it waits.
class Task {
public:
  struct promise_type {
    Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
  Task() = default;
  Task(Task &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
  Task &operator=(Task &&other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~Task() {
    if (handle_) handle_.destroy();
  }

private:
  explicit Task(std::coroutine_handle<promise_type> handle) : handle_(handle) {}
  std::coroutine_handle<promise_type> handle_;
};

/// One that nobody owns: it destroys itself at its end.
struct Detached {
  struct promise_type {
    Detached get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

/// An event loop of a program: functions run on the thread that calls `run`.
class Loop {
public:
  void post(std::function<void()> function) {
    const std::lock_guard<std::mutex> hold(lock_);
    due_.push_back(std::move(function));
    changed_.notify_all();
  }
  /// Until `over`, at most for a while.
  template <class Over>
  bool run(Over over) {
    while (!over()) {
      std::function<void()> next;
      {
        std::unique_lock<std::mutex> hold(lock_);
        if (!changed_.wait_for(hold, soon, [&] { return !due_.empty(); })) return false;
        next = std::move(due_.front());
        due_.pop_front();
      }
      next();
    }
    return true;
  }
  std::size_t due() {
    const std::lock_guard<std::mutex> hold(lock_);
    return due_.size();
  }

private:
  std::mutex lock_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> due_;
};

Detached ask(const Client &client, Counter &done) {
  const Result result = co_await client.co_get_offers(offers);
  EXPECT_TRUE(on_dispatcher());
  EXPECT_TRUE(result.ok());
  const Result attributes = co_await client.co_get_attributes(flag_names);
  EXPECT_EQ(attributes.get_int64(flags, "searchProviderId"), 143);
  try {
    co_await client.co_get_offers("not JSON");
    ADD_FAILURE() << "that was accepted";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::invalid_json);
  }
  try {
    co_await client.co_send_notifications(offers, -1ms); // refused: goes on at once
    ADD_FAILURE() << "that was accepted";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::invalid_arg);
  }
  const Result bad = co_await client.co_get_offers(std::nothrow, "{}");
  EXPECT_EQ(bad.status(), Status::invalid_options);
  const Result refused = co_await client.co_get_attributes(std::nothrow, flag_names, {}, -1ms);
  EXPECT_EQ(refused.status(), Status::invalid_arg);
  EXPECT_EQ(refused.json(), "");
  done.add();
}

Detached ask_often(const Client &client, int times, Counter &done) {
  for (int i = 0; i < times; i++) {
    const Result result = co_await client.co_get_offers(std::nothrow, std::string("not JSON ") + std::to_string(i));
    EXPECT_EQ(result.status(), Status::invalid_json);
  }
  done.add();
}

Task ask_on(const Client &client, Loop &loop, std::atomic<int> &alive, int &answers) {
  const Capture local(alive);
  const std::thread::id home = std::this_thread::get_id();
  for (;;) {
    const Result result = co_await client.co_get_offers(offers).on([&](Resume resume) { loop.post(std::move(resume)); });
    EXPECT_EQ(std::this_thread::get_id(), home);
    EXPECT_TRUE(result.ok());
    answers++;
  }
}

Task ask_once(const Client &client, std::atomic<int> &alive) {
  const Capture local(alive);
  co_await client.co_get_offers(offers);
  ADD_FAILURE() << "went on";
}

template <class Awaited>
Task await_copy(Awaited awaited, Counter &done) { // by value, like the combinators of coroutine libraries
  const Result result = co_await std::move(awaited);
  EXPECT_TRUE(result.ok());
  done.add();
}

} // namespace

TEST(Coroutines, GoOnWithAnswersAndErrors) {
  const Client one = client();
  Counter done;
  for (int i = 0; i < 20; i++) ask(one, done);
  EXPECT_TRUE(done.reaches(20));
}

TEST(Coroutines, DoNotPileUp) {
  const Client one = client(R"(,"offline":true)");
  Counter done;
  ask_often(one, 5000, done);
  EXPECT_TRUE(done.reaches(1));
}

TEST(Coroutines, GoOnWhereTheProgramWants) {
  const Client one = client();
  Loop loop;
  std::atomic<int> alive{0};
  int answers = 0;
  {
    const Task task = ask_on(one, loop, alive, answers);
    EXPECT_TRUE(loop.run([&] { return answers == 20; }));
  } // destroyed where it waits for the 21st
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(answers, 20);
}

TEST(Coroutines, AreNotResumedAfterTheirEnd) {
  const Client one = client(R"(,"decisioningMethod":"on-device")");
  one.wait_ready(soon);
  Loop loop;
  std::atomic<int> alive{0};
  int answers = 0;
  // Destroyed at every stage, on the loop's thread: on the wire, posted, never run.
  std::minstd_rand random(1);
  for (int i = 0; i < 500; i++) {
    const Task task = ask_on(one, loop, alive, answers);
    if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 300));
    const int before = answers;
    if (random() % 4 == 0) {
      EXPECT_TRUE(loop.run([&] { return answers > before; }));
    }
  }
  const int at_the_end = answers;
  EXPECT_TRUE(loop.due() == 0 || loop.run([&] { return loop.due() == 0; })); // what was posted finds nobody
  EXPECT_EQ(answers, at_the_end);
  EXPECT_EQ(alive, 0);
}

TEST(Coroutines, DestroyingOneAbandonsItsCall) {
  std::atomic<int> alive{0};
  Client one = client();
  {
    const Fault fault(R"({"name":"stall"})");
    const Task task = ask_once(one, alive);
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(one.close(1s).get("/cancelled"), "0");
}

TEST(Coroutines, ExecutorsMayRunThemInline) {
  const Client one = client();
  Counter done;
  const auto run = [](const Client &client, Counter &counter) -> Detached {
    for (int i = 0; i < 10; i++) {
      // Not a temporary of the co_await: g++ 12 destroys the captures of those twice.
      auto executor = [text = std::string("kept while it runs")](const Resume &resume) {
        resume();
        EXPECT_EQ(text, "kept while it runs");
      };
      const Result result = co_await client.co_get_offers(offers).on(std::move(executor));
      EXPECT_TRUE(result.ok() && on_dispatcher());
    }
    counter.add();
  };
  run(one, done);
  EXPECT_TRUE(done.reaches(1));
}

TEST(Coroutines, AwaitablesMayBeHandedOn) {
  const Client one = client();
  Counter done;
  Task first, second;
  {
    std::string options(offers);
    first = await_copy(one.co_get_offers(options), done);
    second = await_copy(one.co_get_attributes(flag_names, options).on([](const Resume &resume) { resume(); }), done);
    options.assign(options.size(), 'x');
  }
  EXPECT_TRUE(done.reaches(2));
  (void)one.get_offers(offers); // the dispatcher is past the coroutines' ends before they are destroyed
  Request barrier = one.get_offers(offers, [&](Result) { done.add(); });
  EXPECT_TRUE(done.reaches(3));
}

#endif // TARGET_SDK_COROUTINES
