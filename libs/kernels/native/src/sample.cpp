#include "sample.hpp"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <unordered_map>
#include <vector>

#include "error.hpp"

namespace sk {

namespace {

constexpr float kBanned = -INFINITY;

void check_number(float value, double low, double high, const char* name) {
  if (!(value >= low && value <= high))
    fail(SK_INVALID_ARGUMENT, "%s is %g, must be within %g..%g", name, value, low, high);
}

void check(const sk_sampling& s, const SampleInput& input) {
  check_number(s.temperature, 0, 100, "temperature");
  check_number(s.top_p, 1e-9, 1, "top_p");
  check_number(s.min_p, 0, 1, "min_p");
  check_number(s.repetition_penalty, 1e-3, 1e3, "repetition_penalty");
  check_number(s.presence_penalty, -100, 100, "presence_penalty");
  check_number(s.frequency_penalty, -100, 100, "frequency_penalty");
  in_range(s.history_count, 0, SK_MAX_HISTORY, "history_count");
  in_range(s.bias_count, 0, SK_MAX_LOGIT_BIAS, "bias_count");
  in_range(s.top_logprobs, 0, SK_MAX_TOP_LOGPROBS, "top_logprobs");
  if (s.prompt_count > s.history_count)
    fail(SK_INVALID_ARGUMENT, "prompt_count %u exceeds history_count %u", s.prompt_count,
         s.history_count);
  if (s.history_count > 0) required(input.history, "history");
  if (s.bias_count > 0) required(input.bias_tokens, "bias_tokens");
  if (s.bias_count > 0) required(input.bias_values, "bias_values");
  if (s.mask_words != 0 && s.mask_words != (input.vocabulary + 31) / 32)
    fail(SK_INVALID_ARGUMENT, "mask_words is %u, a vocabulary of %u needs %u", s.mask_words,
         input.vocabulary, (input.vocabulary + 31) / 32);
  if (s.mask_words != 0) required(input.token_mask, "token_mask");
}

uint32_t checked_token(int32_t token, uint32_t vocabulary, const char* name) {
  if (token < 0 || static_cast<uint32_t>(token) >= vocabulary)
    fail(SK_INVALID_ARGUMENT, "%s holds token %d, outside the vocabulary of %u", name, token,
         vocabulary);
  return static_cast<uint32_t>(token);
}

void apply_penalties(const sk_sampling& s, const SampleInput& input, std::vector<float>& logits) {
  struct Seen {
    uint32_t generated = 0;
  };
  std::unordered_map<uint32_t, Seen> seen;
  for (uint32_t i = 0; i < s.history_count; ++i) {
    Seen& entry = seen[checked_token(input.history[i], input.vocabulary, "history")];
    if (i >= s.prompt_count) ++entry.generated;
  }
  for (const auto& [token, entry] : seen) {
    float& logit = logits[token];
    logit = logit > 0 ? logit / s.repetition_penalty : logit * s.repetition_penalty;
    if (entry.generated == 0) continue;
    logit -= s.presence_penalty;
    logit -= s.frequency_penalty * static_cast<float>(entry.generated);
  }
}

// The logits after mask, penalties and bias.
std::vector<float> adjusted(const sk_sampling& s, const SampleInput& input) {
  std::vector<float> logits(input.logits, input.logits + input.vocabulary);
  apply_penalties(s, input, logits);
  for (uint32_t i = 0; i < s.bias_count; ++i) {
    const float value = input.bias_values[i];
    if (std::isnan(value)) fail(SK_INVALID_ARGUMENT, "bias_values[%u] is NaN", i);
    logits[checked_token(input.bias_tokens[i], input.vocabulary, "bias_tokens")] += value;
  }
  if (s.mask_words != 0) {
    for (uint32_t t = 0; t < input.vocabulary; ++t)
      if ((input.token_mask[t / 32] >> (t % 32) & 1) == 0) logits[t] = kBanned;
  }
  return logits;
}

// Looks at blocks without a branch per logit.
uint32_t first_nan(const float* logits, uint32_t count) {
  constexpr uint32_t kBlock = 1024;
  for (uint32_t begin = 0; begin < count; begin += kBlock) {
    const uint32_t end = std::min(begin + kBlock, count);
    uint32_t found = 0;
    for (uint32_t i = begin; i < end; ++i) found |= logits[i] != logits[i];
    if (found == 0) continue;
    const auto nan = [](float x) { return std::isnan(x); };
    return static_cast<uint32_t>(std::find_if(logits + begin, logits + end, nan) - logits);
  }
  return count;
}

// The first of the largest. A bias of infinity can make NaN of an infinite logit: that is passed
// over, as a comparison does.
uint32_t argmax(const Kernels& kernels, const float* logits, uint32_t count) {
  if (first_nan(logits, count) == count)
    return static_cast<uint32_t>(std::find(logits, logits + count, kernels.row_max(logits, count)) -
                                 logits);
  uint32_t best = 0;
  for (uint32_t i = 1; i < count; ++i)
    if (logits[i] > logits[best]) best = i;
  return best;
}

class Ranked {
 public:
  explicit Ranked(const std::vector<float>& logits) : logits_(logits), order_(logits.size()) {
    std::iota(order_.begin(), order_.end(), 0u);
  }
  // The first `count` tokens by falling logit, the lower token first on a tie.
  const std::vector<uint32_t>& first(uint32_t count) {
    const uint32_t wanted = std::min<uint32_t>(count, static_cast<uint32_t>(order_.size()));
    if (wanted > sorted_) {
      const auto less = [&](uint32_t a, uint32_t b) {
        return logits_[a] > logits_[b] || (logits_[a] == logits_[b] && a < b);
      };
      const auto middle = order_.begin() + wanted;
      if (middle != order_.end())
        std::nth_element(order_.begin() + sorted_, middle, order_.end(), less);
      std::sort(order_.begin() + sorted_, middle, less);
      sorted_ = wanted;
    }
    return order_;
  }

 private:
  const std::vector<float>& logits_;
  std::vector<uint32_t> order_;
  uint32_t sorted_ = 0;
};

// exp((logit - top) * scale) of the most likely tokens, computed as draw_all does.
class Weights {
 public:
  Weights(const std::vector<float>& logits, Ranked& ranked, const Kernels& kernels, float top,
          float scale)
      : logits_(logits), ranked_(ranked), kernels_(kernels), top_(top), scale_(scale) {}
  const std::vector<float>& first(uint32_t count) {
    const size_t from = weights_.size();
    if (count <= from) return weights_;
    const auto& order = ranked_.first(count);
    for (size_t i = from; i < count; ++i) weights_.push_back(logits_[order[i]]);
    float* added = weights_.data() + from;
    kernels_.exp_row(added, top_, scale_, added, count - from);
    return weights_;
  }

 private:
  const std::vector<float>& logits_;
  Ranked& ranked_;
  const Kernels& kernels_;
  const float top_;
  const float scale_;
  std::vector<float> weights_;
};

// How many of the most likely tokens remain after top_k, top_p and min_p.
uint32_t kept(const sk_sampling& s, const std::vector<float>& logits, Ranked& ranked,
              const Kernels& kernels, float top) {
  const uint32_t vocabulary = static_cast<uint32_t>(logits.size());
  const uint32_t limit = s.top_k == 0 ? vocabulary : std::min(s.top_k, vocabulary);
  constexpr uint32_t kFirst = 256;
  Weights weights(logits, ranked, kernels, top, 1.0f);
  double total = 0;
  if (limit < vocabulary) {
    for (const float weight : weights.first(limit)) total += weight;
  } else {
    total = kernels.sum_exp(logits.data(), top, vocabulary);
  }
  double cumulative = 0;
  for (uint32_t i = 0, ready = 0; i < limit; ++i) {
    if (i >= ready) ready = ready == 0 ? kFirst : 4 * ready;
    const uint32_t count = std::min(ready, limit);
    const float logit = logits[ranked.first(count)[i]];
    const float weight = weights.first(count)[i];
    if (logit == kBanned || weight < s.min_p) return std::max(i, 1u);
    cumulative += weight;
    if (s.top_p < 1 && cumulative >= s.top_p * total) return i + 1;
  }
  return limit;
}

uint32_t draw_ranked(const sk_sampling& s, const std::vector<float>& logits, Ranked& ranked,
                     const Kernels& kernels, uint32_t count, float top) {
  const auto& order = ranked.first(count);
  Weights ranked_weights(logits, ranked, kernels, top, 1.0f / s.temperature);
  const auto& weights = ranked_weights.first(count);
  double total = 0;
  for (const float weight : weights) total += weight;
  double rest = uniform(s.seed, s.counter) * total;
  uint32_t last = order[0];
  for (uint32_t i = 0; i < count && weights[i] > 0; ++i) {
    last = order[i];
    rest -= weights[i];
    if (rest < 0) break;
  }
  return last;
}

uint32_t draw_all(const sk_sampling& s, const std::vector<float>& logits, const Kernels& kernels,
                  float top) {
  std::vector<float> weights(logits.size());
  kernels.exp_row(logits.data(), top, 1.0f / s.temperature, weights.data(), weights.size());
  double total = 0;
  for (const float weight : weights) total += weight;
  double rest = uniform(s.seed, s.counter) * total;
  uint32_t last = 0;
  for (uint32_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0) continue;
    last = i;
    rest -= weights[i];
    if (rest < 0) break;
  }
  return last;
}

uint32_t choose(const Kernels& kernels, const sk_sampling& s, const std::vector<float>& logits) {
  const uint32_t best = argmax(kernels, logits.data(), static_cast<uint32_t>(logits.size()));
  const float top = logits[best];
  if (top == kBanned)
    fail(SK_INVALID_ARGUMENT, "no token is left: mask and bias exclude the whole vocabulary");
  if (!std::isfinite(top)) fail(SK_NOT_FINITE, "the largest logit is not finite");
  if (s.temperature == 0) return best;
  if (s.top_k == 0 && s.top_p >= 1 && s.min_p == 0) return draw_all(s, logits, kernels, top);
  Ranked ranked(logits);
  const uint32_t count = kept(s, logits, ranked, kernels, top);
  return draw_ranked(s, logits, ranked, kernels, count, top);
}

void report_top(const sk_sampling& s, const SampleInput& input, float normaliser,
                sk_sampled& result) {
  const uint32_t count = std::min(s.top_logprobs, input.vocabulary);
  if (count == 0) return;
  const std::vector<float> logits(input.logits, input.logits + input.vocabulary);
  Ranked ranked(logits);
  const auto& order = ranked.first(count);
  result.top_count = count;
  for (uint32_t i = 0; i < count; ++i) {
    result.top_tokens[i] = static_cast<int32_t>(order[i]);
    result.top_logprobs[i] = logits[order[i]] - normaliser;
  }
}

bool untouched(const sk_sampling& s) {
  return s.history_count == 0 && s.bias_count == 0 && s.mask_words == 0;
}

}  // namespace

double uniform(uint64_t seed, uint64_t counter) {
  const auto mix = [](uint64_t z) {
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  };
  const uint64_t start = mix(seed + 0x9e3779b97f4a7c15ull);
  const uint64_t bits = mix(start + (counter + 1) * 0x9e3779b97f4a7c15ull);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

sk_sampled sample(const Kernels& kernels, const sk_sampling& sampling, const SampleInput& input) {
  check(sampling, input);
  if (const uint32_t at = first_nan(input.logits, input.vocabulary); at < input.vocabulary)
    fail(SK_NOT_FINITE, "logit %u is NaN", at);
  sk_sampled result{};
  const bool plain = untouched(sampling) && sampling.temperature == 0;
  const uint32_t token = plain ? argmax(kernels, input.logits, input.vocabulary)
                               : choose(kernels, sampling, adjusted(sampling, input));
  const float top = kernels.row_max(input.logits, input.vocabulary);
  const float normaliser = top + std::log(kernels.sum_exp(input.logits, top, input.vocabulary));
  if (!std::isfinite(normaliser)) fail(SK_NOT_FINITE, "the logits have no finite maximum");
  result.token = static_cast<int32_t>(token);
  result.logprob = input.logits[token] - normaliser;
  report_top(sampling, input, normaliser, result);
  return result;
}

}  // namespace sk
