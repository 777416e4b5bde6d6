// moefy verify and moefy merge: the proof that a split only reordered neurons, and its undoing.
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/verify_stage.h"

namespace moefy::apps {
namespace {

Outcome RunVerify(const pipeline::VerifyOptions& options, Context& context) {
  const split::VerifyReport report = pipeline::Verify(options, *context.progress);
  Outcome outcome;
  outcome.exit_code = report.ok ? 0 : 1;
  outcome.text = report.ok ? StrCat("equal: ", report.num_tensors, " tensors, of which ",
                                    report.num_permuted, " after undoing the permutation\n")
                           : StrCat("different:\n  ", Join(report.problems, "\n  "), "\n");
  outcome.json = {{"equal", report.ok},
                  {"tensors", report.num_tensors},
                  {"permuted", report.num_permuted},
                  {"problems", report.problems}};
  return outcome;
}

Outcome RunMerge(const pipeline::MergeOptions& options, Context& context) {
  const pipeline::MergeResult result =
      pipeline::Merge(options, context.if_exists(), *context.progress);
  context.warnings = result.warnings;
  Outcome outcome;
  outcome.text = StrCat(result.out.string(), ": the dense checkpoint again\n");
  outcome.json = {{"out", result.out.string()}};
  return outcome;
}

}  // namespace

std::unique_ptr<Command> VerifyCommand(CLI::App& parent) {
  return MakeCommand<pipeline::VerifyOptions>(
      parent, "verify", "Prove that a split checkpoint is a permutation of a dense one.",
      "  moefy verify CKPT MOE\n  moefy verify CKPT MOE --json", RunVerify);
}

std::unique_ptr<Command> MergeCommand(CLI::App& parent) {
  return MakeCommand<pipeline::MergeOptions>(
      parent, "merge", "Make a split checkpoint dense again, bit for bit.",
      "  moefy merge MOE --out CKPT\n  moefy merge MOE --out CKPT --force", RunMerge);
}

}  // namespace moefy::apps
