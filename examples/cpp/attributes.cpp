// Reads feature flags: attributes of the JSON offer of one mbox.
//
//   ./attributes 127.0.0.1:9700
#include "example.hpp"

static void attributes(const std::string &edge) {
  const auto client = target_sdk::Client::create(example_config(edge));
  const std::string_view mbox = "demo-engineering-flags";

  // Waits for the answer, for the client's timeout at most. A failure is thrown.
  const auto flags = client.get_attributes(target_sdk::json_array({mbox}));

  // One attribute, with the type that the program expects ...
  std::cout << "  searchProviderId           " << flags.get_int64(mbox, "searchProviderId") << '\n';
  std::cout << "  hasLegacyAccess            " << std::boolalpha << flags.get_bool(mbox, "hasLegacyAccess") << '\n';
  // ... or without exceptions, where it may be missing ...
  std::string_view theme;
  if (flags.get_string(std::nothrow, mbox, "theme", theme) == target_sdk::Status::no_attribute) theme = "(none: use the default)";
  std::cout << "  theme                      " << theme << '\n';
  // ... and all of them, as JSON.
  std::cout << "  all attributes             " << flags.as_object(mbox) << '\n';
}

int main(int argc, char **argv) { return example_main(argc, argv, "HOST:PORT", attributes); }
