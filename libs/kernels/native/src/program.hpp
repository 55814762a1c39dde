#pragma once
#include <memory>
#include <optional>
#include <variant>
#include <vector>

#include "data.hpp"
#include "sanctum.h"

namespace sk {

// A use of a register. The plan gives each value its place in the arena: at `offset` floats per
// token, as one [tokens, dim] matrix.
struct Ref {
  sk_register reg = 0;
  uint32_t value = 0;
  uint64_t offset = 0;
};

constexpr uint32_t kNone = UINT32_MAX;
constexpr uint32_t kMaxLinears = 16;   // run as one loop
constexpr uint32_t kQuantChunk = 128;  // int8 activations can be made in parts of this many

struct EmbedOp {
  std::shared_ptr<Weight> table;
  Ref dst;
};
struct NormOp {
  std::vector<float> weight;
  float eps;
  Ref src, dst;
  uint32_t quant = kNone;  // made along with dst, here and below
};
struct AddNormOp {
  std::vector<float> weight;
  float eps;
  Ref residual, delta, dst;
  uint32_t quant = kNone;
};
struct LinearOp {
  std::shared_ptr<Weight> weight;
  std::vector<float> bias;
  Ref src, dst;
  uint32_t quant = kNone;    // index into Plan::quants: input in int8
  bool quantizes = false;    // makes that input itself
  LinearOp* next = nullptr;  // runs along with this one: it has the same input
  bool follows = false;      // is the next of another
};
struct SiluMulOp {
  Ref gate, up, dst;
  uint32_t dim;
  uint32_t quant = kNone;
};
struct ConvOp {
  std::vector<float> weight;  // [taps, dim]
  uint32_t taps, dim;
  Ref src, dst;
  uint64_t state = 0;  // offset of the tail in a sequence's state, floats
};
struct DeltaOp {
  sk_gated_delta desc;
  std::vector<float> a_scale, dt_bias;  // a_scale = exp(a_log)
  Ref mixed, a, b, dst;
  uint64_t temp = 0;  // normalised q and k, decay, beta
  uint64_t state = 0;
};
struct GatedNormOp {
  std::vector<float> weight;
  float eps;
  uint32_t groups;  // per token
  Ref src, gate, dst;
  uint32_t quant = kNone;
};
struct AttentionOp {
  sk_attention desc;
  std::vector<float> q_norm, k_norm;
  Ref q, k, v, dst;
  uint64_t temp = 0;  // normalised and rotated q
  uint32_t slot = 0;  // which of a sequence's page tables
  uint32_t rope = 0;  // index into Program::ropes
};
struct LogitsOp {
  std::shared_ptr<Weight> weight;
  Ref src;
};
using Op = std::variant<EmbedOp, NormOp, AddNormOp, LinearOp, SiluMulOp, ConvOp, DeltaOp,
                        GatedNormOp, AttentionOp, LogitsOp>;

struct PageLayout {
  uint64_t element_bytes, head_bytes, values_at, page_bytes;
};

// Cosines and sines for positions [0, rows), grown when a step needs more.
struct RopeTable {
  uint32_t dims;
  double theta;
  uint32_t rows = 0;
  Block cosine, sine;  // [rows, dims / 2]
};

struct Quant {
  uint32_t value;
  uint32_t group_size;
  QuantLayout layout;
  uint32_t dim;
  uint64_t offset = 0;
  uint32_t stride() const { return (dim + 127) / 128 * 128; }
  uint32_t groups() const { return dim / group_size; }
  uint64_t floats() const { return stride() / 4 + 2 * ((groups() + 15) / 16 * 16); }
};

struct Plan {
  uint64_t floats_per_token = 0;
  std::vector<Quant> quants;
  uint64_t state_floats = 0;
  uint64_t scratch_bytes = 0;  // per thread, without what grows with the length
  bool any_attention = false;
};

class Program : public Object, public std::enable_shared_from_this<Program> {
 public:
  static constexpr Kind kKind = Kind::program;
  Program(std::shared_ptr<Context> context, const sk_program_options& options);
  Context* owner() const override { return context.get(); }

  uint32_t dim_of(sk_register reg) const;
  Ref ref(sk_register reg, uint64_t dim, const char* name) const;
  void append(Op op);
  void finish();
  const LogitsOp& logits() const { return std::get<LogitsOp>(ops.back()); }
  bool half_cache() const;

  const std::shared_ptr<Context> context;
  const sk_program_options options;
  std::vector<uint32_t> dims;  // of registers
  std::vector<Op> ops;
  std::vector<PageLayout> page_layouts;
  std::vector<RopeTable> ropes;
  Plan plan;
  bool ready = false;
  uint32_t vocabulary = UINT32_MAX;  // tokens must be below

  // Of the last step.
  Block arena, thread_scratch, logits_input, logits_values;
  uint64_t thread_scratch_bytes = 0;
  uint32_t logits_rows = 0;
};

// Gives every value, temporary and int8 input its place; plan.cpp.
Plan make_plan(Program& program);

}  // namespace sk
