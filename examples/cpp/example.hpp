// What the examples share: the configuration of a client of a local edge, and what they print when something fails.
#ifndef EXAMPLE_HPP
#define EXAMPLE_HPP

#include <iostream>
#include <string>
#include <target_sdk.hpp>

// The configuration for a local edge at HOST:PORT. Against Adobe: {"client": "acme", "organizationId": "ORG@AdobeOrg"}.
// `more` adds members and begins with a comma.
inline std::string example_config(const std::string &edge, const std::string &more = "") {
  return R"({"client": "acme", "organizationId": "ORG@AdobeOrg", "pinServerDomain": true, "secure": false,)"
         R"("serverDomain": )" + target_sdk::json_string(edge) +
         R"(, "artifactLocation": )" + target_sdk::json_string("http://" + edge + "/acme/production/v1/rules.json") + more + "}";
}

// Runs an example with its argument: 0 when it went well.
template <class Example>
int example_main(int argc, char **argv, const char *argument, Example example) {
  if (argc != 2) {
    std::cerr << "usage: " << argv[0] << ' ' << argument << '\n';
    return 2;
  }
  try {
    example(argv[1]);
    target_sdk::shutdown(std::chrono::seconds(1)); // optional at the end of a program: ends the library's threads
    return 0;
  } catch (const target_sdk::Error &error) {
    // what() is for people; status() and document() are for programs.
    std::cerr << error.what() << "\n  " << error.document() << '\n';
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
  }
  return 1;
}

#endif // EXAMPLE_HPP
