#pragma once
#include <exception>
#include <new>
#include <string>
#include <utility>

#include "sanctum.h"

namespace sk {

class Error : public std::exception {
 public:
  Error(sk_status status, std::string message) : status_(status), message_(std::move(message)) {}
  sk_status status() const { return status_; }
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  sk_status status_;
  std::string message_;
};

[[noreturn]] __attribute__((format(printf, 2, 3))) void fail(sk_status status, const char* format,
                                                             ...);

// Remembers why a call failed, for sk_last_error of this thread.
sk_status remember(sk_status status, const char* message) noexcept;
const char* last_error() noexcept;

// Runs the body of an entry point; no exception leaves the library.
template <typename Body>
sk_status guarded(Body&& body) noexcept {
  try {
    body();
    return SK_OK;
  } catch (const Error& error) {
    return remember(error.status(), error.what());
  } catch (const std::bad_alloc&) {
    return remember(SK_OUT_OF_MEMORY, "the machine has no memory left");
  } catch (const std::exception& error) {
    return remember(SK_INTERNAL, error.what());
  } catch (...) {
    return remember(SK_INTERNAL, "unknown failure");
  }
}

template <typename T>
T* required(T* pointer, const char* name) {
  if (pointer == nullptr) fail(SK_INVALID_ARGUMENT, "%s is null", name);
  return pointer;
}

// Value within [low, high], else an error that names it.
uint64_t in_range(uint64_t value, uint64_t low, uint64_t high, const char* name);

}  // namespace sk
