#include "pipeline/inspect.h"

#include <numeric>
#include <set>

#include "model/activation.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/open_checkpoint.h"
#include "model/read_parameters.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"
#include "moefy/model/transformer.h"
#include "route/router_reader.h"
#include "runtime/packed_file.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {
namespace {

// Expert sizes are worth trying if they divide every FFN into at least two experts.
std::vector<int64_t> ExpertSizes(const std::vector<model::FfnSpec>& ffns) {
  int64_t num_neurons = 0;
  for (const model::FfnSpec& spec : ffns) num_neurons = std::gcd(num_neurons, spec.num_neurons);
  std::vector<int64_t> sizes;
  for (int64_t size = 4; size <= std::min<int64_t>(256, num_neurons / 2); ++size) {
    if (num_neurons % size == 0) sizes.push_back(size);
  }
  return sizes;
}

// Adds up what the headers say of the tensors, whatever they mean.
void CountTensors(const io::Checkpoint& checkpoint, Inspection& out) {
  out.num_files = static_cast<int64_t>(checkpoint.files().size());
  for (const std::string& name : checkpoint.TensorNames()) {
    const io::TensorInfo& info = checkpoint.Get(name);
    ++out.num_tensors;
    out.num_parameters += io::NumElements(info.shape).value_or(0);
    out.num_bytes += info.num_bytes();
    out.bytes_by_dtype[std::string(io::DTypeName(info.dtype))] += info.num_bytes();
  }
}

std::string HeadName(const model::ModelConfig& config) {
  switch (config.head) {
    case model::Head::kSequenceClassification:
      return config.is_regression()    ? "regression"
             : config.is_multi_label() ? StrCat(config.num_labels, " labels, each by itself")
                                       : StrCat("classification, ", config.num_labels, " labels");
    case model::Head::kQuestionAnswering:
      return "question answering";
    case model::Head::kLanguageModel:
      return "language model";
    case model::Head::kMaskedLanguageModel:
      return "masked language model";
    case model::Head::kTokenClassification:
      return StrCat("token classification, ", config.num_labels, " labels");
    case model::Head::kNone:
      break;
  }
  return "none: texts as vectors";
}

Inspection ListTensors(const io::Checkpoint& checkpoint, const std::filesystem::path& path) {
  Inspection out;
  out.path = path;
  out.has_config = false;
  CountTensors(checkpoint, out);
  for (const std::string& name : checkpoint.TensorNames()) {
    out.tensors.push_back(checkpoint.Get(name));
  }
  out.warnings = checkpoint.warnings();
  out.warnings.push_back(
      StrCat("there is no config.json in ", checkpoint.directory(),
             ", so this lists the tensors; `moefy split` can be told which are FFNs (--ffn)"));
  return out;
}

}  // namespace

Inspection Inspect(const std::filesystem::path& path) {
  return Inspect(model::OpenTensors(path), path);
}

Inspection Inspect(const io::Checkpoint& checkpoint, const std::filesystem::path& path) {
  std::error_code ignored;
  const auto config =
      std::filesystem::symlink_status(checkpoint.directory() / "config.json", ignored);
  if (!std::filesystem::exists(config)) return ListTensors(checkpoint, path);
  model::RefuseUnusableWeights(checkpoint);
  Inspection out;
  out.path = path;
  out.config = model::ReadModelConfig(checkpoint, &out.warnings, model::ReadFor::kFfns);
  if (const auto packed = runtime::PackedFile::Find(checkpoint)) {
    out.packed = runtime::WeightFormatName(packed->format());
  }
  if (out.packed.empty()) model::CheckParameters(checkpoint, out.config, &out.warnings);
  out.head = HeadName(out.config);
  out.ffns = model::FfnSpecs(out.config);
  CountTensors(checkpoint, out);
  for (const model::FfnSpec& spec : out.ffns) {
    if (!out.packed.empty()) break;
    const std::set<std::string> names = {spec.w_in,  spec.b_in, spec.w_gate, spec.b_gate,
                                         spec.w_out, spec.b_out};  // counts a fused tensor once
    for (const std::string& name : names) {
      if (!name.empty()) {
        out.ffn_parameters += io::NumElements(checkpoint.Get(name).shape).value_or(0);
      }
    }
  }
  out.expert_sizes = ExpertSizes(out.ffns);
  if (split::MoeCheckpoint::IsMoe(checkpoint.directory())) {
    const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(checkpoint, out.config);
    if (!moe.ffns().empty()) {
      out.num_experts = moe.ffns().front().plan.num_experts();
      out.num_shared = moe.ffns().front().plan.num_shared();
    }
    out.has_routers = route::HasRouters(moe);
  }
  for (const std::string& warning : checkpoint.warnings()) out.warnings.push_back(warning);
  return out;
}

namespace {

// The experts that the model brings with it; null for a dense model.
Json MixtureToJson(const model::MixtureConfig& mixture) {
  if (mixture.num_experts == 0) return nullptr;
  return {{"experts", mixture.num_experts},
          {"experts_per_token", mixture.num_chosen},
          {"neurons", mixture.num_neurons},
          {"shared_neurons", mixture.shared_neurons},
          {"dense_layers", mixture.dense_layers}};
}

}  // namespace

Json InspectionToJson(const Inspection& inspection) {
  if (!inspection.has_config) {
    Json listed = Json::array();
    for (const io::TensorInfo& info : inspection.tensors) {
      listed.push_back(
          {{"name", info.name}, {"dtype", io::DTypeName(info.dtype)}, {"shape", info.shape}});
    }
    return {{"path", inspection.path.string()},
            {"files", inspection.num_files},
            {"tensors", inspection.num_tensors},
            {"parameters", inspection.num_parameters},
            {"bytes", inspection.num_bytes},
            {"bytes_by_dtype", inspection.bytes_by_dtype},
            {"tensor_list", listed},
            {"warnings", inspection.warnings}};
  }
  const model::ModelConfig& config = inspection.config;
  Json ffns = Json::array();
  for (const model::FfnSpec& spec : inspection.ffns) {
    ffns.push_back({{"name", spec.name},
                    {"neurons", spec.num_neurons},
                    {"hidden", spec.hidden},
                    {"w_in", spec.w_in},
                    {"w_gate", spec.w_gate},
                    {"w_out", spec.w_out},
                    {"transposed", spec.transposed}});
  }
  return {{"path", inspection.path.string()},
          {"family", config.family},
          {"head", inspection.head},
          {"activation", model::ActivationName(config.activation)},
          {"gated", config.gated},
          {"hidden", config.hidden},
          {"neurons", config.last_stack().num_neurons},
          {"encoder_layers", config.encoder.num_layers},
          {"decoder_layers", config.decoder.num_layers},
          {"vocab_size", config.vocab_size},
          {"files", inspection.num_files},
          {"tensors", inspection.num_tensors},
          {"parameters", inspection.num_parameters},
          {"ffn_parameters", inspection.ffn_parameters},
          {"bytes", inspection.num_bytes},
          {"bytes_by_dtype", inspection.bytes_by_dtype},
          {"mixture", MixtureToJson(config.mixture)},
          {"ffns", ffns},
          {"expert_sizes", inspection.expert_sizes},
          {"num_experts", inspection.num_experts},
          {"num_shared", inspection.num_shared},
          {"has_routers", inspection.has_routers},
          {"packed", inspection.packed.empty() ? Json() : Json(inspection.packed)},
          {"warnings", inspection.warnings}};
}

}  // namespace moefy::pipeline
