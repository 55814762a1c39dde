#pragma once
#include <atomic>
#include <memory>
#include <mutex>

#include "handles.hpp"
#include "isa.hpp"
#include "memory.hpp"
#include "thread_pool.hpp"

namespace sk {

class Context : public Object, public std::enable_shared_from_this<Context> {
 public:
  static constexpr Kind kKind = Kind::context;
  Context(uint32_t threads, bool fast_mode, const Kernels& isa, const sk_limits& limits)
      : fast(fast_mode),
        kernels(isa),
        budget(std::make_shared<Budget>(limits)),
        pages(std::make_shared<PagePool>(budget)),
        pool(threads) {
    budget->reclaim_from(pages);
  }
  Context* owner() const override { return const_cast<Context*>(this); }

  const bool fast;
  const Kernels& kernels;
  const std::shared_ptr<Budget> budget;
  const std::shared_ptr<PagePool> pages;
  ThreadPool pool;
  // Held while recording, stepping, and while sequences change: one at a time per context.
  std::mutex running;
  std::atomic<uint64_t> steps{0};
  std::atomic<uint64_t> tokens{0};
  std::atomic<uint64_t> mapped_bytes{0};
  std::atomic<uint64_t> wired_bytes{0};
};

}  // namespace sk
