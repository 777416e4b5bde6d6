// This is the only file that includes LibTorch's TorchScript headers, which take long to compile.
#include "model/open_checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <map>

#include "io/tensor_file.h"
#include "io/torch_contents.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"

namespace moefy::model {
namespace {

io::DType DTypeOf(const at::Tensor& tensor, const std::string& name) {
  const std::pair<at::ScalarType, io::DType> kTypes[] = {
      {at::kFloat, io::DType::kF32},       {at::kHalf, io::DType::kF16},
      {at::kBFloat16, io::DType::kBF16},   {at::kDouble, io::DType::kF64},
      {at::kLong, io::DType::kI64},        {at::kInt, io::DType::kI32},
      {at::kShort, io::DType::kI16},       {at::kChar, io::DType::kI8},
      {at::kByte, io::DType::kU8},         {at::kBool, io::DType::kBool},
      {at::kComplexFloat, io::DType::kC64}};
  for (const auto& [scalar, dtype] : kTypes) {
    if (tensor.scalar_type() == scalar) return dtype;
  }
  throw InputError("tensor ", Quoted(name), " is of type ", c10::toString(tensor.scalar_type()),
                   ", which moefy does not store");
}

// Tensors that LibTorch has read, held in memory.
class ScriptFile final : public io::TensorFile {
 public:
  explicit ScriptFile(const std::filesystem::path& path) : path_(path) {
    WithContext(path.string(), [&] { Read(); });
  }

  const std::filesystem::path& path() const override { return path_; }
  const std::vector<io::TensorInfo>& tensors() const override { return infos_; }
  const io::TensorInfo* Find(std::string_view name) const override {
    const auto found = values_.find(name);
    return found == values_.end() ? nullptr : &infos_[found->second.info_idx];
  }
  std::span<const std::byte> Bytes(const io::TensorInfo& info) const override {
    const at::Tensor& tensor = values_.find(info.name)->second.tensor;
    return {static_cast<const std::byte*>(tensor.data_ptr()), tensor.nbytes()};
  }

 private:
  struct Value {
    at::Tensor tensor;
    size_t info_idx = 0;
  };

  void Read() {
    const at::NoGradGuard no_grad;
    try {
      const torch::jit::Module module = torch::jit::load(path_.string(), at::kCPU);
      for (const auto& item : module.named_parameters()) {
        values_[item.name] = {item.value.contiguous(), 0};
      }
      for (const auto& item : module.named_buffers()) {
        values_[item.name] = {item.value.contiguous(), 0};
      }
    } catch (const c10::Error& error) {
      throw InputError("LibTorch cannot read the TorchScript archive: ",
                       error.what_without_backtrace());
    }
    if (values_.empty()) {
      throw InputError("a TorchScript archive without parameters; a frozen one keeps none");
    }
    for (auto& [name, value] : values_) {
      io::TensorInfo info;
      info.name = name;
      info.dtype = DTypeOf(value.tensor, name);
      for (const int64_t extent : value.tensor.sizes()) {
        info.shape.push_back(static_cast<uint64_t>(extent));
      }
      info.end = value.tensor.nbytes();
      value.info_idx = infos_.size();
      infos_.push_back(std::move(info));
    }
  }

  std::filesystem::path path_;
  std::map<std::string, Value, std::less<>> values_;
  std::vector<io::TensorInfo> infos_;
};

}  // namespace

io::Checkpoint OpenTensors(const std::filesystem::path& path) {
  std::error_code ignored;
  if (std::filesystem::is_regular_file(path, ignored) && io::IsTorchScript(path)) {
    return io::Checkpoint::FromFile(std::make_shared<ScriptFile>(path));
  }
  return io::Checkpoint::Open(path);
}

io::Checkpoint OpenCheckpoint(const std::filesystem::path& path) {
  io::Checkpoint checkpoint = OpenTensors(path);
  RefuseUnusableWeights(checkpoint);
  return checkpoint;
}

}  // namespace moefy::model
