#include <stdio.h>
#include <target_sdk.h>
int main(void) {
  return printf("%s %s\n", target_version(), target_status_name(TARGET_OK)) < 0 || target_abi_version() != TARGET_ABI_VERSION;
}
