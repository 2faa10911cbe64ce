// Asks for the offers of three visitors at once and waits for them with futures.
//
//   ./futures 127.0.0.1:9700
#include "example.hpp"

#include <future>
#include <vector>

static void futures(const std::string &edge) {
  using namespace std::chrono_literals;
  const auto client = target_sdk::Client::create(example_config(edge));

  // All three are on the wire at the same time. The options are copied: the strings may go at once.
  std::vector<std::future<target_sdk::Result>> answers;
  for (const char *visitor : {"anna", "ben", "cleo"}) {
    answers.push_back(client.get_offers_async(R"({"request": {"id": {"thirdPartyId": )" + target_sdk::json_string(visitor) +
                                                  R"(}, "execute": {"mboxes": [{"name": "homepage-hero"}]}}})",
                                              2s)); // a deadline of its own
  }
  for (auto &answer : answers) {
    const target_sdk::Result offers = answer.get(); // throws target_sdk::Error when there is no answer
    std::cout << "  " << offers.text("/response/id/thirdPartyId") << "  "
              << offers.text("/response/execute/mboxes/0/options/0/content") << '\n';
  }
}

int main(int argc, char **argv) { return example_main(argc, argv, "HOST:PORT", futures); }
