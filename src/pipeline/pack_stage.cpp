#include "pipeline/pack_stage.h"

#include "base/file.h"
#include "base/output.h"
#include "io/safetensors.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/open_checkpoint.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"
#include "runtime/dense_model.h"
#include "runtime/packed_file.h"
#include "runtime/sparse_model.h"
#include "split/moe_checkpoint.h"
#include "split/side_files.h"

namespace moefy::pipeline {
namespace {

// Writes the tensors that stay as they are: all but those that are packed. Returns their bytes.
uint64_t WriteOtherTensors(const io::Checkpoint& from, const model::ModelConfig& config,
                           const std::filesystem::path& file) {
  std::vector<io::TensorInfo> kept;
  uint64_t bytes = 0;
  for (const model::ExpectedTensor& tensor : model::ExpectedTensors(config)) {
    if (tensor.exchanged || !from.Find(tensor.name)) continue;
    kept.push_back(from.Get(tensor.name));
    bytes += kept.back().num_bytes();
  }
  io::SafetensorsWriter writer(file, kept);
  for (const io::TensorInfo& info : kept) writer.Write(info.name, from.Bytes(info.name));
  writer.Finish();
  return bytes;
}

}  // namespace

PackResult Pack(const PackOptions& options, IfExists if_exists, Progress& progress) {
  const runtime::WeightFormat format = runtime::ParseWeightFormat(options.weights);
  if (!runtime::IsQuantized(format)) {
    throw UsageError("--weights ", options.weights, ": only int8 and int4 are stored packed; ",
                     "other formats are made from the checkpoint as fast as it is read");
  }
  if (options.out.empty()) throw UsageError("pack needs --out: where should the result go?");
  StagedDirectory staged(options.out, if_exists, {options.model});
  const io::Checkpoint checkpoint = model::OpenCheckpoint(options.model);
  if (model::HoldsPackedWeights(checkpoint)) {
    throw UsageError(options.model, " is packed already; pack the checkpoint it was made from");
  }
  PackResult result;
  result.out = options.out;
  result.weights = options.weights;
  result.bytes_before = checkpoint.TotalBytes();
  result.is_split = split::MoeCheckpoint::IsMoe(checkpoint.directory());
  const model::ModelConfig config = model::ReadModelConfig(checkpoint, &result.warnings);

  // What a run would keep in memory is what is written.
  runtime::PackedRecorder recorder;
  if (result.is_split) {
    const auto moe = split::MoeCheckpoint::Open(checkpoint, config);
    const runtime::SparseModel model(moe, /*seed=*/0, format, progress, &recorder);
  } else {
    runtime::LoadPackedTransformer(checkpoint, format, &result.warnings, progress, &recorder);
  }

  progress.Begin("writing the packed checkpoint", 1, "");
  split::WriteConfigText(staged.path(), checkpoint.ConfigText());
  for (std::string& warning : split::CopySideFiles(checkpoint, staged.path())) {
    result.warnings.push_back(std::move(warning));
  }
  result.bytes_after = WriteOtherTensors(checkpoint, config, staged.path() / "model.safetensors");
  recorder.Write(staged.path() / model::kPackedWeights, format);
  result.bytes_after += static_cast<uint64_t>(recorder.TotalBytes());
  if (result.is_split) {
    for (const char* name : {split::kMoeTensors, split::kMoeManifest}) {
      CopyFile(checkpoint.directory() / name, staged.path() / name);
    }
  }
  staged.Commit();
  progress.End(FormatBytes(result.bytes_after));
  return result;
}

}  // namespace moefy::pipeline
