#pragma once
#include <cstdint>

// Aborts when a task is done twice, left out, or done before the loop ahead of it is over: by one
// thread of several that are expected, by one that comes when all is done, and by many at once.
void check_dealer(uint64_t seed);
