#include <iostream>
#include <target_sdk.hpp>
int main() { std::cout << target_sdk::version() << ' ' << name(target_sdk::Status::ok) << '\n'; }
