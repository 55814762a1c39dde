#include "data.hpp"
#include "error.hpp"

using namespace sk;

namespace {

template <typename T>
std::shared_ptr<T> find_in(const Context& context, sk_handle handle) {
  auto object = find<T>(handle);
  if (object->owner() != &context)
    fail(SK_INVALID_ARGUMENT, "the object belongs to another context");
  return object;
}

template <typename T>
void publish(sk_handle* out, std::shared_ptr<T> object) {
  *out = register_object(T::kKind, std::move(object));
}

}  // namespace

sk_status sk_map_file(sk_handle context, int32_t fd, uint64_t length, sk_handle* map) {
  return guarded([&] {
    *required(map, "map") = 0;
    publish(map, std::make_shared<FileMap>(find<Context>(context), fd, length));
  });
}

sk_status sk_map_free(sk_handle map) {
  return guarded([&] { remove_object(map, Kind::map); });
}

sk_status sk_tensor_view(sk_handle context, sk_handle map, uint64_t offset, int32_t dtype,
                         uint32_t ndim, const uint64_t* shape, sk_handle* tensor) {
  return guarded([&] {
    *required(tensor, "tensor") = 0;
    const auto owner = find<Context>(context);
    auto source = find_in<FileMap>(*owner, map);
    dtype_bytes(dtype);
    publish(tensor,
            std::make_shared<Tensor>(std::move(source), offset, dtype, checked_shape(ndim, shape)));
  });
}

sk_status sk_tensor_create(sk_handle context, int32_t dtype, uint32_t ndim, const uint64_t* shape,
                           const void* data, uint64_t bytes, sk_handle* tensor) {
  return guarded([&] {
    *required(tensor, "tensor") = 0;
    auto owner = find<Context>(context);
    dtype_bytes(dtype);
    publish(tensor, std::make_shared<Tensor>(std::move(owner), data, bytes, dtype,
                                             checked_shape(ndim, shape)));
  });
}

sk_status sk_tensor_free(sk_handle tensor) {
  return guarded([&] { remove_object(tensor, Kind::tensor); });
}

sk_status sk_weight_dense(sk_handle context, sk_handle tensor, sk_handle* weight) {
  return guarded([&] {
    *required(weight, "weight") = 0;
    const auto owner = find<Context>(context);
    publish(weight, std::make_shared<Weight>(find_in<Tensor>(*owner, tensor)));
  });
}

sk_status sk_weight_quantized(sk_handle context, sk_handle packed, sk_handle scales,
                              sk_handle biases, uint32_t bits, uint32_t group_size,
                              sk_handle* weight) {
  return guarded([&] {
    *required(weight, "weight") = 0;
    const auto owner = find<Context>(context);
    publish(weight, std::make_shared<Weight>(find_in<Tensor>(*owner, packed),
                                             find_in<Tensor>(*owner, scales),
                                             find_in<Tensor>(*owner, biases), bits, group_size));
  });
}

sk_status sk_weight_free(sk_handle weight) {
  return guarded([&] { remove_object(weight, Kind::weight); });
}

sk_status sk_weight_dequantize(sk_handle weight, float* values, uint64_t capacity) {
  return guarded([&] {
    const auto found = find<Weight>(weight);
    required(values, "values");
    const MatrixRows& rows = found->rows();
    const uint64_t needed = static_cast<uint64_t>(rows.out) * rows.in;
    if (capacity < needed)
      fail(SK_INVALID_ARGUMENT, "values has room for %llu floats, %llu are needed",
           static_cast<unsigned long long>(capacity), static_cast<unsigned long long>(needed));
    for (uint32_t r = 0; r < rows.out; ++r)
      found->owner()->kernels.load_row(rows, r, values + static_cast<uint64_t>(r) * rows.in);
  });
}
