#include "split/moe_writer.h"

#include <atomic>
#include <chrono>

#include "base/background.h"
#include "base/file.h"
#include "base/output.h"
#include "io/rewrite_checkpoint.h"
#include "io/safetensors.h"
#include "io/tensor_file.h"
#include "model/activation.h"
#include "moefy/base/error.h"
#include "moefy/base/version.h"
#include "split/config_key.h"
#include "split/permute.h"
#include "split/side_files.h"

namespace moefy::split {
namespace {

namespace fs = std::filesystem;

void WritePlans(const std::vector<MoeFfn>& ffns, const fs::path& path) {
  std::vector<io::TensorInfo> tensors;
  for (const auto& [spec, plan] : ffns) {
    io::TensorInfo info;
    info.name = spec.name + kNeuronOrder;
    info.dtype = io::DType::kI64;
    info.shape = {static_cast<uint64_t>(plan.num_neurons())};
    tensors.push_back(std::move(info));
  }
  io::SafetensorsWriter writer(path, std::move(tensors));
  for (const auto& [spec, plan] : ffns) {
    writer.Write(spec.name + kNeuronOrder, std::as_bytes(std::span(plan.order())));
  }
  writer.Finish();
}

// What moefy.json says of an FFN whose family is not known.
Json NamedTensors(const model::FfnSpec& spec) {
  Json tensors = {{"hidden", spec.hidden}, {"w_in", spec.w_in}};
  const std::pair<const char*, const std::string&> optional[] = {
      {"b_in", spec.b_in}, {"w_gate", spec.w_gate}, {"b_gate", spec.b_gate}};
  for (const auto& [key, name] : optional) {
    if (!name.empty()) tensors[key] = name;
  }
  tensors["w_out"] = spec.w_out;
  if (spec.transposed) tensors["transposed"] = true;
  tensors["activation"] = model::ActivationName(spec.activation);
  return tensors;
}

Json Manifest(const io::Checkpoint& dense, const std::string& family,
              const std::vector<MoeFfn>& ffns, const Json& split_options,
              const std::vector<std::string>& warnings) {
  Json listed = Json::array();
  for (const auto& [spec, plan] : ffns) {
    Json ffn = {{"name", spec.name},
                {"num_experts", plan.num_experts()},
                {"neurons_per_expert", plan.neurons_per_expert()}};
    if (plan.num_shared() > 0) ffn["num_shared"] = plan.num_shared();
    if (family == kNamedFamily) ffn.update(NamedTensors(spec));
    listed.push_back(std::move(ffn));
  }
  return {{"format", kMoeFormat},
          {"moefy_version", kVersion},
          {"source",
           {{"fingerprint", dense.Fingerprint()},
            {"family", family},
            {"tensors", dense.TensorNames().size()},
            {"bytes", dense.TotalBytes()}}},
          {"split", split_options},
          {"ffns", listed},
          {"router", nullptr},
          {"warnings", warnings}};
}

// Gives the same bytes a second name where the file system has links, and copies them elsewhere.
void LinkOrCopy(const fs::path& from, const fs::path& to) {
  std::error_code code;
  fs::create_hard_link(fs::canonical(from, code), to, code);
  if (!code) return;
  CopyFile(from, to);
}

// Writes moefy.safetensors with the neuron orders that are there and these routers.
void WriteExtras(const MoeCheckpoint& moe, const model::TensorMap& routers, const fs::path& path) {
  std::vector<io::TensorInfo> orders;
  for (const io::TensorInfo& info : moe.extras().tensors()) {
    if (info.name.ends_with(kNeuronOrder)) orders.push_back(info);
  }
  std::vector<io::TensorInfo> all = orders;
  for (const auto& [name, tensor] : routers) {
    io::TensorInfo info;
    info.name = name;
    info.dtype = io::DType::kF32;
    info.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
    all.push_back(std::move(info));
  }
  io::SafetensorsWriter writer(path, std::move(all), moe.extras().metadata());
  for (const io::TensorInfo& info : orders) writer.Write(info.name, moe.extras().Bytes(info));
  for (const auto& [name, tensor] : routers) {
    const at::Tensor values = tensor.detach().to(at::kCPU, at::kFloat).contiguous();
    writer.Write(name, {static_cast<const std::byte*>(values.data_ptr()), values.nbytes()});
  }
  writer.Finish();
}

// Counts what is written. Where the user asked to stop, it leaves the answer to the thread that
// waits.
class WrittenBytes final : public Progress {
 public:
  void Section(std::string_view) override {}
  void Begin(std::string_view, uint64_t, std::string_view) override {}
  void Advance(uint64_t num_bytes) override {
    bytes_ += num_bytes;
    if (InterruptRequested()) throw Error(ErrorKind::kInterrupted, "interrupted");
  }
  void End(std::string_view) override {}
  uint64_t bytes() const { return bytes_; }

 private:
  std::atomic<uint64_t> bytes_ = 0;
};

}  // namespace

void LinkWeights(const MoeCheckpoint& moe, const fs::path& directory) {
  for (const auto& file : moe.weights().files()) {
    LinkOrCopy(file->path(), directory / file->path().filename());
  }
  if (const std::string& index = moe.weights().index_name(); !index.empty()) {
    LinkOrCopy(moe.directory() / index, directory / index);
  }
}

struct MoeWriter::Impl {
  const io::Checkpoint& dense;
  fs::path directory;
  std::map<std::string, ReorderedTensor, std::less<>> reordered;
  io::CheckpointRewriter weights;
  std::vector<std::byte> scratch;  // the thread's own
  WrittenBytes written;
  Background thread;  // ends before what it uses
};

MoeWriter::MoeWriter(const io::Checkpoint& dense, const std::vector<model::FfnSpec>& ffns,
                     fs::path directory)
    : impl_(new Impl{
          dense, directory, ReorderedTensors(dense, ffns), {dense, directory}, {}, {}, {}}) {
  for (const std::string& name : dense.TensorNames()) {
    if (impl_->reordered.contains(name)) continue;
    impl_->thread.Add([impl = impl_.get(), name] {
      impl->weights.Write(name, impl->dense.Bytes(name), impl->written);
    });
  }
}

MoeWriter::~MoeWriter() = default;

void MoeWriter::Add(size_t ffn_idx, ExpertPlan plan) {
  const auto shared = std::make_shared<const ExpertPlan>(std::move(plan));
  for (const auto& [name, reordered] : impl_->reordered) {
    if (reordered.ffn_idx != ffn_idx) continue;
    impl_->thread.Add([impl = impl_.get(), &name = name, &reordered = reordered, shared] {
      impl->weights.Write(name,
                          Permute(impl->dense.Get(name), impl->dense.Bytes(name),
                                  reordered.By(*shared, /*inverse=*/false), impl->scratch),
                          impl->written);
    });
  }
}

std::vector<std::string> MoeWriter::Finish(const std::string& family,
                                           const std::vector<MoeFfn>& ffns,
                                           const Json& split_options, Progress& progress) {
  constexpr std::chrono::milliseconds kLook{100};
  const io::Checkpoint& dense = impl_->dense;
  const fs::path& directory = impl_->directory;
  uint64_t told = 0;
  for (bool done = false; !done;) {
    done = impl_->thread.WaitFor(kLook);
    const uint64_t written = impl_->written.bytes();
    progress.Advance(written - told);
    told = written;
  }
  impl_->weights.Finish();
  if (!dense.ConfigText().empty()) WriteConfigText(directory, AddMoefyKey(dense.ConfigText()));
  std::vector<std::string> warnings = CopySideFiles(dense, directory);
  WritePlans(ffns, directory / kMoeTensors);
  WriteTextFile(directory / kMoeManifest,
                FormatJson(Manifest(dense, family, ffns, split_options, warnings)),
                IfExists::kRefuse);
  return warnings;
}

std::vector<std::string> WriteMoeCheckpoint(const io::Checkpoint& dense, const std::string& family,
                                            const std::vector<MoeFfn>& ffns,
                                            const Json& split_options, const fs::path& directory,
                                            Progress& progress) {
  std::vector<model::FfnSpec> specs;
  for (const MoeFfn& ffn : ffns) specs.push_back(ffn.spec);
  MoeWriter writer(dense, specs, directory);
  for (size_t i = 0; i < ffns.size(); ++i) writer.Add(i, ffns[i].plan);
  return writer.Finish(family, ffns, split_options, progress);
}

std::vector<std::string> WriteChangedMoe(const MoeCheckpoint& moe, const MoeChanges& changes,
                                         const fs::path& directory) {
  WriteConfigText(directory, moe.weights().ConfigText());
  std::vector<std::string> warnings = CopySideFiles(moe.weights(), directory);
  if (changes.weights.empty()) {
    LinkWeights(moe, directory);
  } else {
    model::RewriteTensors(moe.weights(), changes.weights, directory);
  }
  Json manifest = moe.manifest();
  if (changes.routers) {
    WriteExtras(moe, changes.routers->tensors, directory / kMoeTensors);
    manifest["router"] = changes.routers->manifest;
  } else {
    CopyFile(moe.directory() / kMoeTensors, directory / kMoeTensors);
  }
  if (changes.calibration) AddCalibration(*changes.calibration, manifest);
  WriteTextFile(directory / kMoeManifest, FormatJson(manifest), IfExists::kRefuse);
  return warnings;
}

}  // namespace moefy::split
