#include "pipeline/sparsity_stage.h"

#include <optional>

#include "base/options.h"
#include "eval/sparsity_plots.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/task_data.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {
namespace {

void CheckOptions(const SparsityOptions& options) {
  const int given = !options.dump.empty() + !options.tasks.empty() + !options.text.empty();
  if (given != 1) {
    throw UsageError("sparsity needs one of --dump, --task and --text: what should be looked at? ",
                     given, " are given");
  }
  RequireOption(options.max_tokens >= 1, "max-tokens", options.max_tokens, "at least 1");
}

// Runs the model on what the options name; returns the dump's directory.
std::string RecordCorpus(const SparsityOptions& options, const io::Checkpoint& checkpoint,
                         const std::filesystem::path& directory, std::vector<std::string>& warnings,
                         Progress& progress) {
  RecordOptions record;
  static_cast<CorpusOptions&>(record) = options;
  record.checkpoint = options.checkpoint;
  record.max_tokens = options.max_tokens;
  record.out = (directory / "dump").string();
  warnings = Record(record, IfExists::kRefuse, progress, checkpoint).warnings;
  return record.out;
}

}  // namespace

SparsityResult Sparsity(const SparsityOptions& options, IfExists if_exists, Progress& progress) {
  CheckOptions(options);
  std::optional<StagedDirectory> plots;
  if (!options.plots.empty()) {
    InputPaths read =
        TaskInputs(ReadTasks(options.tasks, options.split), options.split, options.data);
    read.insert(read.end(), {options.checkpoint, options.dump, options.text});
    plots.emplace(options.plots, if_exists, read);
  }
  const io::Checkpoint checkpoint = model::OpenCheckpoint(options.checkpoint);
  std::optional<ScratchDirectory> recorded;
  SparsityResult result;
  std::string directory = options.dump;
  if (directory.empty()) {
    recorded.emplace("moefy-sparsity");
    directory = RecordCorpus(options, checkpoint, recorded->path(), result.warnings, progress);
  }
  const record::ActivationDump dump = record::ActivationDump::Open(directory);
  const model::ModelConfig config = model::ReadModelConfig(checkpoint);
  const std::vector<model::FfnSpec> specs = model::FfnSpecs(config);
  record::CheckDumpMatches(dump, options.checkpoint,
                           split::MoeCheckpoint::IsMoe(checkpoint.directory())
                               ? split::MoeCheckpoint::Open(checkpoint, config).source_fingerprint()
                               : checkpoint.Fingerprint(progress),
                           specs);
  result.corpus = dump.info().corpus;
  progress.Begin("studying sparsity", specs.size(), "FFNs");
  for (const model::FfnSpec& spec : specs) {
    const record::RecordedInputs inputs(dump, *dump.Find(spec));  // CheckDumpMatches has found it
    result.ffns.push_back(eval::StudySparsity(spec.name, model::ReadFfnWeights(checkpoint, spec),
                                              inputs, options.max_tokens));
    progress.Advance(1);
  }
  progress.End("");
  if (plots) {
    const std::pair<const char*, std::string> files[] = {
        {"active.svg", eval::PlotActiveShares(result.ffns)},
        {"rates.svg", eval::PlotFiringRates(result.ffns)}};
    for (const auto& [name, svg] : files) {
      WriteTextFile(plots->path() / name, svg, IfExists::kRefuse);
      result.plots.push_back((std::filesystem::path(options.plots) / name).string());
    }
    plots->Commit();
  }
  return result;
}

}  // namespace moefy::pipeline
