
#include "moefy/pipeline/split_stage.h"

#include <algorithm>

#include "base/memory_limit.h"
#include "base/options.h"
#include "base/output.h"
#include "base/stopwatch.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/open_checkpoint.h"
#include "model/read_parameters.h"
#include "moefy/base/error.h"
#include "moefy/model/transformer.h"
#include "pipeline/ffn_parts.h"
#include "pipeline/split_presets.h"
#include "pipeline/stage_key.h"
#include "split/moe_writer.h"
#include "split/named_ffns.h"
#include "split/shared_experts.h"

namespace moefy::pipeline {
namespace {

constexpr const char* kDefaultMethod = "kmeans";

// The number of experts of one FFN.
int64_t NumExperts(const model::FfnSpec& spec, const SplitOptions& options) {
  int64_t size = options.expert_size;
  const bool by_preset = size == 0 && options.num_experts == 0 && !options.preset.empty();
  if (!by_preset) {
    return split::ResolveNumExperts(spec.num_neurons, options.num_experts, size);
  }
  const SplitPreset& preset = GetSplitPreset(options.preset);
  if (preset.num_experts > 0) {
    return split::ResolveNumExperts(spec.num_neurons, preset.num_experts, 0);
  }
  size = preset.expert_size;
  if (preset.gated_expert_size > 0 && spec.gated() && !spec.activation.makes_zeros()) {
    size = preset.gated_expert_size;
  }
  return split::ResolveNumExperts(spec.num_neurons, 0, size);
}

struct FoundFfns {
  std::string family;
  std::vector<model::FfnSpec> specs;
};

// The FFNs of the model's family, or those that --ffn names.
FoundFfns FindFfns(const io::Checkpoint& dense, const SplitOptions& options,
                   std::vector<std::string>& warnings) {
  if (!options.ffn.empty()) {
    return {split::kNamedFamily, split::FindNamedFfns(dense, options.ffn, warnings)};
  }
  const model::ModelConfig config = model::ReadModelConfig(dense, &warnings, model::ReadFor::kFfns);
  model::CheckParameters(dense, config, &warnings);
  model::CheckValues(dense, config);
  return {config.family, model::FfnSpecs(config)};
}

bool HasShared(const SplitOptions& options) {
  return options.shared > 0 || !options.shared_range.empty();
}

// Throws Error{kUsage} where the dump is missing or would not be looked at.
void CheckDumpGiven(const split::Splitter& splitter, const SplitOptions& options) {
  const bool needed = NeedsDump(options);
  if (needed == !options.dump.empty()) return;
  const std::string how =
      StrCat(options.features == "auto" ? "" : StrCat(" with features ", options.features),
             HasShared(options) ? " with shared experts" : "");
  if (!needed) {
    throw UsageError("--dump is ", Quoted(options.dump), ", but ", splitter.name, how,
                     " looks at the weights alone");
  }
  throw UsageError(
      "split by ", splitter.name, how,
      " needs --dump: what entered the FFNs on a corpus; record it with `moefy record ",
      options.checkpoint, " --task TASK.json --out dump`");
}

// What a plan depends on besides its FFN's weights.
Json SplitIdentity(const SplitOptions& options, const std::string& fingerprint,
                   const std::optional<record::ActivationDump>& dump) {
  Json identity = {{"model", fingerprint}, {"options", WithoutPaths(OptionsToJson(options))}};
  if (dump) identity["dump"] = DumpIdentity(*dump);
  return identity;
}

// Throws Error{kSystem} when the memory that the FFN's plan takes is not allowed: its weights in
// F32, for k-means the points twice and all their inner products, and, while the FFN before it is
// written, the largest of that one's tensors, of at most 4 bytes a number.
void RequireSplitMemory(const model::FfnSpec& spec, const SplitOptions& options) {
  const auto neurons = static_cast<uint64_t>(spec.num_neurons);
  const auto hidden = static_cast<uint64_t>(spec.hidden);
  uint64_t floats = ((spec.gated() ? 3 : 2) + (spec.fused() ? 2 : 1)) * neurons * hidden;
  const std::string method = options.method.value_or(kDefaultMethod);
  if (method == kDefaultMethod) {
    const uint64_t width = options.features == "concat" ? 2 * hidden : hidden;
    floats += 2 * neurons * width + neurons * neurons;
  }
  RequireMemory(sizeof(float) * floats,
                StrCat("splitting ", Quoted(spec.name), " (", spec.num_neurons, " x ", spec.hidden,
                       ") by ", method));
}

FfnPart PartOfPlan(const split::ExpertPlan& plan) {
  return {{},
          {{"order", plan.order()},
           {"num_experts", plan.num_experts()},
           {"num_shared", plan.num_shared()}}};
}

// Throws Error{kInput} for a part that is no plan.
split::ExpertPlan PlanOfPart(const FfnPart& part, const model::FfnSpec& spec) {
  const JsonObject values(part.values, spec.name);
  std::vector<int64_t> order = values.GetInts("order", 0, spec.num_neurons - 1);
  if (static_cast<int64_t>(order.size()) != spec.num_neurons) {
    throw InputError(values.PathOf("order"), " has ", order.size(), " neurons; expected ",
                     spec.num_neurons);
  }
  return {std::move(order), values.GetInt("num_experts", 1, spec.num_neurons),
          values.GetInt("num_shared", 0, spec.num_neurons)};
}

// ", 3 shared", ", 2 to 5 shared" or "".
std::string SharedInWords(const std::vector<split::MoeFfn>& ffns) {
  const auto [least, most] =
      std::ranges::minmax(ffns, {}, [](const split::MoeFfn& ffn) { return ffn.plan.num_shared(); });
  if (most.plan.num_shared() == 0) return "";
  if (least.plan.num_shared() == most.plan.num_shared()) {
    return StrCat(", ", most.plan.num_shared(), " shared");
  }
  return StrCat(", ", least.plan.num_shared(), " to ", most.plan.num_shared(), " shared");
}

}  // namespace

SplitOptions WithPreset(const SplitOptions& given) {
  SplitOptions options = given;
  if (!options.preset.empty()) {
    const SplitPreset& preset = GetSplitPreset(options.preset);
    if (!options.method) options.method = preset.method;
    if (!options.shared_by && preset.shared_by) options.shared_by = preset.shared_by;
    if (!HasShared(options)) {
      options.shared = preset.shared;
      options.shared_range = preset.shared_range;
    }
  }
  if (!options.method) options.method = kDefaultMethod;
  return options;
}

bool NeedsDump(const SplitOptions& options) {
  return HasShared(options) ||
         split::NeedsInputs(split::GetSplitter(options.method.value_or(kDefaultMethod)),
                            options.features, options.shared);
}

void CheckSplitOptions(const SplitOptions& given) {
  CheckPartOptions(given);
  const SplitOptions options = WithPreset(given);
  split::CheckFeatures(split::GetSplitter(*options.method), options.features);
  RequireOption(options.restarts >= 1, "restarts", options.restarts, "at least 1");
  if (options.shared_by) split::GetSharedRank(*options.shared_by);
  if (options.shared_by && !HasShared(options)) {
    throw UsageError("--shared-by is ", Quoted(*options.shared_by),
                     ", but no experts are shared; give --shared or --shared-range as well");
  }
  if (options.shared_range.empty()) return;
  if (options.shared > 0) {
    throw UsageError("--shared and --shared-range are both given; expected one of them");
  }
  const std::vector<double>& range = options.shared_range;
  if (range.size() != 2 || !(0 <= range[0] && range[0] <= range[1] && range[1] < 1)) {
    throw UsageError("--shared-range is ", Json(range).dump(),
                     "; expected the least and the most, as ", "shares from 0 to less than 1");
  }
}

std::vector<int64_t> ExpertsPerFfn(const std::vector<model::FfnSpec>& specs,
                                   const SplitOptions& options) {
  std::vector<int64_t> num_experts;
  for (const model::FfnSpec& spec : specs) {
    num_experts.push_back(NumExperts(spec, options));
    split::CheckNumShared(options.shared, num_experts.back());
  }
  return num_experts;
}

SplitResult Split(const SplitOptions& given, IfExists if_exists, Progress& progress,
                  const std::optional<io::Checkpoint>& opened) {
  const Stopwatch stopwatch;
  CheckSplitOptions(given);
  const SplitOptions options = WithPreset(given);
  const split::Splitter& splitter = split::GetSplitter(*options.method);
  const split::SharedRank& rank =
      split::GetSharedRank(options.shared_by.value_or(split::SharedRanks().front().name));
  CheckDumpGiven(splitter, options);
  std::optional<StagedDirectory> staged;
  if (options.MakesResult()) {
    if (options.out.empty()) throw UsageError("split needs --out: where should the result go?");
    staged.emplace(options.out, if_exists, InputPaths{options.checkpoint, options.dump});
  }
  const io::Checkpoint dense = opened ? *opened : model::OpenCheckpoint(options.checkpoint);
  if (split::MoeCheckpoint::IsMoe(dense.directory())) {
    throw UsageError(dense.directory(), " is split already; `moefy merge` makes it dense again");
  }
  SplitResult result;
  result.warnings = dense.warnings();
  if (!dense.is_safetensors()) {
    result.warnings.push_back(
        StrCat(options.checkpoint,
               " is not safetensors; the split checkpoint is, with the tensors as "
               "stored, and `moefy merge` gives the dense model as safetensors"));
  }
  const auto [family, specs] = FindFfns(dense, options, result.warnings);
  // Encoder and decoder may differ in size.
  const std::vector<int64_t> num_experts = ExpertsPerFfn(specs, options);
  const std::string fingerprint = dense.Fingerprint(progress);  // `dense` keeps it for the writer
  std::optional<record::ActivationDump> dump;
  if (!options.dump.empty()) {
    dump = record::ActivationDump::Open(options.dump);
    record::CheckDumpMatches(*dump, options.checkpoint, fingerprint, specs);
  }
  for (size_t i = 0; i < specs.size(); ++i) RequireSplitMemory(specs[i], options);
  const auto find = [&, &found_specs = specs](size_t i) {
    const model::FfnSpec& spec = found_specs[i];
    const model::FfnWeights ffn = model::ReadFfnWeights(dense, spec);
    // Each FFN has a seed of its own, so that layers are not grouped alike by chance.
    const uint64_t seed = static_cast<uint64_t>(options.seed) * 1000003 + i;
    split::SplitRequest request = {ffn, num_experts[i], seed, options.restarts, options.features};
    if (dump) request.inputs.emplace(*dump, *dump->Find(spec));  // CheckDumpMatches has found it
    int64_t shared = options.shared;
    if (!options.shared_range.empty()) {
      shared = split::NumSharedByVariation(ffn, *request.inputs, num_experts[i],
                                           {options.shared_range[0], options.shared_range[1]});
    }
    return PartOfPlan(split::SplitWithShared(splitter, request, shared, rank));
  };
  PartsRequest request = {options,
                          "split",
                          OptionsToJson(options),
                          SplitIdentity(options, fingerprint, dump),
                          {},
                          options.out,
                          StrCat("splitting by ", splitter.name)};
  for (const model::FfnSpec& spec : specs) request.names.push_back(spec.name);
  std::optional<split::MoeWriter> writer;  // writes beside the search for the next plan
  if (staged) writer.emplace(dense, specs, staged->path());
  const auto write = [&, &found_specs = specs](size_t i, const FfnPart& part) {
    writer->Add(i, PlanOfPart(part, found_specs[i]));
  };
  const auto parts = FindParts(request, find, progress, write);
  if (!parts) {
    result.shard = CountParts(request);
    progress.End(StrCat(result.shard->found, " of ", result.shard->ffns, " parts are there"));
    return result;
  }
  std::vector<split::MoeFfn> ffns;
  for (size_t i = 0; i < specs.size(); ++i) {
    ffns.push_back({specs[i], PlanOfPart((*parts)[i], specs[i])});
  }
  result.num_ffns = static_cast<int64_t>(ffns.size());
  result.num_experts = ffns.back().plan.num_experts();
  result.neurons_per_expert = ffns.back().plan.neurons_per_expert();
  result.num_shared = ffns.back().plan.num_shared();
  result.seconds = stopwatch.Seconds();
  progress.End(StrCat(result.num_ffns, " FFNs into ", result.num_experts, " experts of ",
                      result.neurons_per_expert, " neurons", SharedInWords(ffns)));

  progress.Begin("writing the split checkpoint", dense.TotalBytes(), "B");
  Json recorded = {{"method", splitter.name},
                   {"num_experts", result.num_experts},
                   {"neurons_per_expert", result.neurons_per_expert},
                   {"seed", options.seed},
                   {"restarts", options.restarts},
                   {"features", options.features}};
  if (!options.preset.empty()) recorded["preset"] = options.preset;
  if (options.shared > 0) recorded["shared"] = options.shared;
  if (!options.shared_range.empty()) recorded["shared_range"] = options.shared_range;
  if (HasShared(options)) recorded["shared_by"] = rank.name;
  if (dump) recorded["corpus"] = dump->info().corpus;
  if (!options.ffn.empty()) recorded["ffn"] = options.ffn;
  for (std::string& warning : writer->Finish(family, ffns, recorded, progress)) {
    result.warnings.push_back(std::move(warning));
  }
  staged->Commit();
  progress.End(FormatBytes(dense.TotalBytes()));
  result.moe = options.out;
  result.method = splitter.name;
  return result;
}

}  // namespace moefy::pipeline
