#include "moefy/pipeline/verify_stage.h"

#include "base/output.h"
#include "model/open_checkpoint.h"
#include "model/read_parameters.h"
#include "model/unusable_weights.h"
#include "moefy/base/error.h"
#include "moefy/model/transformer.h"
#include "split/merge.h"
#include "split/verify.h"

namespace moefy::pipeline {
namespace {

// Throws Error{kInput} for values that are not finite. Where FFNs were named by hand, nothing is
// known of the other tensors, so only the FFNs are looked at.
void CheckSplitValues(const split::MoeCheckpoint& moe) {
  model::RefusePackedWeights(moe.weights());
  if (moe.config().family != split::kNamedFamily) {
    return model::CheckValues(moe.weights(), moe.config());
  }
  for (const split::MoeFfn& ffn : moe.ffns()) {
    const model::FfnSpec& spec = ffn.spec;
    for (const std::string& name :
         {spec.w_in, spec.b_in, spec.w_gate, spec.b_gate, spec.w_out, spec.b_out}) {
      if (name.empty()) continue;
      model::RequireFinite(moe.weights().Get(name), moe.weights().Bytes(name));
    }
  }
}

}  // namespace

split::VerifyReport Verify(const VerifyOptions& options, Progress& progress) {
  const io::Checkpoint dense = model::OpenCheckpoint(options.dense);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe, model::ReadFor::kFfns);
  CheckSplitValues(moe);
  progress.Begin("comparing", dense.TotalBytes(), "B");
  split::VerifyReport report = split::VerifyMoe(dense, moe, progress);
  progress.End(report.ok ? "equal" : "different");
  return report;
}

MergeResult Merge(const MergeOptions& options, IfExists if_exists, Progress& progress) {
  if (options.out.empty()) throw UsageError("merge needs --out: where should the result go?");
  StagedDirectory staged(options.out, if_exists, {options.moe});
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe, model::ReadFor::kFfns);
  CheckSplitValues(moe);
  MergeResult result;
  result.out = options.out;
  progress.Begin("merging", moe.weights().TotalBytes(), "B");
  result.warnings = split::MergeMoe(moe, staged.path(), progress);
  staged.Commit();
  progress.End(FormatBytes(moe.weights().TotalBytes()));
  return result;
}

}  // namespace moefy::pipeline
