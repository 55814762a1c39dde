#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "sanctum.h"

namespace sk {

enum class Kind : uint32_t { context = 1, map, tensor, weight, program, sequence };

class Context;

// Base of everything a handle names. The owner is the context it was made from.
class Object {
 public:
  virtual ~Object() = default;
  virtual Context* owner() const = 0;
};

// A handle is kind (4 bits), generation (24 bits), slot (24 bits): below 2^53, exact in a double.
sk_handle register_object(Kind kind, std::shared_ptr<Object> object);
// Fails with SK_INVALID_HANDLE for stale, foreign or made-up handles.
std::shared_ptr<Object> find_object(sk_handle handle, Kind kind);
void remove_object(sk_handle handle, Kind kind);
// Frees a context and all objects made from it.
void remove_context(sk_handle handle);
uint64_t count_objects(Kind kind, const Context* owner);
std::vector<std::shared_ptr<Object>> objects_of(Kind kind, const Context* owner);

template <typename T>
std::shared_ptr<T> find(sk_handle handle) {
  return std::static_pointer_cast<T>(find_object(handle, T::kKind));
}

}  // namespace sk
