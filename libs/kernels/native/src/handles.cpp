#include "handles.hpp"

#include <mutex>
#include <vector>

#include "error.hpp"

namespace sk {

namespace {

constexpr uint32_t kSlotBits = 24;
constexpr uint32_t kSlotMask = (1u << kSlotBits) - 1;
constexpr uint32_t kGenerations = (1u << 24) - 1;

struct Slot {
  std::shared_ptr<Object> object;
  Kind kind = Kind::context;
  uint32_t generation = 1;
};

struct Table {
  std::mutex mutex;
  std::vector<Slot> slots;
  std::vector<uint32_t> free;
};

Table& table() {
  static Table* instance = new Table;  // never destroyed: threads may outlive static destructors
  return *instance;
}

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::context:
      return "context";
    case Kind::map:
      return "map";
    case Kind::tensor:
      return "tensor";
    case Kind::weight:
      return "weight";
    case Kind::program:
      return "program";
    case Kind::sequence:
      return "sequence";
  }
  return "object";
}

sk_handle encode(uint32_t slot, const Slot& entry) {
  return static_cast<sk_handle>(entry.kind) << 48 |
         static_cast<sk_handle>(entry.generation) << kSlotBits | slot;
}

// Call with the lock held.
Slot& locate(Table& t, sk_handle handle, Kind kind) {
  const uint32_t slot = static_cast<uint32_t>(handle & kSlotMask);
  if (handle == 0) fail(SK_INVALID_HANDLE, "the %s handle is 0", name_of(kind));
  if (slot >= t.slots.size() || !t.slots[slot].object || encode(slot, t.slots[slot]) != handle)
    fail(SK_INVALID_HANDLE, "%llu names no living %s: freed, or never given out",
         static_cast<unsigned long long>(handle), name_of(kind));
  if (t.slots[slot].kind != kind)
    fail(SK_INVALID_HANDLE, "the handle names a %s, not a %s", name_of(t.slots[slot].kind),
         name_of(kind));
  return t.slots[slot];
}

// Call with the lock held; the object is destroyed by the caller, without the lock.
std::shared_ptr<Object> vacate(Table& t, uint32_t slot) {
  Slot& entry = t.slots[slot];
  std::shared_ptr<Object> object = std::move(entry.object);
  entry.object.reset();
  entry.generation = entry.generation == kGenerations ? 1 : entry.generation + 1;
  t.free.push_back(slot);
  return object;
}

}  // namespace

sk_handle register_object(Kind kind, std::shared_ptr<Object> object) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  if (t.free.empty()) {
    if (t.slots.size() >= SK_MAX_HANDLES) fail(SK_LIMIT, "more than %d handles", SK_MAX_HANDLES);
    if (t.free.capacity() <= t.slots.size()) t.free.reserve(2 * t.slots.size() + 1);
    t.slots.emplace_back();
    t.free.push_back(static_cast<uint32_t>(t.slots.size() - 1));
  }
  const uint32_t slot = t.free.back();
  t.free.pop_back();
  t.slots[slot].object = std::move(object);
  t.slots[slot].kind = kind;
  return encode(slot, t.slots[slot]);
}

std::shared_ptr<Object> find_object(sk_handle handle, Kind kind) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  return locate(t, handle, kind).object;
}

void remove_object(sk_handle handle, Kind kind) {
  std::shared_ptr<Object> object;  // destroyed after the lock is released
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  locate(t, handle, kind);
  object = vacate(t, static_cast<uint32_t>(handle & kSlotMask));
}

void remove_context(sk_handle handle) {
  std::vector<std::shared_ptr<Object>> objects;
  Table& t = table();
  {
    const std::lock_guard lock(t.mutex);
    const Context* context = locate(t, handle, Kind::context).object->owner();
    for (uint32_t slot = 0; slot < t.slots.size(); ++slot) {
      if (t.slots[slot].object && t.slots[slot].object->owner() == context)
        objects.push_back(vacate(t, slot));
    }
  }
}

std::vector<std::shared_ptr<Object>> objects_of(Kind kind, const Context* owner) {
  Table& t = table();
  const std::lock_guard lock(t.mutex);
  std::vector<std::shared_ptr<Object>> objects;
  for (const Slot& entry : t.slots) {
    if (entry.object && entry.kind == kind && (owner == nullptr || entry.object->owner() == owner))
      objects.push_back(entry.object);
  }
  return objects;
}

uint64_t count_objects(Kind kind, const Context* owner) { return objects_of(kind, owner).size(); }

}  // namespace sk
