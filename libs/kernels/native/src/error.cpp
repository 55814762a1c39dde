#include "error.hpp"

#include <cstdarg>
#include <cstdio>

namespace sk {

namespace {
constexpr size_t kMessageBytes = 512;
thread_local char last_message[kMessageBytes] = "";
}  // namespace

void fail(sk_status status, const char* format, ...) {
  char message[kMessageBytes];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  throw Error(status, message);
}

sk_status remember(sk_status status, const char* message) noexcept {
  std::snprintf(last_message, sizeof last_message, "%s", message);
  return status;
}

const char* last_error() noexcept { return last_message; }

uint64_t in_range(uint64_t value, uint64_t low, uint64_t high, const char* name) {
  if (value < low || value > high) {
    fail(value > high ? SK_LIMIT : SK_INVALID_ARGUMENT, "%s is %llu, must be %llu..%llu", name,
         static_cast<unsigned long long>(value), static_cast<unsigned long long>(low),
         static_cast<unsigned long long>(high));
  }
  return value;
}

}  // namespace sk
