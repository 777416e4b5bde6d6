#include "moefy/pipeline/verify_stage.h"

#include "moefy/base/error.h"
#include "moefy/model/open_checkpoint.h"

namespace moefy::pipeline {

split::VerifyReport Verify(const VerifyOptions& options, Progress& progress) {
  const io::Checkpoint dense = model::OpenCheckpoint(options.dense);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe);
  progress.Begin("comparing", dense.TotalBytes(), "B");
  split::VerifyReport report = split::VerifyMoe(dense, moe, progress);
  progress.End(report.ok ? "equal" : "different");
  return report;
}

void Merge(const MergeOptions& options, IfExists if_exists, Progress& progress) {
  if (options.out.empty()) throw UsageError("merge needs --out: where should the result go?");
  StagedDirectory staged(options.out, if_exists, {options.moe});
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe);
  progress.Begin("merging", moe.weights().TotalBytes(), "B");
  split::MergeMoe(moe, staged.path(), progress);
  staged.Commit();
  progress.End(FormatBytes(moe.weights().TotalBytes()));
}

}  // namespace moefy::pipeline
