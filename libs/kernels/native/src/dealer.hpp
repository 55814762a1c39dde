#pragma once
#include <atomic>
#include <cstdint>
#include <vector>

#include "thread_pool.hpp"

namespace sk {

// Where one thread is among the loops of a run.
struct Lane {
  uint32_t thread;
  uint32_t loop = 0;
  uint64_t tasks = 0;  // of all loops so far, this one included
};

// Deals the tasks of one loop after the other out to threads: each has a contiguous share of its
// own, so that what it streams is contiguous, and then helps the others with theirs. A loop is over
// when its tasks are done, whoever did them: a thread that the system lets run late finds its share
// taken, and nobody waits for it but for the one task it may have in hand.
class Dealer {
 public:
  explicit Dealer(uint32_t threads) : threads_(threads), taken_(threads) {}

  // Every thread that comes calls this for the same loops in the same order, with a lane of its
  // own. Returns when the loop is over, with all that its tasks wrote in sight.
  template <typename Task>
  void run(Lane& lane, uint32_t tasks, Task&& task) {
    ++lane.loop;
    lane.tasks += tasks;
    if (done_.load(std::memory_order_acquire) >= lane.tasks) return;
    uint32_t mine = 0;
    for (uint32_t turn = 0; turn < threads_; ++turn) {
      const uint32_t owner = (lane.thread + turn) % threads_;
      const uint32_t begin = share(tasks, owner), size = share(tasks, owner + 1) - begin;
      for (uint32_t i = take(owner, lane.loop, size); i < size; i = take(owner, lane.loop, size)) {
        task(begin + i);
        ++mine;
      }
    }
    if (mine > 0) done_.fetch_add(mine, std::memory_order_release);
    Backoff backoff;
    while (done_.load(std::memory_order_acquire) < lane.tasks) backoff.wait();
  }

 private:
  // The loop that last took from a share (upper half), and how many it took.
  struct alignas(64) Taken {
    std::atomic<uint64_t> word{0};
  };

  uint32_t share(uint32_t tasks, uint32_t thread) const {
    return static_cast<uint32_t>(uint64_t{tasks} * thread / threads_);
  }

  // The next task of a share, or `size` when there is none left: the loop may be over long since.
  uint32_t take(uint32_t owner, uint32_t loop, uint32_t size) {
    std::atomic<uint64_t>& word = taken_[owner].word;
    uint64_t seen = word.load(std::memory_order_relaxed);
    while (true) {
      if (seen >> 32 > loop) return size;
      const uint32_t taken = seen >> 32 == loop ? static_cast<uint32_t>(seen) : 0;
      if (taken >= size) return size;
      const uint64_t next = uint64_t{loop} << 32 | (taken + 1);
      if (word.compare_exchange_weak(seen, next, std::memory_order_relaxed)) return taken;
    }
  }

  const uint32_t threads_;
  std::vector<Taken> taken_;
  alignas(64) std::atomic<uint64_t> done_{0};  // tasks of all loops
};

}  // namespace sk
