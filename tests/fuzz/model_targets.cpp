// Readers in the layers above io and text.
#include "base/json.h"
#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "io/safetensors.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "pipeline/recipe.h"
#include "record/activation_dump.h"
#include "split/moe_checkpoint.h"

namespace moefy::fuzz {
namespace {

struct Tensor {
  const char* name;
  io::DType dtype;
  std::vector<uint64_t> shape;
};

// Tensors of zeros.
void WriteTensors(const std::filesystem::path& path, const std::vector<Tensor>& tensors) {
  std::vector<io::TensorInfo> infos;
  for (const Tensor& tensor : tensors) {
    io::TensorInfo info;
    info.name = tensor.name;
    info.dtype = tensor.dtype;
    info.shape = tensor.shape;
    infos.push_back(info);
  }
  io::SafetensorsWriter writer(path, infos);
  for (const io::TensorInfo& info : infos) {
    writer.Write(info.name, std::vector<std::byte>(*io::NumBytes(info.shape, info.dtype)));
  }
  writer.Finish();
}

}  // namespace

void Config(std::span<const std::byte> input) {
  Refusable([&] {
    const model::ModelConfig config = model::ParseModelConfig(ParseJson(AsText(input)), "config");
    model::FfnSpecs(config);
    model::ExpectedTensors(config);
  });
}

void DumpManifest(std::span<const std::byte> input) {
  static const Directory directory;
  static const bool ready = [] {
    WriteTensors(directory.path() / "a.safetensors", {{"ffn_input", io::DType::kF32, {5, 3}}});
    return true;
  }();
  directory.Write("dump.json", AsText(input));
  if (ready) Refusable([&] { record::ActivationDump::Open(directory.path()); });
}

void MoeManifest(std::span<const std::byte> input) {
  static const Directory directory;
  static const bool ready = [] {
    WriteTensors(directory.path() / "model.safetensors",
                 {{"a.weight", io::DType::kF32, {2, 3}}, {"b.weight", io::DType::kF32, {3, 2}}});
    WriteTensors(directory.path() / "moefy.safetensors",
                 {{"ffn.0.neuron_order", io::DType::kI64, {1}}});
    return true;
  }();
  directory.Write("moefy.json", AsText(input));
  if (ready) Refusable([&] { split::MoeCheckpoint::Open(directory.path()); });
}

void Recipe(std::span<const std::byte> input) {
  static const Directory directory;
  const auto path = directory.Write("recipe.json", AsText(input));
  Refusable([&] { pipeline::ReadRecipe(path); });
}

}  // namespace moefy::fuzz
