// Objects that own what their callbacks use, and go at any moment: from their own callback, from another one, from any thread, while
// calls are on the wire, due or running. Whoever goes abandons its calls; nobody is called back afterwards.
//
// TARGET_SDK_TEST_LIFETIMES says how many, TARGET_SDK_TEST_SEED repeats a run.
#include "edge.h"

#include <random>

using namespace target_sdk;
using namespace test;

namespace {

struct Counts {
  std::atomic<long> begun{0}, called_back{0}, gone_inside{0}, captures{0}, dead{0};
};

constexpr std::uint32_t alive_mark = 0x5AFE5AFE;

class Widget {
public:
  Widget(const Client &client, Counts &counts, std::minstd_rand &random) : counts_(counts) {
    static const std::string_view options[] = {offers, "not JSON", offers, R"({"request":{"execute":{"mboxes":[{"name":"homepage-hero"}]}}})"};
    const int calls = 1 + static_cast<int>(random() % 3);
    destroys_itself_ = random() % 4 == 0;
    for (int i = 0; i < calls; i++) {
      auto answered = [this, capture = std::make_unique<Held>(counts_)](Result result) { on_answer(std::move(result)); };
      // Before the callback may use the members that are written here.
      const std::lock_guard<std::mutex> hold(lock_);
      const bool attributes = random() % 3 == 0;
      const std::string_view asked = options[random() % 4];
      requests_[i] = attributes ? client.get_attributes(flag_names, {}, std::move(answered)) : client.get_offers(asked, std::move(answered));
      counts_.begun++;
    }
    if (random() % 8 == 0) requests_[0].cancel();
  }

  /// Hands the widget to its own callback, which destroys it, if it is one of those and not yet over; else the caller has to.
  static void go(std::unique_ptr<Widget> widget) {
    Widget *mine = widget.get();
    if (mine->destroys_itself_) {
      const std::lock_guard<std::mutex> hold(mine->lock_);
      if (mine->answers_ == 0) {
        mine->self_ = std::move(widget);
        return;
      }
    }
  }

  ~Widget() {
    for (Request &request : requests_) request.abandon();
    mark_.store(0); // who reads it from here on was called back after the end
  }

private:
  /// What a callable holds: none may be left over.
  struct Held {
    explicit Held(Counts &counts) : counts_(counts) { counts_.captures++; }
    ~Held() { counts_.captures--; }
    Counts &counts_;
  };

  void on_answer(Result result) {
    if (mark_.load() != alive_mark) counts_.dead++;
    counts_.called_back++;
    std::unique_ptr<Widget> self;
    {
      const std::lock_guard<std::mutex> hold(lock_);
      answers_++;
      last_ = std::move(result);
      self = std::move(self_);
    }
    if (self != nullptr) counts_.gone_inside++; // and here it goes
  }

  Counts &counts_;
  std::atomic<std::uint32_t> mark_{alive_mark};
  std::mutex lock_;
  Result last_;
  int answers_ = 0;
  bool destroys_itself_ = false;
  std::unique_ptr<Widget> self_;
  Request requests_[3];
};

long number(const char *variable, long otherwise) {
  const char *text = std::getenv(variable);
  return text != nullptr ? std::atol(text) : otherwise;
}

} // namespace

TEST(Lifetimes, NobodyIsCalledBackAfterItsEnd) {
  const long lifetimes = number("TARGET_SDK_TEST_LIFETIMES", 4000);
  const auto seed = static_cast<unsigned>(number("TARGET_SDK_TEST_SEED", static_cast<long>(std::random_device()() % 1000000)));
  SCOPED_TRACE("TARGET_SDK_TEST_SEED=" + std::to_string(seed));
  Counts counts;
  {
    // Decisions on the device are due at once, those of the edge come when they come.
    Client clients[] = {client(R"(,"decisioningMethod":"on-device","maxQueued":100000)"), client(R"(,"maxQueued":100000)")};
    clients[0].wait_ready(soon);
    std::vector<std::thread> threads;
    for (unsigned thread = 0; thread < 3; thread++) {
      threads.emplace_back([&, thread] {
        std::minstd_rand random(seed * 3 + thread + 1);
        std::vector<std::unique_ptr<Widget>> widgets;
        for (long i = 0; i < lifetimes / 3; i++) {
          const Client &chosen = clients[random() % 8 == 0 ? 1 : 0];
          widgets.push_back(std::make_unique<Widget>(chosen, counts, random));
          if (random() % 2 == 0) std::this_thread::sleep_for(std::chrono::microseconds(random() % 200));
          while (widgets.size() > random() % 12) {
            const std::size_t any = random() % widgets.size();
            std::swap(widgets[any], widgets.back());
            Widget::go(std::move(widgets.back()));
            widgets.pop_back();
          }
        }
      });
    }
    for (std::thread &thread : threads) thread.join();
    // Widgets that wait for their own callback get it now, however many are due.
    for (Client &one : clients) EXPECT_EQ(one.close(std::nothrow, 60s), Status::ok);
  }
  shutdown(10s);
  EXPECT_EQ(counts.dead, 0);
  EXPECT_EQ(counts.captures, 0);
  EXPECT_LE(counts.called_back, counts.begun);
  EXPECT_GT(counts.called_back, counts.begun / 20);
  EXPECT_LT(counts.called_back, counts.begun); // some were taken back
  EXPECT_GT(counts.gone_inside, 0);
  RecordProperty("begun", static_cast<int>(counts.begun));
  std::printf("%ld calls, %ld called back, %ld widgets gone inside their callback, seed %u\n", counts.begun.load(),
              counts.called_back.load(), counts.gone_inside.load(), seed);
}
