#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace sk {

// For waiting a few microseconds: spins, and when that was not enough gives the core away, as the
// thread that is waited for is probably not running.
class Backoff {
 public:
  void wait();

 private:
  uint32_t spins_ = 0;
};

// Runs one function on all threads at once. Threads sleep between runs.
class ThreadPool {
 public:
  explicit ThreadPool(uint32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  uint32_t size() const { return threads_; }
  // body(0) here, and body(thread) on each other thread that comes before body(0) has returned:
  // body has to be complete without them. Returns when all of them have. body must not throw.
  void run(const std::function<void(uint32_t)>& body);

 private:
  void work(uint32_t thread);
  const uint32_t threads_;
  std::vector<std::thread> workers_;
  std::mutex mutex_;
  std::condition_variable wake_;
  const std::function<void(uint32_t)>* body_ = nullptr;  // while threads may join in
  uint64_t generation_ = 0;
  bool stopping_ = false;
  alignas(64) std::atomic<uint32_t> inside_{0};
};

}  // namespace sk
