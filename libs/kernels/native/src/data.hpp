#pragma once
#include <array>
#include <memory>
#include <vector>

#include "context.hpp"
#include "isa/kernels.hpp"

namespace sk {

class FileMap : public Object {
 public:
  static constexpr Kind kKind = Kind::map;
  FileMap(std::shared_ptr<Context> context, int32_t fd, uint64_t length);
  ~FileMap() override;
  Context* owner() const override { return context_.get(); }
  const uint8_t* data() const { return data_; }
  uint64_t length() const { return length_; }

 private:
  void wire();
  std::shared_ptr<Context> context_;
  uint8_t* data_ = nullptr;
  uint64_t length_ = 0;
  bool wired_ = false;
};

struct Shape {
  uint32_t rank = 0;
  std::array<uint64_t, SK_MAX_RANK> size{};
  uint64_t elements() const;
};
Shape checked_shape(uint32_t ndim, const uint64_t* shape);
uint64_t dtype_bytes(int32_t dtype);

class Tensor : public Object {
 public:
  static constexpr Kind kKind = Kind::tensor;
  Tensor(std::shared_ptr<FileMap> map, uint64_t offset, int32_t type, const Shape& layout);
  Tensor(std::shared_ptr<Context> context, const void* source, uint64_t bytes, int32_t type,
         const Shape& layout);
  Context* owner() const override { return context_.get(); }
  const uint8_t* data() const { return map_ ? map_->data() + offset_ : block_.data(); }
  // All elements as f32; fails for integers.
  std::vector<float> floats() const;

  const int32_t dtype;
  const Shape shape;

 private:
  std::shared_ptr<Context> context_;
  std::shared_ptr<FileMap> map_;
  uint64_t offset_ = 0;
  Block block_;
};

class Weight : public Object {
 public:
  static constexpr Kind kKind = Kind::weight;
  explicit Weight(std::shared_ptr<Tensor> dense);
  Weight(std::shared_ptr<Tensor> packed, std::shared_ptr<Tensor> scales,
         std::shared_ptr<Tensor> biases, uint32_t bits, uint32_t group_size);
  Context* owner() const override { return parts_.front()->owner(); }
  const MatrixRows& rows() const { return rows_; }

 private:
  std::vector<std::shared_ptr<Tensor>> parts_;
  MatrixRows rows_{};
};

}  // namespace sk
