#include <algorithm>
#include <cstring>
#include <thread>

#include "context.hpp"
#include "error.hpp"

using namespace sk;

namespace {

void copy_text(const std::string& text, char* out, size_t capacity, const char* name) {
  required(out, name);
  if (capacity < text.size() + 1)
    fail(SK_INVALID_ARGUMENT, "%s has room for %zu bytes, %zu are needed", name, capacity,
         text.size() + 1);
  std::memcpy(out, text.c_str(), text.size() + 1);
}

}  // namespace

uint32_t sk_abi_version(void) { return SK_ABI_VERSION; }

const char* sk_last_error(void) { return last_error(); }

sk_status sk_library_info(char* json, size_t capacity) {
  return guarded([&] {
    std::string names;
    for (const Kernels* isa : available_isas())
      names += (names.empty() ? "\"" : ",\"") + std::string(isa->name) + "\"";
    copy_text("{\"name\":\"libsanctum_cpu\",\"version\":\"" SK_LIBRARY_VERSION "\",\"abi\":" +
                  std::to_string(SK_ABI_VERSION) + ",\"isa\":\"" + available_isas().front()->name +
                  "\",\"isas\":[" + names + "]}",
              json, capacity, "json");
  });
}

sk_status sk_context_create(const sk_context_options* options, sk_handle* context) {
  return guarded([&] {
    required(options, "options");
    required(context, "context");
    *context = 0;
    if (options->mode != SK_MODE_EXACT && options->mode != SK_MODE_FAST)
      fail(SK_INVALID_ARGUMENT, "mode is %d, must be SK_MODE_EXACT or SK_MODE_FAST", options->mode);
    uint32_t threads = options->threads;
    if (threads == 0)
      threads = std::clamp<uint32_t>(std::thread::hardware_concurrency(), 1, SK_MAX_THREADS);
    in_range(threads, 1, SK_MAX_THREADS, "threads");
    in_range(count_objects(Kind::context, nullptr) + 1, 1, SK_MAX_CONTEXTS, "contexts");
    const Kernels& isa = choose_isa(options->isa);
    auto created =
        std::make_shared<Context>(threads, options->mode == SK_MODE_FAST, isa, options->limits);
    *context = register_object(Kind::context, std::move(created));
  });
}

sk_status sk_context_free(sk_handle context) {
  return guarded([&] { remove_context(context); });
}

sk_status sk_context_limits(sk_handle context, const sk_limits* limits) {
  return guarded([&] {
    const auto found = find<Context>(context);
    found->budget->set_limits(*required(limits, "limits"));
    if (found->budget->over()) found->budget->reclaim();
  });
}

sk_status sk_context_stats(sk_handle context, sk_stats* stats) {
  return guarded([&] {
    const auto found = find<Context>(context);
    *required(stats, "stats") = sk_stats{};
    found->budget->fill(*stats);
    found->pages->fill(*stats);
    stats->mapped_bytes = found->mapped_bytes;
    stats->wired_bytes = found->wired_bytes;
    stats->sequences = count_objects(Kind::sequence, found.get());
    stats->steps = found->steps;
    stats->tokens = found->tokens;
  });
}

sk_status sk_context_isa(sk_handle context, char* name, size_t capacity) {
  return guarded([&] { copy_text(find<Context>(context)->kernels.name, name, capacity, "name"); });
}
