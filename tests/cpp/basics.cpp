// Clients, results, errors, futures, queues, events and logs.
#include "edge.h"

#include <poll.h>

#include <map>
#include <set>

using namespace target_sdk;
using namespace test;

static_assert(!std::is_copy_constructible_v<Client> && std::is_nothrow_move_constructible_v<Client>);
static_assert(!std::is_copy_constructible_v<Queue> && std::is_nothrow_move_assignable_v<Queue>);
static_assert(!std::is_copy_constructible_v<Request> && std::is_nothrow_move_assignable_v<Request>);
static_assert(std::is_nothrow_copy_constructible_v<Result> && std::is_nothrow_move_constructible_v<Result>);
static_assert(std::is_nothrow_copy_constructible_v<Error>);
static_assert(noexcept(std::declval<Client &>().get_offers(std::nothrow, "", std::declval<Result &>())));
static_assert(noexcept(Client::create(std::nothrow, "", std::declval<Client &>())));

TEST(Statuses, AreThoseOfTheLibrary) {
  const std::map<std::string, Status> named = {
      {"TARGET_OK", Status::ok}, {"TARGET_E_INVALID_ARG", Status::invalid_arg}, {"TARGET_E_BAD_HANDLE", Status::bad_handle},
      {"TARGET_E_INVALID_JSON", Status::invalid_json}, {"TARGET_E_INVALID_OPTIONS", Status::invalid_options},
      {"TARGET_E_NOT_READY", Status::not_ready}, {"TARGET_E_TIMEOUT", Status::timeout}, {"TARGET_E_CANCELLED", Status::cancelled},
      {"TARGET_E_QUEUE_FULL", Status::queue_full}, {"TARGET_E_CLOSED", Status::closed},
      {"TARGET_E_WOULD_DEADLOCK", Status::would_deadlock}, {"TARGET_E_NETWORK", Status::network}, {"TARGET_E_TLS", Status::tls},
      {"TARGET_E_HTTP", Status::http}, {"TARGET_E_DECODE", Status::decode}, {"TARGET_E_ARTIFACT", Status::artifact},
      {"TARGET_E_NO_ATTRIBUTE", Status::no_attribute}, {"TARGET_E_CIRCUIT_OPEN", Status::circuit_open},
      {"TARGET_E_FORKED", Status::forked}, {"TARGET_E_ALREADY_INIT", Status::already_init},
      {"TARGET_E_CALLBACK_STUCK", Status::callback_stuck}, {"TARGET_E_INTERNAL", Status::internal}};
  std::size_t count = 0;
  for (target_status status = 0; target_status_at(count, &status) == TARGET_OK; count++) {
    const auto found = named.find(target_status_name(status));
    ASSERT_NE(found, named.end()) << "the header has no name for " << target_status_name(status);
    EXPECT_EQ(static_cast<target_status>(found->second), status);
    EXPECT_STREQ(name(found->second), found->first.c_str());
  }
  EXPECT_EQ(count, named.size());
}

TEST(Clients, ABadConfigurationIsAnErrorWithADocument) {
  try {
    Client::create(R"({"client":"acme","organizationId":"ORG@AdobeOrg","timeout":"soon"})");
    FAIL() << "that was accepted";
  } catch (const Error &error) {
    EXPECT_EQ(error.status(), Status::invalid_options);
    EXPECT_EQ(error.result().text("/path"), "/timeout");
    EXPECT_NE(std::string(error.what()).find("TARGET_E_INVALID_OPTIONS: "), std::string::npos) << error.what();
    EXPECT_NE(error.document().find("\"code\":-6"), std::string_view::npos) << error.document();
    EXPECT_FALSE(error.retryable());
    const Error copy = error;
    EXPECT_EQ(copy.document(), error.document());
  }
  Client out;
  Result why;
  EXPECT_EQ(Client::create(std::nothrow, "not JSON", out, &why), Status::invalid_json);
  EXPECT_FALSE(out);
  EXPECT_EQ(why.status(), Status::invalid_json);
  EXPECT_EQ(Client::create(std::nothrow, "{}", out), Status::invalid_options);
  EXPECT_EQ(Client::create(std::nothrow, {}, out), Status::invalid_arg);
}

TEST(Clients, EmptyOnesFail) {
  Client empty;
  Result out;
  Request request;
  EXPECT_FALSE(empty);
  EXPECT_EQ(empty.get_offers(std::nothrow, offers, out), Status::bad_handle);
  EXPECT_EQ(out.status(), Status::bad_handle);
  EXPECT_EQ(empty.get_offers(std::nothrow, offers, [](Result) { ADD_FAILURE(); }, request), Status::bad_handle);
  EXPECT_FALSE(request);
  EXPECT_EQ(thrown([&] { (void)empty.get_offers_async(offers); }), Status::bad_handle);
  EXPECT_EQ(thrown([&] { empty.wait_ready(0ms); }), Status::bad_handle);
  EXPECT_FALSE(request.cancel());
  request.abandon();
  request.detach();
  const Queue no_queue;
  EXPECT_EQ(thrown([&] { (void)client().get_offers(offers, no_queue, 1); }), Status::bad_handle);
  EXPECT_EQ(thrown([&] { (void)Client::create(config(), no_queue, 1); }), Status::bad_handle);
  EXPECT_EQ(thrown([&] { set_log_queue(Level::error, no_queue); }), Status::bad_handle);
}

TEST(Clients, TheirLife) {
  Client one = client();
  EXPECT_EQ(one.state(), State::ready);
  one.wait_ready(0ms);
  EXPECT_TRUE(one.get_offers(offers).ok());
  EXPECT_EQ(one.stats().get("").substr(0, 1), "{");
  EXPECT_EQ(one.flush(5s).get("/pending"), "0");
  EXPECT_EQ(thrown([&] { one.artifact(); }), Status::not_ready);
  Client other = std::move(one);
  EXPECT_FALSE(one);
  const Result report = other.close(5s);
  EXPECT_EQ(report.get("/cancelled"), "0");
  EXPECT_EQ(other.state(), State::closed);
  EXPECT_EQ(thrown([&] { other.get_offers(offers); }), Status::closed);
  other = client(R"(,"offline":true)");
  EXPECT_EQ(other.state(), State::offline);
}

TEST(Clients, DecideOnTheDevice) {
  const Client local = client(R"(,"decisioningMethod":"on-device")");
  local.wait_ready(soon);
  const Result offer = local.get_attributes(json_array({flags}));
  EXPECT_EQ(offer.get("/meta/decisioningMethod"), "\"on-device\"");
  EXPECT_TRUE(offer.get_int64(flags, "searchProviderId") > 0);
  const Result artifact = local.artifact();
  EXPECT_EQ(artifact.get("/version").substr(0, 2), "\"1");
}

TEST(Results, ReadAttributes) {
  Result answer = client().get_attributes(flag_names, {}, 10s); // outlives its client
  EXPECT_EQ(answer.get_int64(flags, "searchProviderId"), 143);
  EXPECT_EQ(answer.get_double(flags, "searchProviderId"), 143.0);
  EXPECT_EQ(answer.get_string(flags, "cdnHostname"), "cdn.cloud.corp.net");
  EXPECT_EQ(answer.get_value(flags, "cdnHostname"), "\"cdn.cloud.corp.net\"");
  EXPECT_FALSE(answer.get_bool(flags, "hasLegacyAccess"));
  EXPECT_EQ(answer.as_object(flags).substr(0, 20), "{\"searchProviderId\":");
  EXPECT_EQ(answer.as_object().substr(0, 26), "{\"demo-engineering-flags\":");
  EXPECT_EQ(thrown([&] { answer.get_bool(flags, "searchProviderId"); }), Status::decode);
  EXPECT_EQ(thrown([&] { answer.get_string(flags, "missing"); }), Status::no_attribute);
  EXPECT_EQ(thrown([&] { answer.get_double("missing", "x"); }), Status::no_attribute);
  EXPECT_EQ(thrown([&] { answer.as_object("missing"); }), Status::no_attribute);
  std::int64_t number = 7;
  EXPECT_EQ(answer.get_int64(std::nothrow, flags, "cdnHostname", number), Status::decode);
  EXPECT_EQ(number, 0);
  // Names are passed on as they are, or refused: never cut short.
  const std::string_view with_nul("searchProviderId\0x", 18);
  EXPECT_EQ(answer.get_int64(std::nothrow, flags, with_nul, number), Status::invalid_arg);
  std::string_view text;
  EXPECT_EQ(answer.as_object(std::nothrow, std::string_view("\0", 1), text), Status::invalid_arg);
  for (const std::size_t length : {126u, 127u, 128u, 129u, 5000u})
    EXPECT_EQ(answer.get_value(std::nothrow, flags, std::string(length, 'x'), text), Status::no_attribute);
  const std::string exact = std::string("demo-engineering-flags-and-more").substr(0, 22); // a view into something longer
  EXPECT_EQ(answer.get_int64(std::string_view("demo-engineering-flags-and-more").substr(0, exact.size()), "searchProviderId"), 143);
}

TEST(Results, AreShared) {
  Result one = client().get_offers(offers);
  const std::string_view text = one.json();
  Result two = one, three;
  three = two;
  one = Result();
  two = std::move(one);
  EXPECT_EQ(one.status(), Status::bad_handle);
  EXPECT_EQ(one.json(), "");
  EXPECT_EQ(thrown([&] { one.get(""); }), Status::bad_handle);
  EXPECT_EQ(three.json().data(), text.data());
  EXPECT_EQ(three.get("/response/execute/mboxes/0/name"), "\"demo-engineering-flags\"");
  EXPECT_EQ(three.text("/response/execute/mboxes/0/name"), flags);
  EXPECT_EQ(thrown([&] { three.text("/response/execute/mboxes/0"); }), Status::decode);
  EXPECT_EQ(thrown([&] { three.get("/nothing/here"); }), Status::no_attribute);
  EXPECT_EQ(thrown([&] { three.get("no pointer"); }), Status::invalid_arg);
  const target_result handle = three.release();
  EXPECT_EQ(target_result_free(handle), TARGET_OK);
  EXPECT_EQ(target_result_free(handle), TARGET_E_BAD_HANDLE);
}

TEST(Results, TextsLoseTheirEscapes) {
  for (const std::string &text : {std::string("plain"), std::string("\"quotes\\ and / slashes\""), std::string("tab\tline\nreturn\r\b\f"),
                                  std::string("\x01\x1f control"), std::string("Grüße, 東京, 😀"), std::string()}) {
    std::string out;
    ASSERT_TRUE(detail::unquote(json_string(text), out)) << text;
    EXPECT_EQ(out, text);
  }
  std::string out;
  EXPECT_TRUE(detail::unquote(R"("\u00fc\u6771\ud83d\ude00\ud83d!\/")", out));
  EXPECT_EQ(out, "ü東😀\xEF\xBF\xBD!/");
  for (const char *bad : {"", "\"", "1", "\"\\\"", "\"\\u12\"", "\"\\u12x4\"", "{\"a\":\"b\"}"}) EXPECT_FALSE(detail::unquote(bad, out)) << bad;
}

TEST(Errors, ComeWithTheAnswer) {
  const Client one = client(R"(,"maxRetries":0)");
  EXPECT_EQ(thrown([&] { one.get_offers("not JSON"); }), Status::invalid_json);
  EXPECT_EQ(thrown([&] { one.get_offers("{}"); }), Status::invalid_options);
  EXPECT_EQ(thrown([&] { one.get_offers(offers, -1ms); }), Status::invalid_arg);
  EXPECT_EQ(thrown([&] { one.get_offers("\xff"); }), Status::invalid_arg);
  {
    const Fault fault(R"({"name":"status:503"})");
    try {
      one.get_offers(offers);
      FAIL() << "that went well";
    } catch (const Error &error) {
      EXPECT_EQ(error.status(), Status::http);
      EXPECT_TRUE(error.retryable());
      EXPECT_EQ(error.result().get("/httpStatus"), "503");
    }
  }
  const Fault fault(R"({"name":"stall"})");
  EXPECT_EQ(thrown([&] { one.get_offers(offers, 50ms); }), Status::timeout);
  Result out;
  EXPECT_EQ(one.get_offers(std::nothrow, offers, out, 50ms), Status::timeout);
  EXPECT_EQ(out.status(), Status::timeout);
  EXPECT_FALSE(out.ok());
  std::string message;
  EXPECT_EQ(out.text(std::nothrow, "/message", message), Status::ok);
}

TEST(Notifications, AreSent) {
  const Client one = client();
  const std::string_view shown =
      R"({"request":{"notifications":[{"id":"1","type":"display","timestamp":1700000000000,"mbox":{"name":"homepage-hero"},"tokens":["t"]}]}})";
  EXPECT_TRUE(one.send_notifications(shown).ok());
  EXPECT_TRUE(one.send_notifications_async(shown).get().ok());
  Counter done;
  Request request = one.send_notifications(shown, [&](const Result &result) {
    EXPECT_TRUE(result.ok());
    done.add();
  });
  EXPECT_TRUE(done.reaches(1));
  EXPECT_EQ(thrown([&] { one.send_notifications(offers); }), Status::invalid_options);
}

TEST(Futures, GiveAnswersAndErrors) {
  const Client one = client();
  std::vector<std::future<Result>> all;
  for (int i = 0; i < 50; i++) all.push_back(i % 2 ? one.get_offers_async(offers) : one.get_attributes_async(flag_names));
  auto bad = one.get_offers_async("not JSON");
  for (auto &future : all) {
    ASSERT_EQ(future.wait_for(soon), std::future_status::ready);
    EXPECT_TRUE(future.get().ok());
  }
  EXPECT_EQ(thrown([&] { bad.get(); }), Status::invalid_json);
  EXPECT_EQ(thrown([&] { (void)one.get_offers_async(offers, -1ms); }), Status::invalid_arg);
}

TEST(Futures, AreAnsweredWhenTheirClientGoes) {
  const Fault fault(R"({"name":"stall"})");
  std::future<Result> future;
  {
    Client one = client();
    one.drain(1500ms);
    future = one.get_offers_async(offers);
  }
  EXPECT_EQ(thrown([&] { future.get(); }), Status::cancelled);
}

TEST(Queues, HandOutAnswersEventsAndLogs) {
  const Queue queue = Queue::create();
  set_log_queue(Level::trace, queue);
  const Client one = Client::create(config(), queue, 99);
  std::set<std::uint64_t> answered;
  for (std::uint64_t tag = 0; tag < 100; tag++) (void)one.get_offers(offers, queue, tag);
  bool event = false, log = false;
  pollfd watch{queue.fd(), POLLIN, 0};
  while (answered.size() < 100 || !event || !log) {
    ASSERT_EQ(::poll(&watch, 1, 20000), 1);
    for (const Completion &completion : queue.poll()) {
      if (completion.kind == Kind::call) {
        EXPECT_EQ(completion.status, Status::ok);
        EXPECT_TRUE(completion.result.ok() && completion.request != 0);
        EXPECT_TRUE(answered.insert(completion.tag).second);
      } else if (completion.kind == Kind::event) {
        EXPECT_EQ(completion.tag, 99u);
        event = event || completion.result.text("/type") == "clientReady";
      } else {
        log = true;
        EXPECT_EQ(completion.result.get("/level").size(), 1u);
      }
    }
  }
  end_log();
  const target_request never = one.get_offers(offers, queue, 1);
  EXPECT_TRUE(abandon(never));
  const Fault fault(R"({"name":"stall"})");
  const target_request cancelled = one.get_attributes(flag_names, {}, queue, 2);
  EXPECT_TRUE(cancel(cancelled));
  bool told = false;
  while (!told) {
    for (const Completion &completion : queue.poll(soon)) {
      if (completion.kind != Kind::call) continue;
      EXPECT_EQ(completion.tag, 2u);
      EXPECT_EQ(completion.status, Status::cancelled);
      told = true;
    }
  }
  EXPECT_FALSE(cancel(cancelled));
}

TEST(Queues, WaitAndWake) {
  Queue queue = Queue::create();
  EXPECT_TRUE(queue.poll(0ms).empty());
  EXPECT_TRUE(queue.poll(-5ms).empty()); // a time that has passed
  EXPECT_TRUE(queue.poll(1ms).empty());
  std::thread waiting([&] { EXPECT_TRUE(queue.poll(forever).empty()); });
  queue.wake();
  waiting.join();
  Queue other = std::move(queue);
  EXPECT_EQ(thrown([&] { queue.poll(); }), Status::bad_handle);
  std::size_t count = 1;
  EXPECT_EQ(queue.poll(std::nothrow, nullptr, 1, count), Status::bad_handle);
  EXPECT_EQ(count, 0u);
  Completion one;
  EXPECT_EQ(other.poll(std::nothrow, &one, 0, count), Status::invalid_arg);
}

TEST(Events, ArriveAndEndWithTheClient) {
  std::atomic<int> alive{0};
  Counter ready, closed;
  {
    const Client one = Client::create(config(), [&, owned = Capture(alive)](std::string_view event) {
      EXPECT_TRUE(on_dispatcher());
      if (event.find("\"clientReady\"") != std::string_view::npos) ready.add();
      if (event.find("\"closed\"") != std::string_view::npos) closed.add();
    });
    EXPECT_TRUE(ready.reaches(1));
    EXPECT_EQ(alive, 1);
  }
  EXPECT_EQ(alive, 0); // the callable went with the client
  EXPECT_EQ(closed.get(), 1);
  EXPECT_EQ(thrown([&] { Client::create("{}", [owned = Capture(alive)](std::string_view) {}); }), Status::invalid_options);
  EXPECT_EQ(alive, 0);
}

TEST(Logs, GoToACallable) {
  Counter lines;
  std::atomic<int> alive{0};
  set_log(Level::trace, [&, owned = Capture(alive)](Level level, std::string_view module, std::string_view message) {
    EXPECT_TRUE(level >= Level::error && level <= Level::trace);
    EXPECT_EQ(module.substr(0, 10), "target_sdk");
    EXPECT_FALSE(message.empty());
    lines.add();
  });
  client().get_offers(offers);
  EXPECT_TRUE(lines.reaches(1));
  end_log();
  const int count = lines.get();
  client().get_offers(offers);
  EXPECT_EQ(lines.get(), count);
  EXPECT_EQ(set_log(std::nothrow, static_cast<Level>(17), [owned = Capture(alive)](Level, std::string_view, std::string_view) {}),
            Status::invalid_arg);
  shutdown(10s); // releases what is due
  EXPECT_EQ(alive, 0);
}

TEST(Library, Names) {
  EXPECT_STREQ(cookie_name(), "mbox");
  EXPECT_STREQ(location_hint_cookie_name(), "mboxEdgeCluster");
  EXPECT_EQ(visitor_cookie_name("1234@AdobeOrg"), "AMCV_1234@AdobeOrg");
  EXPECT_EQ(visitor_cookie_name(std::string(300, 'x')).size(), 305u);
  EXPECT_EQ(thrown([] { (void)visitor_cookie_name(""); }), Status::invalid_arg);
  EXPECT_EQ(json_string("a\"b\\c\n"), R"("a\"b\\c\u000a")");
  EXPECT_EQ(json_array({}), "[]");
  EXPECT_EQ(json_array({"a", "b\""}), R"(["a","b\""])");
  EXPECT_STRNE(version(), "");
  EXPECT_EQ(thrown([] { init(R"({"workerThreads":0})"); }), Status::invalid_options);
  EXPECT_EQ(thrown([] { init(std::string_view("{}\0", 3)); }), Status::invalid_arg);
}
