// What the tests share: the local edge, which tests/cpp/run.sh starts, and waiting.
#ifndef EDGE_H
#define EDGE_H

#include "target_sdk.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>

namespace test {

using namespace std::chrono_literals;

/// For conditions that come soon on any machine.
constexpr auto soon = 20s;

/// HOST:PORT of the edge.
inline std::string edge() {
  const char *address = std::getenv("TARGET_SDK_TEST_EDGE");
  if (address == nullptr) {
    std::fprintf(stderr, "TARGET_SDK_TEST_EDGE is not set: run tests/cpp/run.sh\n");
    std::exit(2);
  }
  return address;
}

/// One HTTP request to the edge's own controls.
inline void control(const std::string &method, const std::string &body = "") {
  const std::string address = edge();
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<std::uint16_t>(std::stoi(address.substr(address.find(':') + 1))));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  ASSERT_GE(fd, 0);
  ASSERT_EQ(connect(fd, reinterpret_cast<sockaddr *>(&to), sizeof to), 0);
  const std::string request = method + " /debug/fault HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: " +
                              std::to_string(body.size()) + "\r\n\r\n" + body;
  ASSERT_EQ(send(fd, request.data(), request.size(), MSG_NOSIGNAL), static_cast<ssize_t>(request.size()));
  char head[16] = "";
  ASSERT_GE(recv(fd, head, sizeof head - 1, MSG_WAITALL), 12);
  ASSERT_EQ(std::string(head).substr(9, 1), "2") << head;
  close(fd);
}

/// Lets the edge misbehave as long as this lives, for example `{"name":"stall"}` or `{"delayMs":50}`.
class Fault {
public:
  explicit Fault(const std::string &json) { control("POST", json); }
  ~Fault() { control("DELETE"); }
  Fault(const Fault &) = delete;
  Fault &operator=(const Fault &) = delete;
};

/// `more` adds members and begins with a comma, or is empty. Busy machines get time: what is to time out has a deadline of its own.
inline std::string config(const std::string &more = "") {
  return R"({"client":"acme","organizationId":"ORG@AdobeOrg","telemetryEnabled":false,"pinServerDomain":true,"secure":false,"timeout":60000,)"
         R"("serverDomain":")" + edge() + R"(","artifactLocation":"http://)" + edge() + R"(/acme/production/v1/rules.json")" + more + "}";
}

inline target_sdk::Client client(const std::string &more = "") { return target_sdk::Client::create(config(more)); }

constexpr const char *flags = "demo-engineering-flags";
constexpr std::string_view offers = R"({"request":{"execute":{"mboxes":[{"name":"demo-engineering-flags"}]}}})";
constexpr std::string_view flag_names = R"(["demo-engineering-flags"])";

/// A number that threads wait for.
class Counter {
public:
  void add() {
    std::lock_guard<std::mutex> hold(lock_);
    count_++;
    changed_.notify_all();
  }
  int get() const {
    std::lock_guard<std::mutex> hold(lock_);
    return count_;
  }
  /// Whether `count` was reached in time.
  bool reaches(int count) {
    std::unique_lock<std::mutex> hold(lock_);
    return changed_.wait_for(hold, soon, [&] { return count_ >= count; });
  }

private:
  mutable std::mutex lock_;
  std::condition_variable changed_;
  int count_ = 0;
};

/// Counts how many copies of itself are alive: a capture that tells when it goes.
class Capture {
public:
  explicit Capture(std::atomic<int> &alive) : alive_(&alive) { ++*alive_; }
  Capture(Capture &&other) noexcept : alive_(other.alive_) { ++*alive_; }
  Capture(const Capture &) = delete;
  Capture &operator=(Capture &&) = delete;
  ~Capture() { --*alive_; }

private:
  std::atomic<int> *alive_;
};

inline bool on_dispatcher() {
  char name[32] = "";
  pthread_getname_np(pthread_self(), name, sizeof name);
  return std::string_view(name).substr(0, 9) == "target-cb";
}

/// The status of the `Error` that `run` throws; ok when it throws none.
template <class Run>
target_sdk::Status thrown(Run run) {
  try {
    run();
  } catch (const target_sdk::Error &error) {
    return error.status();
  }
  return target_sdk::Status::ok;
}

} // namespace test

#endif // EDGE_H
