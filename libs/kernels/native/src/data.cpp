#include "data.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "error.hpp"

namespace sk {

FileMap::FileMap(std::shared_ptr<Context> context, int32_t fd, uint64_t length)
    : context_(std::move(context)), length_(length) {
  struct stat info {};
  if (fstat(fd, &info) != 0)
    fail(SK_IO, "descriptor %d is not an open file: %s", fd, std::strerror(errno));
  if (!S_ISREG(info.st_mode)) fail(SK_IO, "descriptor %d is not a regular file", fd);
  if (length == 0 || length > static_cast<uint64_t>(info.st_size))
    fail(SK_INVALID_ARGUMENT, "length is %llu, the file has %lld bytes",
         static_cast<unsigned long long>(length), static_cast<long long>(info.st_size));
  void* data = mmap(nullptr, length, PROT_READ, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) fail(SK_IO, "cannot map the file: %s", std::strerror(errno));
  data_ = static_cast<uint8_t*>(data);
  madvise(data_, length_, MADV_WILLNEED);
  context_->mapped_bytes += length_;
  wire();
}

void FileMap::wire() {
  const uint64_t limit = context_->budget->limits().wired_bytes;
  if (limit == 0 || context_->wired_bytes + length_ > limit) return;
  wired_ = mlock(data_, length_) == 0;
  if (wired_) context_->wired_bytes += length_;
}

FileMap::~FileMap() {
  if (data_ == nullptr) return;
  munmap(data_, length_);
  context_->mapped_bytes -= length_;
  if (wired_) context_->wired_bytes -= length_;
}

uint64_t Shape::elements() const {
  uint64_t count = 1;
  for (uint32_t i = 0; i < rank; ++i) count *= size[i];
  return count;
}

Shape checked_shape(uint32_t ndim, const uint64_t* shape) {
  in_range(ndim, 1, SK_MAX_RANK, "ndim");
  required(shape, "shape");
  Shape result;
  result.rank = ndim;
  uint64_t elements = 1;
  for (uint32_t i = 0; i < ndim; ++i) {
    result.size[i] = in_range(shape[i], 1, SK_MAX_DIM, "a dimension");
    if (elements > UINT64_MAX / 8 / shape[i]) fail(SK_LIMIT, "the shape has too many elements");
    elements *= shape[i];
  }
  return result;
}

uint64_t dtype_bytes(int32_t dtype) {
  switch (dtype) {
    case SK_DTYPE_F32:
    case SK_DTYPE_U32:
      return 4;
    case SK_DTYPE_F16:
    case SK_DTYPE_BF16:
      return 2;
    default:
      fail(SK_INVALID_ARGUMENT, "dtype %d is none of SK_DTYPE_*", dtype);
  }
}

Tensor::Tensor(std::shared_ptr<FileMap> map, uint64_t offset, int32_t type, const Shape& layout)
    : dtype(type), shape(layout), map_(std::move(map)), offset_(offset) {
  const uint64_t bytes = shape.elements() * dtype_bytes(dtype);
  if (offset > map_->length() || bytes > map_->length() - offset)
    fail(SK_INVALID_ARGUMENT, "the tensor ends at %llu + %llu, beyond the map's %llu bytes",
         static_cast<unsigned long long>(offset), static_cast<unsigned long long>(bytes),
         static_cast<unsigned long long>(map_->length()));
  context_ = map_->owner()->shared_from_this();
}

Tensor::Tensor(std::shared_ptr<Context> context, const void* source, uint64_t bytes, int32_t type,
               const Shape& layout)
    : dtype(type), shape(layout), context_(std::move(context)) {
  const uint64_t expected = shape.elements() * dtype_bytes(dtype);
  if (bytes != expected)
    fail(SK_INVALID_ARGUMENT, "%llu bytes were given, the shape needs %llu",
         static_cast<unsigned long long>(bytes), static_cast<unsigned long long>(expected));
  block_ = Block(context_->budget, bytes, Use::general);
  std::memcpy(block_.data(), required(source, "data"), bytes);
}

std::vector<float> Tensor::floats() const {
  if (dtype == SK_DTYPE_U32) fail(SK_INVALID_ARGUMENT, "a tensor of floats is needed, not of u32");
  const uint64_t count = shape.elements();
  in_range(count, 1, SK_MAX_DIM, "elements of a small tensor");
  std::vector<float> values(count);
  MatrixRows row{};
  row.data = data();
  row.out = 1;
  row.in = static_cast<uint32_t>(count);
  row.type = static_cast<FloatType>(dtype);
  context_->kernels.load_row(row, 0, values.data());
  return values;
}

Weight::Weight(std::shared_ptr<Tensor> dense) {
  if (dense->dtype == SK_DTYPE_U32)
    fail(SK_INVALID_ARGUMENT, "a dense weight is f32, f16 or bf16, not u32");
  if (dense->shape.rank != 2) fail(SK_INVALID_ARGUMENT, "a weight has two dimensions");
  rows_.data = dense->data();
  rows_.out = static_cast<uint32_t>(dense->shape.size[0]);
  rows_.in = static_cast<uint32_t>(dense->shape.size[1]);
  rows_.type = static_cast<FloatType>(dense->dtype);
  rows_.row_bytes = dense->shape.size[1] * dtype_bytes(dense->dtype);
  parts_ = {std::move(dense)};
}

Weight::Weight(std::shared_ptr<Tensor> packed, std::shared_ptr<Tensor> scales,
               std::shared_ptr<Tensor> biases, uint32_t bits, uint32_t group_size) {
  if (bits < 2 || bits > 8 || bits == 7)
    fail(SK_INVALID_ARGUMENT, "bits is %u, must be 2, 3, 4, 5, 6 or 8", bits);
  if (group_size != 32 && group_size != 64 && group_size != 128)
    fail(SK_INVALID_ARGUMENT, "group_size is %u, must be 32, 64 or 128", group_size);
  if (packed->dtype != SK_DTYPE_U32) fail(SK_INVALID_ARGUMENT, "packed must be u32");
  if (scales->dtype == SK_DTYPE_U32 || biases->dtype != scales->dtype)
    fail(SK_INVALID_ARGUMENT, "scales and biases must have one float type");
  if (packed->shape.rank != 2 || scales->shape.rank != 2 || biases->shape.rank != 2)
    fail(SK_INVALID_ARGUMENT, "packed, scales and biases have two dimensions");
  const uint64_t out = packed->shape.size[0];
  const uint64_t groups = scales->shape.size[1];
  const uint64_t in = in_range(groups * group_size, 1, SK_MAX_DIM, "the inner dimension");
  if (scales->shape.size != biases->shape.size || scales->shape.size[0] != out ||
      packed->shape.size[1] * 32 != in * bits)
    fail(SK_INVALID_ARGUMENT,
         "packed [%llu, %llu] and scales [%llu, %llu] do not fit %u bits in groups of %u",
         static_cast<unsigned long long>(out),
         static_cast<unsigned long long>(packed->shape.size[1]),
         static_cast<unsigned long long>(scales->shape.size[0]),
         static_cast<unsigned long long>(groups), bits, group_size);
  rows_.data = packed->data();
  rows_.scales = scales->data();
  rows_.biases = biases->data();
  rows_.row_bytes = packed->shape.size[1] * 4;
  rows_.out = static_cast<uint32_t>(out);
  rows_.in = static_cast<uint32_t>(in);
  rows_.bits = bits;
  rows_.group_size = group_size;
  rows_.groups = static_cast<uint32_t>(groups);
  rows_.type = static_cast<FloatType>(scales->dtype);
  parts_ = {std::move(packed), std::move(scales), std::move(biases)};
}

}  // namespace sk
