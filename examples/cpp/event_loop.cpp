// 200 calls at once from one thread with poll(): no callback, no other thread of the program.
//
//   ./event_loop 127.0.0.1:9700
#include "example.hpp"

#include <poll.h>

#include <cerrno>
#include <set>
#include <stdexcept>
#include <system_error>

static void event_loop(const std::string &edge) {
  // Answers and events arrive in a queue whose descriptor the loop watches, like a socket. Declared before the client: it goes after it.
  const auto queue = target_sdk::Queue::create();
  constexpr std::uint64_t events = 1'000'000; // the tags of calls are their numbers
  const auto client = target_sdk::Client::create(example_config(edge), queue, events);

  constexpr std::uint64_t calls = 200;
  for (std::uint64_t tag = 0; tag < calls; tag++)
    (void)client.get_attributes(R"(["demo-engineering-flags"])", {}, queue, tag);

  std::uint64_t answered = 0, good = 0;
  std::set<target_sdk::Status> told;
  pollfd watch{queue.fd(), POLLIN, 0};
  while (answered < calls) {
    if (::poll(&watch, 1, -1) < 0 && errno != EINTR) throw std::system_error(errno, std::generic_category(), "poll");
    for (const auto &completion : queue.poll()) { // does not wait; 64 at most, the descriptor stays readable while there are more
      if (completion.kind != target_sdk::Kind::call) {
        const std::string type = completion.result.text("/type");
        if (type != "requestFailed") std::cout << "  event                      " << type << '\n'; // the call tells that, too
        continue;
      }
      answered++;
      if (completion.status == target_sdk::Status::ok) good++;
      else if (told.insert(completion.status).second) // one of each kind
        std::cerr << "call " << completion.tag << ": " << completion.result.json() << '\n';
    }
  }
  if (good != calls) throw std::runtime_error(std::to_string(calls - good) + " of " + std::to_string(calls) + " calls failed");
  std::cout << "  answered                   " << answered << " calls, all with offers\n";
}

int main(int argc, char **argv) { return example_main(argc, argv, "HOST:PORT", event_loop); }
