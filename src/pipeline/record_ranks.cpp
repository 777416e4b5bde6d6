#include "pipeline/record_ranks.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/options.h"
#include "base/output.h"
#include "base/ranks.h"
#include "moefy/base/error.h"
#include "pipeline/rank_parts.h"
#include "pipeline/stage_key.h"
#include "record/recorder.h"
#include "record/row_log.h"

namespace moefy::pipeline {
namespace {

constexpr const char* kRows = "rows";  // the ending of a part's file

PartsRequest RequestOf(const SharedRecording& recording) {
  const Json options = OptionsToJson(recording.options);
  PartsRequest request = {recording.options.share,
                          "record",
                          options,
                          {{"model", recording.model_fingerprint},
                           {"corpus", recording.corpus_fingerprint},
                           {"options", WithoutPaths(options)}},
                          {},
                          recording.options.out,
                          ""};
  for (size_t i = 0; i < recording.num_batches; ++i) {
    request.names.push_back(StrCat("batch ", i));
  }
  return request;
}

}  // namespace

std::optional<int64_t> RecordAmongRanks(const SharedRecording& recording, model::Transformer& model,
                                        record::RowSink* sink, Progress& progress) {
  const std::vector<record::DumpedFfn> ffns = record::FfnsToRecord(model);
  RankParts parts(RequestOf(recording));
  const PartsDirectory& directory = parts.directory();
  const auto run = [&](size_t i) {
    StagedFile rows(directory.File(i, kRows), IfExists::kRenew);
    record::RowLogWriter log(rows.path());
    std::optional<model::ForwardInputs> next = recording.batch(i);
    const int64_t num_examples = record::RecordActivations(
        model, [&] { return std::exchange(next, std::nullopt); }, log, SilentProgress());
    rows.Commit();
    directory.StoreValues(i, {{"examples", num_examples}, {"rows", log.owners()}});
  };
  std::vector<int64_t> tokens(ffns.size(), 0);
  const auto enough = [&](const Json& values) {
    record::CountRows(values.at("rows"), tokens);
    return std::ranges::all_of(
        tokens, [&](int64_t count) { return count >= recording.options.max_tokens; });
  };
  const size_t num_run = parts.Find(run, enough, progress);
  if (!Ranks::Get().IsFirst()) return std::nullopt;
  int64_t num_examples = 0;
  for (size_t i = 0; i < num_run; ++i) {
    ThrowIfInterrupted();
    const Json values = directory.Values(i);
    record::ReplayRows(directory.File(i, kRows), values.at("rows"), ffns, *sink);
    num_examples += values.at("examples").get<int64_t>();
  }
  parts.End();
  return num_examples;
}

}  // namespace moefy::pipeline
