#include "model/device.h"

#include <ATen/Context.h>

#include <charconv>
#include <limits>
#include <string_view>

#include "moefy/base/error.h"

namespace moefy::model {

at::Device ParseDevice(const std::string& name) {
  constexpr std::string_view kCuda = "cuda:";
  if (name == "cpu") return at::kCPU;
  if (name == "cuda") return at::Device(at::kCUDA, 0);
  c10::DeviceIndex idx = -1;
  if (name.starts_with(kCuda)) {
    const char* const end = name.data() + name.size();
    const auto [rest, code] = std::from_chars(name.data() + kCuda.size(), end, idx);
    if (code == std::errc() && rest == end && idx >= 0) return at::Device(at::kCUDA, idx);
  }
  throw UsageError("unknown device ", Quoted(name), "; expected cpu, cuda or cuda:N, N from 0 to ",
                   int{std::numeric_limits<c10::DeviceIndex>::max()});
}

at::Device ResolveDevice(at::Device wanted, std::vector<std::string>* warnings) {
  if (!wanted.is_cuda()) return wanted;
  const size_t num_gpus = at::hasCUDA() ? at::getNumGPUs() : 0;
  if (num_gpus == 0) {
    if (warnings) {
      warnings->push_back(
          StrCat(at::hasCUDA() ? "LibTorch finds no GPU" : "no CUDA in this LibTorch",
                 "; running on the CPU"));
    }
    return at::kCPU;
  }
  if (static_cast<size_t>(wanted.index()) >= num_gpus) {
    throw UsageError("there is no device ", wanted.str(), "; LibTorch finds ", num_gpus,
                     num_gpus == 1 ? " GPU, cuda:0" : " GPUs");
  }
  return wanted;
}

at::Tensor OnDevice(const at::Tensor& tensor, at::Device device) {
  return tensor.defined() ? tensor.to(device) : tensor;
}

TensorMap OnDevice(TensorMap tensors, at::Device device) {
  for (auto& [name, tensor] : tensors) tensor = OnDevice(tensor, device);
  return tensors;
}

ForwardInputs OnDevice(const ForwardInputs& inputs, at::Device device) {
  return {OnDevice(inputs.input_ids, device), OnDevice(inputs.attention_mask, device),
          OnDevice(inputs.token_type_ids, device), OnDevice(inputs.decoder_input_ids, device),
          OnDevice(inputs.decoder_attention_mask, device)};
}

void WaitFor(const at::Tensor& tensor) {
  // Copying an element waits for the work on its tensor.
  if (!tensor.is_cpu() && tensor.numel() > 0) tensor.flatten()[0].item();
}

}  // namespace moefy::model
