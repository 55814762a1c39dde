#include "error.hpp"
#include "record.hpp"

using namespace sk;

namespace {

template <typename T>
std::shared_ptr<T> find_in(const Program& program, sk_handle handle) {
  auto object = find<T>(handle);
  if (object->owner() != program.owner())
    fail(SK_INVALID_ARGUMENT, "the object belongs to another context");
  return object;
}

// Null for handle 0.
std::shared_ptr<Tensor> find_optional(const Program& program, sk_handle handle) {
  return handle == 0 ? nullptr : find_in<Tensor>(program, handle);
}

template <typename Body>
sk_status recording(sk_handle handle, Body&& body) {
  return guarded([&] {
    const auto program = find<Program>(handle);
    const std::lock_guard lock(program->context->running);
    body(*program);
  });
}

}  // namespace

sk_status sk_program_begin(sk_handle context, const sk_program_options* options,
                           sk_handle* program) {
  return guarded([&] {
    *required(program, "program") = 0;
    auto created = std::make_shared<Program>(find<Context>(context), *required(options, "options"));
    *program = register_object(Kind::program, std::move(created));
  });
}

sk_status sk_program_buffer(sk_handle program, uint32_t dim, sk_register* reg) {
  return recording(program, [&](Program& p) {
    required(reg, "reg");
    in_range(dim, 1, SK_MAX_DIM, "dim");
    if (p.ready) fail(SK_STATE, "the program has ended; nothing can be recorded any more");
    in_range(p.dims.size() + 1, 1, SK_MAX_BUFFERS, "buffers of a program");
    p.dims.push_back(dim);
    *reg = static_cast<sk_register>(p.dims.size() - 1);
  });
}

sk_status sk_op_embed(sk_handle program, sk_handle weight, sk_register dst) {
  return recording(program, [&](Program& p) { record_embed(p, find_in<Weight>(p, weight), dst); });
}

sk_status sk_op_rms_norm(sk_handle program, sk_register src, sk_handle weight, float eps,
                         sk_register dst) {
  return recording(program,
                   [&](Program& p) { record_norm(p, src, *find_in<Tensor>(p, weight), eps, dst); });
}

sk_status sk_op_add_rms_norm(sk_handle program, sk_register residual, sk_register delta,
                             sk_handle weight, float eps, sk_register dst) {
  return recording(program, [&](Program& p) {
    record_add_norm(p, residual, delta, *find_in<Tensor>(p, weight), eps, dst);
  });
}

sk_status sk_op_linear(sk_handle program, sk_handle weight, sk_handle bias, sk_register src,
                       sk_register dst) {
  return recording(program, [&](Program& p) {
    record_linear(p, find_in<Weight>(p, weight), find_optional(p, bias).get(), src, dst);
  });
}

sk_status sk_op_silu_mul(sk_handle program, sk_register gate, sk_register up, sk_register dst) {
  return recording(program, [&](Program& p) { record_silu_mul(p, gate, up, dst); });
}

sk_status sk_op_conv1d_silu(sk_handle program, sk_register src, sk_handle weight, uint32_t taps,
                            sk_register dst) {
  return recording(
      program, [&](Program& p) { record_conv(p, src, *find_in<Tensor>(p, weight), taps, dst); });
}

sk_status sk_op_gated_delta(sk_handle program, const sk_gated_delta* desc) {
  return recording(program, [&](Program& p) {
    required(desc, "desc");
    record_delta(p, *desc, *find_in<Tensor>(p, desc->a_log), *find_in<Tensor>(p, desc->dt_bias));
  });
}

sk_status sk_op_rms_norm_gated(sk_handle program, sk_register src, sk_register gate,
                               sk_handle weight, float eps, sk_register dst) {
  return recording(program, [&](Program& p) {
    record_gated_norm(p, src, gate, *find_in<Tensor>(p, weight), eps, dst);
  });
}

sk_status sk_op_attention(sk_handle program, const sk_attention* desc) {
  return recording(program, [&](Program& p) {
    required(desc, "desc");
    record_attention(p, *desc, find_optional(p, desc->q_norm).get(),
                     find_optional(p, desc->k_norm).get());
  });
}

sk_status sk_op_logits(sk_handle program, sk_handle weight, sk_register src) {
  return recording(program, [&](Program& p) { record_logits(p, find_in<Weight>(p, weight), src); });
}

sk_status sk_program_end(sk_handle program) {
  return recording(program, [&](Program& p) { p.finish(); });
}

sk_status sk_program_free(sk_handle program) {
  return guarded([&] { remove_object(program, Kind::program); });
}
