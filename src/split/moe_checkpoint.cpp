#include "split/moe_checkpoint.h"

#include <cstring>
#include <limits>

#include "base/problems.h"
#include "model/activation.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/unusable_weights.h"
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

// moefy.json of a format that this moefy knows.
Json ReadManifest(const std::filesystem::path& directory) {
  if (!MoeCheckpoint::IsMoe(directory)) {
    throw InputError(directory, " is not a split checkpoint: it has no ", kMoeManifest,
                     "; `moefy split` makes one from a dense checkpoint");
  }
  Json json = ReadJsonFile(directory / kMoeManifest);
  const JsonObject manifest(json, (directory / kMoeManifest).string());
  const int64_t format = manifest.GetInt("format", 1, kMaxInt);
  if (format <= kMoeFormat) return json;
  throw InputError(
      manifest.PathOf("format"), " is ", format, "; this moefy (which reads formats up to ",
      kMoeFormat, ") is older than the one that wrote it",
      manifest.Has("moefy_version") ? ", " + Quoted(manifest.GetString("moefy_version")) : "");
}

// Whether the FFNs were named by hand.
bool IsNamed(const Json& json, const std::filesystem::path& directory) {
  const JsonObject manifest(json, (directory / kMoeManifest).string());
  return manifest.GetObject("source").GetString("family") == kNamedFamily;
}

// All that is known of a model whose FFNs were named by hand.
model::ModelConfig NamedConfig() {
  model::ModelConfig config;
  config.family = kNamedFamily;
  return config;
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

// Names every difference between what moefy.json lists and what the config implies.
void CheckListedFfns(const std::vector<ListedFfn>& listed, const std::vector<model::FfnSpec>& specs,
                     const std::string& where) {
  Problems problems;
  if (listed.size() != specs.size()) {
    problems.Add("lists ", listed.size(), " FFNs; by its config.json the model has ", specs.size());
  }
  for (size_t i = 0; i < std::min(listed.size(), specs.size()); ++i) {
    const auto& [name, experts, neurons, shared] = listed[i];
    if (name != specs[i].name) {
      problems.Add("FFN ", i, " is ", Quoted(name), "; expected ", Quoted(specs[i].name));
    }
    // The number is divided, because the product of two numbers out of a file may overflow.
    if (specs[i].num_neurons % experts != 0 || specs[i].num_neurons / experts != neurons) {
      problems.Add("FFN ", Quoted(name), " has ", experts, " experts of ", neurons,
                   " neurons; config.json gives it ", specs[i].num_neurons, " neurons");
    }
  }
  WithContext(where, [&] { problems.ThrowIfAny(); });
}

// The tensors of named FFNs, as moefy.json lists them. Permutations() checks that they are there.
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
  if (!info || info->dtype != io::DType::kI64 || !io::HasShape(*info, {num_neurons})) {
    throw InputError(extras.path(), ": expected a tensor ", Quoted(name), ", I64 [", num_neurons,
                     "], found ", io::DescribeType(info));
  }
  std::vector<int64_t> order(num_neurons);
  const auto bytes = extras.Bytes(*info);
  std::memcpy(order.data(), bytes.data(), bytes.size());
  return WithContext(StrCat(extras.path(), ": ", Quoted(name)),
                     [&] { return ExpertPlan(std::move(order), ffn.num_experts, ffn.num_shared); });
}

}  // namespace

MoeCheckpoint::MoeCheckpoint(Json manifest, io::Checkpoint weights, model::ModelConfig config)
    : weights_(std::move(weights)), config_(std::move(config)), manifest_(std::move(manifest)) {
  const std::string where = (directory() / kMoeManifest).string();
  const JsonObject object(manifest_, where);
  const JsonObject source = object.GetObject("source");
  source_fingerprint_ = source.GetString("fingerprint");
  const std::vector<ListedFfn> listed = ReadListedFfns(object);
  if (const std::string family = source.GetString("family"); family != config_.family) {
    throw InputError(source.PathOf("family"), " is ", Quoted(family), "; config.json says ",
                     Quoted(config_.family));
  }
  const std::vector<model::FfnSpec> specs =
      config_.family == kNamedFamily ? ReadNamedFfns(object) : model::FfnSpecs(config_);
  CheckListedFfns(listed, specs, where);
  extras_.emplace(directory() / kMoeTensors);
  for (size_t i = 0; i < specs.size(); ++i) {
    ffns_.push_back({specs[i], ReadPlan(*extras_, listed[i])});
  }
  // Checks names and shapes, which packed weights have none of.
  if (!model::HoldsPackedWeights(weights_)) Permutations(weights_, ffns_, false);
}

bool MoeCheckpoint::IsMoe(const std::filesystem::path& directory) {
  std::error_code ignored;
  return std::filesystem::exists(directory / kMoeManifest, ignored);
}

MoeCheckpoint MoeCheckpoint::Open(const std::filesystem::path& directory, model::ReadFor read_for) {
  Json manifest = ReadManifest(directory);
  io::Checkpoint weights = io::Checkpoint::Open(directory);
  model::ModelConfig config = IsNamed(manifest, directory)
                                  ? NamedConfig()
                                  : model::ReadModelConfig(weights, nullptr, read_for);
  return {std::move(manifest), std::move(weights), std::move(config)};
}

MoeCheckpoint MoeCheckpoint::Open(io::Checkpoint weights, model::ModelConfig config) {
  Json manifest = ReadManifest(weights.directory());
  if (IsNamed(manifest, weights.directory())) config = NamedConfig();
  return {std::move(manifest), std::move(weights), std::move(config)};
}

}  // namespace moefy::split
