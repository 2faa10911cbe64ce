// An object that asks for offers, is called back, and may go away at any moment.
//
//   ./callbacks 127.0.0.1:9700
#include "example.hpp"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <stdexcept>

// The teaser of a page. Its callback uses it, so it owns the request: when the teaser goes, the request abandons the call, and after that
// the callback is not running and will not run.
class Teaser {
public:
  Teaser(const target_sdk::Client &client, const std::string &mbox) {
    const std::string options = R"({"request": {"execute": {"mboxes": [{"name": )" + target_sdk::json_string(mbox) + "}]}}}";
    request_ = client.get_offers(options, [this](target_sdk::Result answer) { on_answer(std::move(answer)); });
  }

  // The offer, or what to show instead; a failed call is thrown.
  std::string wait() {
    std::unique_lock<std::mutex> hold(lock_);
    arrived_.wait(hold, [this] { return done_; });
    if (!failure_.empty()) throw std::runtime_error(failure_);
    return text_;
  }

private:
  // Runs once, on the library's dispatcher thread. An exception must not leave it.
  void on_answer(target_sdk::Result answer) {
    std::string text, failure;
    if (answer.status() != target_sdk::Status::ok) {
      failure = "no offer: " + std::string(answer.json()); // a page would show the default; an example says what happened
    } else if (answer.text(std::nothrow, "/response/execute/mboxes/0/options/0/content", text) != target_sdk::Status::ok) {
      text = "(the default)";
    }
    const std::lock_guard<std::mutex> hold(lock_);
    text_ = std::move(text);
    failure_ = std::move(failure);
    done_ = true;
    arrived_.notify_all();
  }

  std::mutex lock_;
  std::condition_variable arrived_;
  std::string text_, failure_;
  bool done_ = false;
  target_sdk::Request request_; // the last member: it goes first, and with it the callback
};

static void callbacks(const std::string &edge) {
  std::atomic<target_sdk::Status> alone{target_sdk::Status::ok}; // before the client, whose callbacks use it
  auto client = target_sdk::Client::create(example_config(edge), [](std::string_view event) {
    // Events of the client arrive on the dispatcher, too: {"type": "clientReady", ...}.
    if (event.find("clientReady") != std::string_view::npos) std::cout << "  the client is ready\n" << std::flush;
  });

  Teaser teaser(client, "homepage-hero");
  std::cout << "  " << teaser.wait() << '\n';
  {
    Teaser gone(client, "homepage-hero"); // the visitor has left already: abandoned, no harm done
  }
  // Nothing to hold on to: the call goes on by itself, until the client is closed or its destructor does that.
  client.get_offers(R"({"request": {"execute": {"mboxes": [{"name": "checkout-banner"}]}}})", [&alone](target_sdk::Result answer) {
    std::cout << "  and one by itself: " << name(answer.status()) << '\n' << std::flush;
    alone.store(answer.status());
  }).detach();
  (void)client.close(std::chrono::seconds(1)); // waits for it, for a second at most
  if (alone.load() != target_sdk::Status::ok) throw std::runtime_error("the call that went on by itself failed");
}

int main(int argc, char **argv) { return example_main(argc, argv, "HOST:PORT", callbacks); }
