// Liveness of values over the recorded operations, and first-fit placement in one arena.
#include <algorithm>

#include "error.hpp"
#include "program.hpp"

namespace sk {

namespace {

constexpr uint32_t kExactRows = 16;

struct Interval {
  uint32_t first, last;
  uint64_t floats;
  uint64_t offset = 0;
};

uint64_t aligned(uint64_t floats) { return (floats + 15) / 16 * 16; }

class Planner {
 public:
  explicit Planner(Program& program) : program_(program), current_(program.dims.size(), kNone) {}

  Plan run() {
    for (at_ = 0; at_ < program_.ops.size(); ++at_)
      std::visit([&](auto& op) { visit(op); }, program_.ops[at_]);
    join_linears();
    place();
    for (Op& op : program_.ops) std::visit([&](auto& o) { settle(o); }, op);
    for (size_t i = 0; i < quant_intervals_.size(); ++i)
      plan_.quants[i].offset = intervals_[quant_intervals_[i]].offset;
    return std::move(plan_);
  }

 private:
  void read(Ref& ref) {
    ref.value = current_[ref.reg];
    if (ref.value == kNone)
      fail(SK_STATE, "operation %u reads register %u before anything is written to it", at_,
           ref.reg);
    intervals_[ref.value].last = at_;
  }
  void write(Ref& ref) {
    ref.value = add(program_.dims[ref.reg]);
    current_[ref.reg] = ref.value;
  }
  uint32_t add(uint64_t floats) {
    intervals_.push_back({at_, at_, aligned(floats)});
    producers_.push_back(at_);
    return static_cast<uint32_t>(intervals_.size() - 1);
  }
  uint64_t state(uint64_t floats) {
    const uint64_t offset = plan_.state_floats;
    plan_.state_floats += aligned(floats);
    return offset;
  }
  void scratch(uint64_t bytes) { plan_.scratch_bytes = std::max(plan_.scratch_bytes, bytes); }
  void matrix_scratch(const MatrixRows& rows) {
    const bool fast = program_.context->fast && rows.bits != 0;
    scratch(fast ? program_.context->kernels.fast_scratch_bytes(rows)
                 : static_cast<uint64_t>(kExactRows) * rows.in * sizeof(float));
  }

  void visit(EmbedOp& op) { write(op.dst); }
  void visit(NormOp& op) {
    read(op.src);
    write(op.dst);
  }
  void visit(AddNormOp& op) {
    read(op.residual);
    read(op.delta);
    for (Quant& quant : plan_.quants)  // the residual changes in place: its int8 form is stale
      if (quant.value == op.residual.value) quant.value = kNone;
    producers_[op.residual.value] = kNone;
    write(op.dst);
  }
  void visit(LinearOp& op) {
    read(op.src);
    matrix_scratch(op.weight->rows());
    if (program_.context->fast && op.weight->rows().bits != 0) use_quantized(op);
    write(op.dst);
  }
  void visit(SiluMulOp& op) {
    read(op.gate);
    read(op.up);
    write(op.dst);
  }
  void visit(ConvOp& op) {
    read(op.src);
    op.state = state(static_cast<uint64_t>(op.taps - 1) * op.dim);
    write(op.dst);
  }
  void visit(DeltaOp& op) {
    read(op.mixed);
    read(op.a);
    read(op.b);
    const auto& d = op.desc;
    op.temp = add(2ull * d.key_heads * d.key_dim + 2ull * d.value_heads);
    op.state = state(static_cast<uint64_t>(d.value_heads) * d.value_dim * d.key_dim);
    write(op.dst);
  }
  void visit(GatedNormOp& op) {
    read(op.src);
    read(op.gate);
    write(op.dst);
  }
  void visit(AttentionOp& op) {
    read(op.q);
    read(op.k);
    read(op.v);
    op.temp = add(static_cast<uint64_t>(op.desc.heads) * op.desc.head_dim);
    plan_.any_attention = true;
    write(op.dst);
  }
  void visit(LogitsOp& op) {
    read(op.src);
    matrix_scratch(op.weight->rows());
  }

  // The int8 form of an input is made once and shared by all linears over the same value.
  void use_quantized(LinearOp& op) {
    const MatrixRows& rows = op.weight->rows();
    const QuantLayout layout = rows.bits == 4 ? QuantLayout::split : QuantLayout::natural;
    for (uint32_t i = 0; i < plan_.quants.size(); ++i) {
      const Quant& quant = plan_.quants[i];
      if (quant.value != op.src.value || quant.group_size != rows.group_size ||
          quant.layout != layout)
        continue;
      op.quant = i;
      intervals_[quant_intervals_[i]].last = at_;
      return;
    }
    op.quant = static_cast<uint32_t>(plan_.quants.size());
    plan_.quants.push_back({op.src.value, rows.group_size, layout, rows.in, 0});
    quant_intervals_.push_back(add(plan_.quants.back().floats()));
    const uint32_t producer = producers_[op.src.value];
    op.quantizes = producer == kNone ||
                   !std::visit([&](auto& o) { return makes(o, op.quant); }, program_.ops[producer]);
    if (!op.quantizes) intervals_.back().first = producer;
  }

  // Whether the operation that computes a value makes its int8 form on the way. There is room for
  // one: a value that linears want in several forms gets the others from them.
  bool makes(auto& op, uint32_t quant) {
    if constexpr (
        requires { op.quantizes; } || !requires { op.quant; }) {
      return false;
    } else {
      if (op.quant != kNone) return false;
      op.quant = quant;
      return true;
    }
  }

  // Neighbouring linears over one int8 input run as one loop: all they read stays live until the
  // last of them. A result nobody reads has no place of its own, so it ends the chain.
  void join_linears() {
    uint32_t joined = 1;
    for (size_t i = 0; i + 1 < program_.ops.size(); ++i) {
      auto* op = std::get_if<LinearOp>(&program_.ops[i]);
      auto* next = std::get_if<LinearOp>(&program_.ops[i + 1]);
      const bool join = op != nullptr && next != nullptr && op->quant != kNone &&
                        next->quant == op->quant && intervals_[op->dst.value].last != i &&
                        joined < kMaxLinears;
      joined = join ? joined + 1 : 1;
      if (!join) continue;
      op->next = next;
      next->follows = true;
    }
  }

  void place() {
    std::vector<Interval*> order;
    for (Interval& interval : intervals_) order.push_back(&interval);
    std::stable_sort(order.begin(), order.end(),
                     [](const Interval* a, const Interval* b) { return a->first < b->first; });
    std::vector<const Interval*> live;
    for (Interval* next : order) {
      Interval& interval = *next;
      std::erase_if(live, [&](const Interval* other) { return other->last < interval.first; });
      std::sort(live.begin(), live.end(),
                [](const Interval* a, const Interval* b) { return a->offset < b->offset; });
      uint64_t offset = 0;
      for (const Interval* other : live) {
        if (offset + interval.floats <= other->offset) break;
        offset = std::max(offset, other->offset + other->floats);
      }
      interval.offset = offset;
      live.push_back(&interval);
      plan_.floats_per_token = std::max(plan_.floats_per_token, offset + interval.floats);
    }
  }

  void settle(Ref& ref) { ref.offset = intervals_[ref.value].offset; }
  void settle_temp(uint64_t& temp) { temp = intervals_[temp].offset; }
  void settle(EmbedOp& op) { settle(op.dst); }
  void settle(NormOp& op) { settle(op.src), settle(op.dst); }
  void settle(AddNormOp& op) { settle(op.residual), settle(op.delta), settle(op.dst); }
  void settle(LinearOp& op) { settle(op.src), settle(op.dst); }
  void settle(SiluMulOp& op) { settle(op.gate), settle(op.up), settle(op.dst); }
  void settle(ConvOp& op) { settle(op.src), settle(op.dst); }
  void settle(DeltaOp& op) {
    settle(op.mixed), settle(op.a), settle(op.b), settle(op.dst);
    settle_temp(op.temp);
  }
  void settle(GatedNormOp& op) { settle(op.src), settle(op.gate), settle(op.dst); }
  void settle(AttentionOp& op) {
    settle(op.q), settle(op.k), settle(op.v), settle(op.dst);
    settle_temp(op.temp);
  }
  void settle(LogitsOp& op) { settle(op.src); }

  Program& program_;
  std::vector<uint32_t> current_;  // value in each register
  std::vector<Interval> intervals_;
  std::vector<uint32_t> producers_;  // operation that writes each interval; kNone: several
  std::vector<uint32_t> quant_intervals_;
  Plan plan_;
  uint32_t at_ = 0;
};

}  // namespace

Plan make_plan(Program& program) { return Planner(program).run(); }

}  // namespace sk
