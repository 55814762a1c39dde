#include "memory.hpp"

#include <cstdlib>

#include "error.hpp"

namespace sk {

namespace {
bool exceeds(uint64_t used, uint64_t more, uint64_t limit) {
  return limit != 0 && (more > limit || used > limit - more);
}
[[noreturn]] void refuse(const char* name, uint64_t used, uint64_t more, uint64_t limit) {
  fail(SK_OUT_OF_MEMORY, "%s limit reached: %llu bytes in use, %llu more asked, limit %llu", name,
       static_cast<unsigned long long>(used), static_cast<unsigned long long>(more),
       static_cast<unsigned long long>(limit));
}
}  // namespace

bool Budget::fits(uint64_t bytes, Use use) const {
  const std::lock_guard lock(mutex_);
  return !exceeds(memory_, bytes, limits_.memory_bytes) &&
         (use != Use::cache || !exceeds(cache_, bytes, limits_.cache_bytes));
}

void Budget::reclaim() const {
  if (const auto pages = pages_.lock()) pages->clear();
}

void Budget::take(uint64_t bytes, Use use) {
  if (!fits(bytes, use)) reclaim();
  const std::lock_guard lock(mutex_);
  if (use == Use::cache && exceeds(cache_, bytes, limits_.cache_bytes))
    refuse("cache", cache_, bytes, limits_.cache_bytes);
  if (exceeds(memory_, bytes, limits_.memory_bytes))
    refuse("memory", memory_, bytes, limits_.memory_bytes);
  memory_ += bytes;
  if (memory_ > peak_) peak_ = memory_;
  if (use == Use::cache) cache_ += bytes;
  if (use == Use::scratch) scratch_ += bytes;
}

void Budget::give(uint64_t bytes, Use use) noexcept {
  const std::lock_guard lock(mutex_);
  memory_ -= bytes;
  if (use == Use::cache) cache_ -= bytes;
  if (use == Use::scratch) scratch_ -= bytes;
}

void Budget::set_limits(const sk_limits& limits) {
  const std::lock_guard lock(mutex_);
  limits_ = limits;
}

sk_limits Budget::limits() const {
  const std::lock_guard lock(mutex_);
  return limits_;
}

bool Budget::over() const {
  const std::lock_guard lock(mutex_);
  return exceeds(cache_, 0, limits_.cache_bytes) || exceeds(memory_, 0, limits_.memory_bytes);
}

void Budget::fill(sk_stats& stats) const {
  const std::lock_guard lock(mutex_);
  stats.memory_bytes = memory_;
  stats.memory_peak_bytes = peak_;
  stats.cache_bytes = cache_;
  stats.scratch_bytes = scratch_;
}

Block::Block(std::shared_ptr<Budget> budget, uint64_t bytes, Use use)
    : budget_(std::move(budget)), use_(use) {
  constexpr uint64_t kAlign = 64;
  if (bytes > UINT64_MAX / 2) fail(SK_OUT_OF_MEMORY, "an absurd amount of memory was asked for");
  const uint64_t rounded = (bytes + kAlign - 1) / kAlign * kAlign;
  budget_->take(rounded, use);
  // Not aligned_alloc: before glibc 2.38 what it gave is seldom reused once freed, so that the heap
  // of an engine that held 4 MB grew to 150
  // (https://sourceware.org/bugzilla/show_bug.cgi?id=14581).
  allocated_ = std::malloc(rounded + kAlign);
  if (allocated_ == nullptr) {
    budget_->reclaim();
    allocated_ = std::malloc(rounded + kAlign);
  }
  if (allocated_ == nullptr) {
    budget_->give(rounded, use);
    fail(SK_OUT_OF_MEMORY, "the machine has no %llu bytes left",
         static_cast<unsigned long long>(rounded));
  }
  const auto address = reinterpret_cast<uintptr_t>(allocated_);
  data_ = reinterpret_cast<uint8_t*>((address + kAlign - 1) / kAlign * kAlign);
  bytes_ = rounded;
}

Block::~Block() {
  if (data_ == nullptr) return;
  std::free(allocated_);
  budget_->give(bytes_, use_);
}

PagePool::Page PagePool::take(uint64_t bytes) {
  Block block;
  {
    const std::lock_guard lock(mutex_);
    auto& blocks = spare_[(bytes + 63) / 64 * 64];
    if (!blocks.empty()) {
      block = std::move(blocks.back());
      blocks.pop_back();
      spare_bytes_ -= block.bytes();
    }
  }
  if (block.data() == nullptr) block = Block(budget_, bytes, Use::cache);
  auto* owned = new Block(std::move(block));
  {
    const std::lock_guard lock(mutex_);
    ++in_use_;
  }
  return Page(owned, [pool = shared_from_this()](Block* page) { pool->put_back(page); });
}

void PagePool::put_back(Block* page) noexcept {
  const std::unique_ptr<Block> owned(page);
  const bool keep = !budget_->over();
  const std::lock_guard lock(mutex_);
  --in_use_;
  if (!keep) return;
  try {
    auto& blocks = spare_[owned->bytes()];
    blocks.reserve(blocks.size() + 1);
    spare_bytes_ += owned->bytes();
    blocks.push_back(std::move(*owned));
  } catch (const std::bad_alloc&) {
    // Not kept then; the unique_ptr returns it to the system.
  }
}

void PagePool::clear() {
  const std::lock_guard lock(mutex_);
  spare_.clear();
  spare_bytes_ = 0;
}

void PagePool::fill(sk_stats& stats) const {
  const std::lock_guard lock(mutex_);
  stats.pages = in_use_;
  stats.cache_spare_bytes = spare_bytes_;
}

}  // namespace sk
