/* Memory read bandwidth, GB/s: each thread reads its part of 1 GiB as four far-apart streams.
 * usage: membw THREADS */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STREAMS = 4, ROUNDS = 3, THREADS_MAX = 64, LINE = 64, AHEAD = 1024 };
typedef uint64_t line_t __attribute__((vector_size(LINE)));

static const size_t bytes = (size_t)1 << 30;
static char *data;
static int threads;

static void *read_part(void *arg) {
  size_t part = bytes / threads / LINE * LINE, stream = part / STREAMS / LINE * LINE;
  char *from = data + (size_t)(intptr_t)arg * part;
  line_t sum[STREAMS] = {{0}};
  for (size_t at = 0; at < stream; at += LINE)
    for (int s = 0; s < STREAMS; s++) {
      __builtin_prefetch(from + s * stream + at + AHEAD);
      sum[s] += *(line_t *)(from + s * stream + at);
    }
  volatile uint64_t keep = (sum[0] + sum[1] + sum[2] + sum[3])[0];
  (void)keep;
  return NULL;
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int argc, char **argv) {
  threads = argc > 1 ? atoi(argv[1]) : 2;
  if (threads < 1 || threads > THREADS_MAX) return 2;
  data = aligned_alloc(4096, bytes + AHEAD);
  if (!data) return 1;
  memset(data, 1, bytes);
  double best = 0;
  for (int round = 0; round < ROUNDS; round++) {
    pthread_t ids[THREADS_MAX];
    double start = seconds();
    for (int t = 0; t < threads; t++) pthread_create(&ids[t], NULL, read_part, (void *)(intptr_t)t);
    for (int t = 0; t < threads; t++) pthread_join(ids[t], NULL);
    double rate = bytes / (seconds() - start) / 1e9;
    if (rate > best) best = rate;
  }
  printf("%.2f\n", best);
  return 0;
}
