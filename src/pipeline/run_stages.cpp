#include "pipeline/run_stages.h"

#include "base/stopwatch.h"
#include "moefy/base/error.h"

namespace moefy::pipeline {
namespace {

// The options of a stage for people, paths and all.
Json OptionsOf(const Stage& stage) {
  Json options = stage.paths;
  if (stage.inputs.contains("options")) options.update(stage.inputs.at("options"));
  return options;
}

}  // namespace

void RunStages(const std::vector<Stage>& stages, bool redo, Progress& progress,
               ConvertResult& result) {
  StageRecords records(result.out / kStages, stages, redo);
  for (size_t i = 0; i < stages.size(); ++i) {
    const Stage& stage = stages[i];
    const Stopwatch stopwatch;
    ConvertStage done{stage.name, false, 0, OptionsOf(stage)};
    const bool was_done = records.Matches(stage.name, stage.inputs);
    const std::string why = was_done ? WhyNotKept(stage) : "";
    done.kept = was_done && why.empty();
    progress.Section(StrCat("[", i + 1, "/", stages.size(), "] ", stage.name,
                            done.kept  ? ": unchanged, kept"
                            : was_done ? ": done again, because " + why
                                       : ""));
    // What comes last depends on all stages, and is not to be taken for their result meanwhile.
    if (!was_done) records.Drop(stages.back().name);
    if (!done.kept) {
      // Whoever is killed between output and record leaves an output that is nobody's.
      records.Drop(stage.name);
      WithContext(stage.name, [&] { stage.run(); });
      records.Store(stage);
    }
    done.seconds = stopwatch.Seconds();
    result.stages.push_back(done);
  }
}

}  // namespace moefy::pipeline
