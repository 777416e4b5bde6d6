#include "split/moe_checkpoint.h"

#include <cstring>
#include <limits>

#include "model/activation.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "moefy/base/error.h"
#include "split/permute.h"

namespace moefy::split {
namespace {

constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();

// What moefy.json says of one FFN.
struct ListedFfn {
  std::string name;
  int64_t num_experts;
  int64_t neurons_per_expert;
  int64_t num_shared;
};

void CheckFormat(const JsonObject& manifest) {
  const int64_t format = manifest.GetInt("format", 1, kMaxInt);
  if (format <= kMoeFormat) return;
  throw InputError(
      manifest.PathOf("format"), " is ", format, "; this moefy (which reads formats up to ",
      kMoeFormat, ") is older than the one that wrote it",
      manifest.Has("moefy_version") ? ", " + Quoted(manifest.GetString("moefy_version")) : "");
}

std::vector<ListedFfn> ReadListedFfns(const JsonObject& manifest) {
  std::vector<ListedFfn> ffns;
  for (const JsonObject& ffn : manifest.GetObjects("ffns")) {
    const int64_t num_experts = ffn.GetInt("num_experts", 1, kMaxInt);
    ffns.push_back({ffn.GetString("name"), num_experts,
                    ffn.GetInt("neurons_per_expert", 1, kMaxInt),
                    ffn.GetInt("num_shared", 0, num_experts - 1, 0)});
  }
  return ffns;
}

// What moefy.json lists against what the config implies; every difference.
void CheckListedFfns(const std::vector<ListedFfn>& listed, const std::vector<model::FfnSpec>& specs,
                     const std::string& where) {
  std::vector<std::string> problems;
  if (listed.size() != specs.size()) {
    problems.push_back(
        StrCat("lists ", listed.size(), " FFNs; by its config.json the model has ", specs.size()));
  }
  for (size_t i = 0; i < std::min(listed.size(), specs.size()); ++i) {
    const auto& [name, experts, neurons, shared] = listed[i];
    if (name != specs[i].name) {
      problems.push_back(
          StrCat("FFN ", i, " is ", Quoted(name), "; expected ", Quoted(specs[i].name)));
    }
    // Divided, because the product of two numbers out of a file may overflow.
    if (specs[i].num_neurons % experts != 0 || specs[i].num_neurons / experts != neurons) {
      problems.push_back(StrCat("FFN ", Quoted(name), " has ", experts, " experts of ", neurons,
                                " neurons; config.json gives it ", specs[i].num_neurons,
                                " neurons"));
    }
  }
  if (!problems.empty()) throw InputError(where, ": ", Join(problems, "\n  "));
}

// Named FFNs: what moefy.json says of their tensors. Whether they are there is for Permutations().
std::vector<model::FfnSpec> ReadNamedFfns(const JsonObject& manifest) {
  std::vector<model::FfnSpec> specs;
  for (const JsonObject& ffn : manifest.GetObjects("ffns")) {
    model::FfnSpec spec;
    spec.name = ffn.GetString("name");
    spec.w_in = ffn.GetString("w_in");
    spec.b_in = ffn.GetString("b_in", "");
    spec.w_gate = ffn.GetString("w_gate", "");
    spec.b_gate = ffn.GetString("b_gate", "");
    spec.w_out = ffn.GetString("w_out");
    spec.transposed = ffn.GetBool("transposed", false);
    spec.activation = model::ParseActivation(ffn.GetString("activation"), ffn.PathOf("activation"));
    spec.hidden = ffn.GetInt("hidden", 1, kMaxInt);
    const int64_t experts = ffn.GetInt("num_experts", 1, kMaxInt);
    const int64_t neurons = ffn.GetInt("neurons_per_expert", 1, kMaxInt);
    if (__builtin_mul_overflow(experts, neurons, &spec.num_neurons)) {
      throw InputError(ffn.PathOf("num_experts"), " is ", experts, " of ", neurons,
                       " neurons, more than there can be");
    }
    specs.push_back(std::move(spec));
  }
  if (specs.empty()) throw InputError(manifest.PathOf("ffns"), " is empty");
  return specs;
}

ExpertPlan ReadPlan(const io::SafetensorsFile& extras, const ListedFfn& ffn) {
  const std::string name = ffn.name + kNeuronOrder;
  const io::TensorInfo* info = extras.Find(name);
  const int64_t num_neurons = ffn.num_experts * ffn.neurons_per_expert;
  if (!info || info->dtype != io::DType::kI64 ||
      info->shape != std::vector<uint64_t>{static_cast<uint64_t>(num_neurons)}) {
    throw InputError(
        extras.path(), ": expected a tensor ", Quoted(name), ", I64 [", num_neurons, "], found ",
        info ? StrCat(io::DTypeName(info->dtype), " ", FormatShape(info->shape)) : "none");
  }
  std::vector<int64_t> order(num_neurons);
  const auto bytes = extras.Bytes(*info);
  std::memcpy(order.data(), bytes.data(), bytes.size());
  return WithContext(StrCat(extras.path(), ": ", Quoted(name)),
                     [&] { return ExpertPlan(std::move(order), ffn.num_experts, ffn.num_shared); });
}

}  // namespace

MoeCheckpoint::MoeCheckpoint(io::Checkpoint weights, model::ModelConfig config)
    : weights_(std::move(weights)), config_(std::move(config)) {}

bool MoeCheckpoint::IsMoe(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory / kMoeManifest, ignored);
}

MoeCheckpoint MoeCheckpoint::Open(const std::filesystem::path& directory, model::ReadFor read_for) {
  const std::filesystem::path manifest_path = directory / kMoeManifest;
  if (!IsMoe(directory)) {
    throw InputError(directory, " is not a split checkpoint: it has no ", kMoeManifest,
                     "; `moefy split` makes one from a dense checkpoint");
  }
  Json json = ReadJsonFile(manifest_path);
  const JsonObject manifest(json, manifest_path.string());
  CheckFormat(manifest);
  const JsonObject source = manifest.GetObject("source");
  const std::string fingerprint = source.GetString("fingerprint");
  const std::vector<ListedFfn> listed = ReadListedFfns(manifest);

  io::Checkpoint weights = io::Checkpoint::Open(directory);
  const std::string family = source.GetString("family");
  const bool named = family == kNamedFamily;
  model::ModelConfig config;
  if (named) {
    config.family = kNamedFamily;
  } else {
    config = model::ReadModelConfig(weights, nullptr, read_for);
  }
  MoeCheckpoint moe(std::move(weights), std::move(config));
  if (family != moe.config_.family) {
    throw InputError(source.PathOf("family"), " is ", Quoted(family), "; config.json says ",
                     Quoted(moe.config_.family));
  }
  const std::vector<model::FfnSpec> specs =
      named ? ReadNamedFfns(manifest) : model::FfnSpecs(moe.config_);
  CheckListedFfns(listed, specs, manifest_path.string());

  moe.source_fingerprint_ = fingerprint;
  moe.extras_.emplace(directory / kMoeTensors);
  for (size_t i = 0; i < specs.size(); ++i) {
    moe.ffns_.push_back({specs[i], ReadPlan(*moe.extras_, listed[i])});
  }
  Permutations(moe.weights_, moe.ffns_, false);  // for its checks of names and shapes
  moe.manifest_ = std::move(json);
  return moe;
}

}  // namespace moefy::split
