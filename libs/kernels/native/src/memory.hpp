#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "sanctum.h"

namespace sk {

enum class Use { general, cache, scratch };

class PagePool;

// Counts every byte of a context against its limits. Outlives the context through its blocks.
class Budget {
 public:
  explicit Budget(const sk_limits& limits) : limits_(limits) {}
  // The spare pages of this pool make way before anything is refused.
  void reclaim_from(std::weak_ptr<PagePool> pages) { pages_ = std::move(pages); }
  void take(uint64_t bytes, Use use);  // fails with SK_OUT_OF_MEMORY
  void give(uint64_t bytes, Use use) noexcept;
  void set_limits(const sk_limits& limits);
  sk_limits limits() const;
  bool over() const;
  void reclaim() const;
  void fill(sk_stats& stats) const;

 private:
  bool fits(uint64_t bytes, Use use) const;
  std::weak_ptr<PagePool> pages_;
  mutable std::mutex mutex_;
  sk_limits limits_;
  uint64_t memory_ = 0;
  uint64_t peak_ = 0;
  uint64_t cache_ = 0;
  uint64_t scratch_ = 0;
};

// Memory aligned to 64 bytes, counted while it lives.
class Block {
 public:
  Block() = default;
  Block(std::shared_ptr<Budget> budget, uint64_t bytes, Use use);
  Block(Block&& other) noexcept { swap(other); }
  Block& operator=(Block&& other) noexcept {
    swap(other);
    return *this;
  }
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();
  uint8_t* data() const { return data_; }
  float* floats() const { return reinterpret_cast<float*>(data_); }
  uint64_t bytes() const { return bytes_; }

 private:
  void swap(Block& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(allocated_, other.allocated_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(use_, other.use_);
  }
  std::shared_ptr<Budget> budget_;
  void* allocated_ = nullptr;
  uint8_t* data_ = nullptr;
  uint64_t bytes_ = 0;
  Use use_ = Use::general;
};

// Pages of the key/value caches. A page no sequence holds any more is kept for reuse.
class PagePool : public std::enable_shared_from_this<PagePool> {
 public:
  explicit PagePool(std::shared_ptr<Budget> budget) : budget_(std::move(budget)) {}
  using Page = std::shared_ptr<Block>;  // use_count is the reference count of copy-on-write
  Page take(uint64_t bytes);
  void clear();
  void fill(sk_stats& stats) const;

 private:
  void put_back(Block* block) noexcept;
  std::shared_ptr<Budget> budget_;
  mutable std::mutex mutex_;
  std::map<uint64_t, std::vector<Block>> spare_;
  uint64_t in_use_ = 0;
  uint64_t spare_bytes_ = 0;
};

}  // namespace sk
