#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sk {

// Runs one function on all threads at once. Threads sleep between runs; within a run they meet at
// barriers, where they spin.
class ThreadPool {
 public:
  explicit ThreadPool(uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  uint32_t size() const { return threads_; }
  // body(thread) on every thread, the caller being thread 0; returns when all have finished.
  // body must not throw.
  void run(const std::function<void(uint32_t)>& body);
  // All threads of a run call this the same number of times.
  void barrier();

 private:
  void work(uint32_t thread);
  const uint32_t threads_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(uint32_t)>* body_ = nullptr;
  uint64_t generation_ = 0;
  bool stopping_ = false;
  alignas(64) std::atomic<uint32_t> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};
};

}  // namespace sk
