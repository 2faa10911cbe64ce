// Decisions on the device as a C++ program makes them: as benches/on_device.c, through target_sdk.hpp.
//
//   on_device_cpp CONFIG.json OPTIONS.json DECISIONS
//
// Makes DECISIONS decisions. With the argument `c` behind them it does the same through the C interface, in
// the same program: the difference is what the header costs.
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "target_sdk.hpp"

static std::string read_file(const char *path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

static std::size_t through_cpp(const target_sdk::Client &client, const std::string &options, long decisions) {
  std::size_t size = 0;
  for (long i = 0; i < decisions; i++) {
    const target_sdk::Result result = client.get_offers(options, std::chrono::seconds(10));
    size += result.json().size();
  }
  return size;
}

static std::size_t through_c(target_client client, const std::string &options, long decisions) {
  std::size_t size = 0;
  for (long i = 0; i < decisions; i++) {
    target_result result = 0;
    const char *json = nullptr;
    std::size_t len = 0;
    if (target_get_offers_sync(client, options.data(), options.size(), 10000, &result) != TARGET_OK) return 0;
    target_result_json(result, &json, &len);
    size += len;
    target_result_free(result);
  }
  return size;
}

int main(int argc, char **argv) {
  if (argc != 4 && argc != 5) {
    std::cerr << "usage: " << argv[0] << " CONFIG.json OPTIONS.json DECISIONS [c]\n";
    return 2;
  }
  try {
    const auto client = target_sdk::Client::create(read_file(argv[1]));
    const std::string options = read_file(argv[2]);
    const long decisions = std::stol(argv[3]);
    client.wait_ready(std::chrono::seconds(10));
    const std::size_t size = argc == 5 ? through_c(client.handle(), options, decisions) : through_cpp(client, options, decisions);
    std::cout << "{\"bytes\":" << size << "}\n";
    return size == 0;
  } catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
  }
}
