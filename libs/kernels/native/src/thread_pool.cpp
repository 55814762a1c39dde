#include "thread_pool.hpp"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace sk {

namespace {
void relax() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}
constexpr uint32_t kSpins = 4096;
}  // namespace

void Backoff::wait() {
  if (spins_ == kSpins) return std::this_thread::yield();
  ++spins_;
  relax();
}

ThreadPool::ThreadPool(uint32_t threads) : threads_(threads) {
  try {
    for (uint32_t i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
  } catch (...) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (auto& worker : workers_) worker.join();
    throw;
  }
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (auto& worker : workers_) worker.join();
}

void ThreadPool::run(const std::function<void(uint32_t)>& body) {
  if (threads_ == 1) return body(0);
  {
    const std::lock_guard lock(mutex_);
    body_ = &body;
    ++generation_;
  }
  wake_.notify_all();
  body(0);
  {
    const std::lock_guard lock(mutex_);
    body_ = nullptr;
  }
  Backoff backoff;
  while (inside_.load(std::memory_order_acquire) > 0) backoff.wait();
}

void ThreadPool::work(uint32_t thread) {
  uint64_t seen = 0;
  while (true) {
    const std::function<void(uint32_t)>* body = nullptr;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || (body_ && generation_ != seen); });
      if (stopping_) return;
      seen = generation_;
      body = body_;
      inside_.fetch_add(1, std::memory_order_relaxed);
    }
    (*body)(thread);
    inside_.fetch_sub(1, std::memory_order_release);
  }
}

}  // namespace sk
