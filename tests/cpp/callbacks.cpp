// Callbacks: once, never inline, taken back by the destructor of the request.
#include "edge.h"

#include <csignal>

using namespace target_sdk;
using namespace test;

namespace {
std::atomic<int> plain_calls{0};
void plain(Result result) { plain_calls += result.ok(); }

/// A stage that a callback reaches, and a gate that it waits at.
struct Gate {
  Counter reached, open;
};
} // namespace

TEST(Callbacks, AnyCallableWillDo) {
  const Client one = client();
  Counter done;
  Request first = one.get_offers(offers, [&, owned = std::make_unique<int>(5)](Result result) {
    EXPECT_TRUE(on_dispatcher() && result.ok() && *owned == 5);
    done.add();
  });
  Request second = one.get_attributes(flag_names, {}, [&](const Result &result) {
    EXPECT_EQ(result.get_int64(flags, "searchProviderId"), 143);
    done.add();
  });
  Request third = one.get_offers("not JSON", [&](Result &&result) {
    EXPECT_EQ(result.status(), Status::invalid_json);
    done.add();
  });
  Request fourth;
  EXPECT_EQ(one.get_offers(std::nothrow, offers, &plain, fourth), Status::ok);
  EXPECT_TRUE(done.reaches(3));
  while (plain_calls == 0) std::this_thread::yield();
  while (first.cancel()) std::this_thread::yield(); // until it is over
}

TEST(Callbacks, TheirCapturesGoWhenTheyHaveRun) {
  const Client one = client();
  std::atomic<int> alive{0};
  Counter done;
  one.get_offers(offers, [&, owned = Capture(alive)](Result) { done.add(); }).detach();
  EXPECT_TRUE(done.reaches(1));
  Request kept = one.get_offers(offers, [&, owned = Capture(alive)](Result) { done.add(); });
  EXPECT_TRUE(done.reaches(2));
  kept.abandon(); // waits for what still runs
  EXPECT_FALSE(kept);
  one.get_offers(offers); // and the detached one is over, too: one callback after the other
  EXPECT_EQ(alive, 0);
}

TEST(Callbacks, ARefusedCallDropsItsCallback) {
  Client one = client();
  one.close(0ms);
  std::atomic<int> alive{0};
  EXPECT_EQ(thrown([&] { (void)one.get_offers(offers, [owned = Capture(alive)](Result) { ADD_FAILURE(); }); }), Status::closed);
  Request out;
  EXPECT_EQ(one.get_attributes(std::nothrow, flag_names, {}, [owned = Capture(alive)](Result) { ADD_FAILURE(); }, out), Status::closed);
  EXPECT_EQ(one.send_notifications(std::nothrow, offers, [owned = Capture(alive)](Result) { ADD_FAILURE(); }, out, -1ms),
            Status::invalid_arg);
  EXPECT_FALSE(out);
  EXPECT_EQ(alive, 0);
}

TEST(Requests, TheDestructorTakesTheCallbackBack) {
  const Fault fault(R"({"name":"stall"})");
  const Client one = client();
  std::atomic<int> alive{0};
  for (int i = 0; i < 20; i++) {
    {
      const Request request = one.get_offers(offers, [owned = Capture(alive)](Result) { ADD_FAILURE() << "called back"; });
      EXPECT_EQ(alive, 1);
    }
    EXPECT_EQ(alive, 0); // the captures, too
  }
  Request moved = one.get_offers(offers, [](Result) { ADD_FAILURE() << "called back"; });
  Request other = std::move(moved);
  moved.abandon();
  EXPECT_FALSE(moved);
  Counter done;
  other = one.get_offers("not JSON", [&](Result) { done.add(); }); // abandons what it had
  EXPECT_TRUE(done.reaches(1));
}

TEST(Requests, TheDestructorWaitsForACallbackThatRuns) {
  const Client one = client();
  Gate gate;
  std::atomic<bool> over{false};
  auto request = std::make_unique<Request>(one.get_offers(offers, [&](Result) {
    gate.reached.add();
    EXPECT_TRUE(gate.open.reaches(1));
    over = true;
  }));
  EXPECT_TRUE(gate.reached.reaches(1));
  std::thread opens([&] { gate.open.add(); });
  request.reset();
  EXPECT_TRUE(over);
  opens.join();
}

TEST(Requests, TheirOwnCallbackMayDestroyThem) {
  const Client one = client();
  std::atomic<int> alive{0};
  Counter done;
  for (int i = 1; i <= 20; i++) {
    Gate gate;
    Request request;
    request = one.get_offers(offers, [&, owned = Capture(alive)](Result result) {
      EXPECT_TRUE(gate.open.reaches(1)); // `request` has been written
      request = Request();
      EXPECT_TRUE(result.ok());
      EXPECT_EQ(alive, 1); // this callable lives until it returns
      done.add();
    });
    gate.open.add();
    EXPECT_TRUE(done.reaches(i));
    while (alive != 0) std::this_thread::yield();
  }
}

TEST(Requests, CancelTells) {
  const Fault fault(R"({"name":"stall"})");
  const Client one = client();
  Counter done;
  Request request = one.get_offers(offers, [&](Result result) {
    EXPECT_EQ(result.status(), Status::cancelled);
    done.add();
  });
  EXPECT_TRUE(request.cancel());
  EXPECT_TRUE(done.reaches(1));
  request.abandon();
  EXPECT_EQ(done.get(), 1);
}

TEST(Clients, MayGoInTheirOwnCallbacks) {
  const Fault fault(R"({"name":"stall"})");
  auto one = std::make_unique<Client>(client(R"(,"decisioningMethod":"on-device")"));
  one->wait_ready(soon);
  Counter done;
  Status waited = Status::ok;
  const std::string slow = R"({"decisioningMethod":"server-side",)" + std::string(offers.substr(1));
  one->get_offers(slow, [&](Result result) {
       EXPECT_EQ(result.status(), Status::closed);
       done.add();
     }).detach();
  one->get_offers(offers, [&](Result) { // decided here: the first to be answered
       waited = one->close(std::nothrow, 1000ms);
       one.reset();
       done.add();
     }).detach();
  EXPECT_TRUE(done.reaches(2));
  EXPECT_EQ(waited, Status::would_deadlock);
  EXPECT_FALSE(one);
}

TEST(Clients, AreSilentAfterTheyWentInAnEvent) {
  std::atomic<int> alive{0}, events{0};
  {
    std::unique_ptr<Client> one;
    Gate gate;
    Counter gone;
    one = std::make_unique<Client>(Client::create(config(), [&, owned = Capture(alive)](std::string_view) {
      events++;
      EXPECT_TRUE(gate.open.reaches(1));
      one.reset();
      EXPECT_EQ(alive, 1);
      gone.add();
    }));
    gate.open.add();
    EXPECT_TRUE(gone.reaches(1));
  }
  while (alive != 0) std::this_thread::yield(); // released on the dispatcher, once it is done
  EXPECT_EQ(events, 1);
}

TEST(Clients, TheDestructorIsBounded) {
  const Fault fault(R"({"name":"stall"})");
  Counter done;
  const auto begin = std::chrono::steady_clock::now();
  {
    Client one = client();
    one.drain(1500ms);
    one.get_offers(offers, [&](Result result) {
         EXPECT_EQ(result.status(), Status::cancelled);
         done.add();
       }).detach();
  }
  EXPECT_EQ(done.get(), 1); // no callback comes after the destructor
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
}

TEST(Shutdown, IsRefusedInACallback) {
  const Client one = client();
  Counter done;
  Request request = one.get_offers(offers, [&](Result) {
    EXPECT_EQ(shutdown(std::nothrow, 1s), Status::would_deadlock);
    done.add();
  });
  EXPECT_TRUE(done.reaches(1));
}

// The program ends, and says what was thrown: an exception never reaches the library.
TEST(ExceptionsDeathTest, MustNotLeaveACallback) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_EXIT(
      {
        const Client one = client();
        Request request = one.get_offers(offers, [](Result) { throw std::runtime_error("thrown by the test"); });
        std::this_thread::sleep_for(soon);
      },
      testing::KilledBySignal(SIGABRT), "thrown by the test");
  EXPECT_EXIT(
      {
        const Client one = Client::create(config(), [](std::string_view) { throw std::runtime_error("thrown by the test"); });
        std::this_thread::sleep_for(soon);
      },
      testing::KilledBySignal(SIGABRT), "thrown by the test");
}
