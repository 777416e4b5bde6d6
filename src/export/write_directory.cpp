#include "export/write_directory.h"

#include <ATen/core/grad_mode.h>

#include "base/output.h"
#include "export/engine_config.h"
#include "export/expert_matrices.h"
#include "export/model_tensors.h"
#include "io/safetensors.h"
#include "moefy/base/error.h"
#include "moefy/model/tensor_io.h"
#include "split/side_files.h"

namespace moefy::exports {
namespace {

// Whether all experts' matrices are in one tensor.
bool IsStacked(const Format& format) { return format.w_in.empty(); }

// The names and shapes of a layer's experts and router. Their order is that of WriteLayer.
std::vector<ExportedTensor> LayerTensors(const ExportPlan& plan, int64_t layer_idx, int64_t hidden,
                                         io::DType dtype) {
  const Format& format = plan.format;
  const ExpertSizes& sizes = plan.sizes;
  const std::string layer = StrCat("model.layers.", layer_idx, ".");
  std::vector<ExportedTensor> out;
  const auto add = [&](const std::string& name, const std::vector<int64_t>& shape, io::DType type) {
    out.push_back({layer + name, type, shape, {}});
  };
  const auto add_expert = [&](const std::string& prefix, int64_t neurons) {
    add(prefix + format.w_gate + ".weight", {neurons, hidden}, dtype);
    add(prefix + format.w_in + ".weight", {neurons, hidden}, dtype);
    add(prefix + format.w_out + ".weight", {hidden, neurons}, dtype);
  };
  // The router stays F32: what is rounded would choose other experts.
  add(format.router + "weight", {sizes.experts, hidden}, io::DType::kF32);
  if (format.router_bias) {
    add(format.router + "e_score_correction_bias", {sizes.experts}, io::DType::kF32);
  }
  if (IsStacked(format)) {
    add(format.expert + format.w_gate + ".weight", {sizes.experts, 2 * sizes.neurons, hidden},
        dtype);
    add(format.expert + format.w_out + ".weight", {sizes.experts, hidden, sizes.neurons}, dtype);
    if (!plan.HasSharedExpert()) return out;
    add(format.shared_expert + format.w_gate + ".weight", {2 * sizes.shared_neurons, hidden},
        dtype);
    add(format.shared_expert + format.w_out + ".weight", {hidden, sizes.shared_neurons}, dtype);
    return out;
  }
  for (int64_t e = 0; e < sizes.experts; ++e) {
    add_expert(ReplaceAll(format.expert, "{}", std::to_string(e)), sizes.neurons);
  }
  if (plan.HasSharedExpert()) add_expert(format.shared_expert, sizes.shared_neurons);
  if (!format.shared_gate.empty()) add(format.shared_gate + "weight", {1, hidden}, dtype);
  return out;
}

// Calls `write` for what LayerTensors names.
template <typename Write>
void WriteLayer(const ExportPlan& plan, const RouterRows& rows, const ExpertMatrices& experts,
                Write&& write) {
  write(rows.w);
  // A sigmoid has a slope of 1/4 at 0, and its bias is added behind it.
  if (plan.format.router_bias) write(rows.b / 4);
  if (IsStacked(plan.format)) {
    write(at::cat({experts.w_gate, experts.w_in}, 1));
    write(experts.w_out);
    if (!plan.HasSharedExpert()) return;
    write(at::cat({experts.shared_w_gate, experts.shared_w_in}, 0));
    write(experts.shared_w_out);
    return;
  }
  for (int64_t e = 0; e < plan.sizes.experts; ++e) {
    for (const auto* matrix : {&experts.w_gate, &experts.w_in, &experts.w_out}) {
      write((*matrix)[e]);
    }
  }
  if (plan.HasSharedExpert()) {
    for (const auto* matrix :
         {&experts.shared_w_gate, &experts.shared_w_in, &experts.shared_w_out}) {
      write(*matrix);
    }
  }
  if (!plan.format.shared_gate.empty()) write(SharedGate(experts.w_in.size(2)));
}

io::TensorInfo InfoOf(const ExportedTensor& tensor) {
  return {tensor.name, tensor.dtype, {tensor.shape.begin(), tensor.shape.end()}};
}

void Write(const ExportedTensor& tensor, const at::Tensor& values, io::SafetensorsWriter& writer) {
  const at::Tensor stored = values.to(model::ComputableType(tensor.dtype).value()).contiguous();
  MOEFY_CHECK(stored.sizes() == at::IntArrayRef(tensor.shape));
  if (!stored.isfinite().all().item<bool>()) {
    throw InputError(Quoted(tensor.name), ": a value times the factor that makes up for the ",
                     "engine's weights is beyond ", io::DTypeName(tensor.dtype));
  }
  writer.Write(tensor.name, {static_cast<const std::byte*>(stored.data_ptr()), stored.nbytes()});
}

}  // namespace

std::vector<std::string> WriteDirectory(const split::MoeCheckpoint& moe, const ExportPlan& plan,
                                        const std::vector<RouterRows>& routers,
                                        const std::filesystem::path& directory,
                                        Progress& progress) {
  const at::NoGradGuard no_grad;
  MOEFY_CHECK(routers.size() == moe.ffns().size());
  const io::DType dtype = WrittenType(moe.weights().Get(moe.ffns().front().spec.w_out).dtype);
  const Json source = ParseJsonFile(moe.weights().ConfigPath(), moe.weights().ConfigText());
  split::WriteConfigText(directory, FormatJson(EngineConfig(plan, moe.config(), source, dtype)));
  std::vector<std::string> warnings = split::CopySideFiles(moe.weights(), directory);

  const std::vector<ExportedTensor> others = ModelTensors(moe, plan);
  std::vector<std::vector<ExportedTensor>> layers;
  std::vector<io::TensorInfo> infos;
  for (const ExportedTensor& tensor : others) infos.push_back(InfoOf(tensor));
  for (size_t i = 0; i < routers.size(); ++i) {
    layers.push_back(LayerTensors(plan, static_cast<int64_t>(i), moe.config().hidden, dtype));
    for (const ExportedTensor& tensor : layers.back()) infos.push_back(InfoOf(tensor));
  }
  io::SafetensorsWriter writer(directory / "model.safetensors", infos);
  for (const ExportedTensor& tensor : others) Write(tensor, tensor.read(), writer);
  for (size_t i = 0; i < routers.size(); ++i) {
    ThrowIfInterrupted();
    const RouterRows rows =
        Flat(WithoutShared(routers[i], plan.sizes.shared),
             ReadFfnNorm(moe, static_cast<int64_t>(i)), FlatSpread(plan.format.gates));
    size_t next = 0;
    WriteLayer(plan, rows, ReadExpertMatrices(moe, i, plan), [&](const at::Tensor& values) {
      Write(layers[i].at(next), values, writer);
      ++next;
    });
    MOEFY_CHECK(next == layers[i].size());
    progress.Advance(1);
  }
  writer.Finish();
  return warnings;
}

}  // namespace moefy::exports
