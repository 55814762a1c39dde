// The threads of a step by themselves: that each task of each loop is done once, when the loop
// ahead of it is over, by one thread of several that are expected, by one that comes when all is
// done, and by many at once. Built with TSan: what a loop wrote has to be in sight of the next.
// Usage: sanctum_threads [seed]
#include <cstdio>
#include <cstdlib>
#include <random>

#include "dealer.hpp"

namespace {

constexpr uint32_t kLoops = 200, kTasksMax = 40, kRuns = 300;

void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "dealer: %s\n", what);
  std::abort();
}

// Loops of tasks that count what they see.
class Work {
 public:
  explicit Work(std::mt19937_64& engine) : sizes_(kLoops), times_(size_t{kLoops} * kTasksMax) {
    for (uint32_t& size : sizes_) size = static_cast<uint32_t>(engine() % (kTasksMax + 1));
  }

  // How many tasks fell to this thread.
  uint32_t run(sk::Dealer& dealer, uint32_t thread) {
    sk::Lane lane{thread};
    uint32_t mine = 0;
    for (uint32_t loop = 0; loop < kLoops; ++loop) {
      dealer.run(lane, sizes_[loop], [&](uint32_t task) {
        require(task < sizes_[loop], "a task that is none");
        if (loop > 0) require(is_done(loop - 1), "a task before its time");
        // Written plainly: the end of a loop is what makes it visible.
        times_[size_t{loop} * kTasksMax + task] += 1;
        ++mine;
      });
    }
    return mine;
  }

  bool is_done() const {
    for (uint32_t loop = 0; loop < kLoops; ++loop)
      if (!is_done(loop)) return false;
    return true;
  }

 private:
  bool is_done(uint32_t loop) const {
    for (uint32_t task = 0; task < sizes_[loop]; ++task)
      if (times_[size_t{loop} * kTasksMax + task] != 1) return false;
    return true;
  }

  std::vector<uint32_t> sizes_, times_;
};

}  // namespace

int main(int argc, char** argv) {
  std::mt19937_64 engine(argc > 1 ? std::strtoull(argv[1], nullptr, 10) : 1);
  {
    Work work(engine);
    sk::Dealer dealer(4);
    require(work.run(dealer, 2) > 0 && work.is_done(), "one of four does not do all");
    require(work.run(dealer, 0) == 0 && work.is_done(), "who comes last finds work");
  }
  for (const uint32_t threads : {2, 3, 8}) {
    sk::ThreadPool pool(threads);
    for (uint32_t run = 0; run < kRuns; ++run) {
      Work work(engine);
      sk::Dealer dealer(threads);
      pool.run([&](uint32_t thread) { work.run(dealer, thread); });
      require(work.is_done(), "tasks are left out");
    }
  }
  std::printf("sanctum_threads: %u runs of %u loops\n", 3 * kRuns, kLoops);
}
