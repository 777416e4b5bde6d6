#include "pipeline/export_stage.h"

#include <algorithm>
#include <bit>
#include <optional>

#include "base/options.h"
#include "base/output.h"
#include "export/linear_routers.h"
#include "export/write_directory.h"
#include "export/write_gguf.h"
#include "export/write_transformers.h"
#include "model/read_parameters.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"
#include "route/routed_ffn.h"
#include "route/router_reader.h"

namespace moefy::pipeline {
namespace {

// What the exported model computes otherwise than moefy would.
void WarnOfDifferences(const split::MoeCheckpoint& moe, const exports::ExportPlan& plan,
                       const exports::LinearRouters& routers, std::vector<std::string>& warnings) {
  if (!routers.stored) {
    warnings.push_back(
        StrCat("the routers were found from the dump and are in the export alone; to see what they "
               "keep, train them with `moefy route-train --preset fast --router unbiased`"));
  } else if (const std::vector<double> shares = route::ReadNeuronShares(moe);
             *std::ranges::min_element(shares) < 1) {
    warnings.push_back(
        "engines run whole experts, and the stored routers were trained for a share of their "
        "neurons; --selection stored/1 is what to compare with");
  }
  const io::DType dtype = moe.weights().Get(moe.ffns().front().spec.w_out).dtype;
  const auto factor = static_cast<uint64_t>(plan.w_out_factor);
  if (plan.format.name == exports::kGguf) return;
  if (io::DTypeBits(dtype) == 16 && !std::has_single_bit(factor)) {
    warnings.push_back(StrCat("W_out times ", factor, " is rounded to ", io::DTypeName(dtype),
                              "; with a power of two in its place nothing would be"));
  }
  if (moe.config().rotary.factor != 1) {
    warnings.push_back(
        "rope_scaling is read by Transformers from 4.48 on; older ones leave it out without a "
        "word");
  }
}

void CheckOptions(const ExportOptions& options) {
  if (options.out.empty()) throw UsageError("export needs --out: where should the result go?");
  if (options.format.empty()) throw UsageError("export needs --format: what should it become?");
  exports::ParseGgufType(options.weights);
  if (options.moe.empty()) throw UsageError("export needs a split checkpoint: which model?");
  const bool transformers = options.format == exports::kTransformers;
  if (options.format != exports::kGguf) {
    if (!transformers) exports::GetFormat(options.format);
    if (options.weights != ExportOptions().weights) {
      throw UsageError("--weights is for gguf; ", options.format,
                       " keeps the types of the checkpoint");
    }
  }
  if (transformers && !options.dump.empty()) {
    throw UsageError("--dump is for formats that need linear routers; transformers runs those ",
                     "that are stored");
  }
  if (!transformers && options.selection != ExportOptions().selection) {
    throw UsageError("--selection is for transformers; ", options.format,
                     " chooses as many whole experts for every token");
  }
  RequireOption(options.ffn_ratio > 0 && options.ffn_ratio <= 1, "ffn-ratio", options.ffn_ratio,
                "a share above 0 and at most 1, of which the engine is told");
}

// The format transformers: the model as it is, with the experts that the selection chooses.
ExportResult ExportForTransformers(const ExportOptions& options, IfExists if_exists,
                                   Progress& progress) {
  const route::Selection selection = route::ParseSelection(options.selection);
  StagedDirectory staged(options.out, if_exists, {options.moe});
  const auto moe = split::MoeCheckpoint::Open(options.moe, model::ReadFor::kFfns);
  model::RefusePackedWeights(moe.weights());
  const std::string stored = route::StoredRouterKind(moe);
  if (route::NameStored(moe, selection).router != stored) {
    throw UsageError("--selection ", options.selection, ": an export has the stored routers",
                     stored.empty() ? "" : StrCat(", which are ", stored), "; write stored, or ",
                     "stored:threshold");
  }
  progress.Begin("exporting", moe.ffns().size(), "FFNs");
  const std::vector<route::RoutedFfn> ffns =
      route::ReadRoutedFfns(moe, selection, options.ffn_ratio);
  ExportResult result;
  exports::WrittenTransformers written = exports::WriteTransformers(moe, ffns, staged.path());
  staged.Commit();
  progress.End(FormatBytes(moe.weights().TotalBytes()));
  result.out = options.out;
  result.format = options.format;
  result.architecture = written.class_name;
  result.warnings = std::move(written.warnings);
  result.experts = moe.ffns().front().plan.num_experts() - moe.ffns().front().plan.num_shared();
  result.shared = moe.ffns().front().plan.num_shared();
  result.chosen = ffns.front().plan.rule.num_selected;
  result.router = stored;
  result.bytes = moe.weights().TotalBytes();
  return result;
}

}  // namespace

ExportResult Export(const ExportOptions& options, IfExists if_exists, Progress& progress) {
  CheckOptions(options);
  if (options.format == exports::kTransformers) {
    return ExportForTransformers(options, if_exists, progress);
  }
  const bool gguf = options.format == exports::kGguf;
  const exports::GgufType type = exports::ParseGgufType(options.weights);
  StagedDirectory staged(options.out, if_exists, {options.moe, options.dump});
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe);
  model::RefusePackedWeights(moe.weights());
  const exports::ExportPlan plan = exports::PlanExport(
      moe, gguf ? exports::GgufFormat(moe.config()) : exports::GetFormat(options.format),
      options.ffn_ratio);
  model::CheckValues(moe.weights(), moe.config());
  std::optional<record::ActivationDump> dump;
  if (!options.dump.empty()) dump = record::ActivationDump::Open(options.dump);

  ExportResult result;
  progress.Begin("finding linear routers", moe.ffns().size(), "FFNs");
  const exports::LinearRouters routers =
      exports::FindLinearRouters(moe, plan, dump ? &*dump : nullptr, progress);
  if (dump && routers.stored) {
    result.warnings.emplace_back("the stored routers will do, so --dump was not read");
  }
  result.router = routers.stored ? route::StoredRouterKind(moe) : "found";
  progress.End(result.router);
  progress.Begin("exporting", moe.ffns().size(), "FFNs");
  const std::filesystem::path weights = staged.path() / (gguf ? "model.gguf" : "model.safetensors");
  if (gguf) {
    exports::WriteGguf(moe, plan, routers.rows, type, weights, progress);
  } else {
    for (std::string& warning :
         exports::WriteDirectory(moe, plan, routers.rows, staged.path(), progress)) {
      result.warnings.push_back(std::move(warning));
    }
  }
  WarnOfDifferences(moe, plan, routers, result.warnings);
  result.bytes = std::filesystem::file_size(weights);
  staged.Commit();
  progress.End(FormatBytes(result.bytes));
  result.out = options.out;
  result.format = options.format;
  result.architecture = plan.format.model_type;
  result.experts = plan.sizes.experts;
  result.chosen = plan.sizes.chosen;
  result.shared = plan.sizes.shared;
  return result;
}

}  // namespace moefy::pipeline
