// moefy record: run the dense model, write the activation dump.
#include "base/table.h"
#include "command.h"
#include "moefy/base/strings.h"
#include "moefy/pipeline/record_stage.h"

namespace moefy::apps {
namespace {

Outcome RunRecord(const pipeline::RecordOptions& options, Context& context) {
  const pipeline::RecordResult result =
      pipeline::Record(options, context.if_exists(), *context.progress);
  context.warnings = result.warnings;
  Outcome outcome;
  std::vector<std::vector<std::string>> rows;
  Json ffns = Json::array();
  for (size_t i = 0; i < result.ffns.size(); ++i) {
    rows.push_back({result.ffns[i], FormatCount(static_cast<uint64_t>(result.tokens[i])),
                    FormatFixed(100 * result.active_share[i], 1) + " %"});
    ffns.push_back({{"name", result.ffns[i]},
                    {"tokens", result.tokens[i]},
                    {"active_share", result.active_share[i]}});
  }
  outcome.text = FormatTable({"FFN", "tokens", "neurons above zero"}, rows);
  outcome.json = {{"dump", result.dump.string()},
                  {"examples", result.num_examples},
                  {"bytes", result.num_bytes},
                  {"ffns", ffns}};
  outcome.next = StrCat("moefy route-train MOE --dump ", options.out);
  return outcome;
}

}  // namespace

std::unique_ptr<Command> RecordCommand(CLI::App& parent) {
  return MakeCommand<pipeline::RecordOptions>(
      parent, "record", "Run the dense model and keep what enters each FFN.",
      "  moefy record CKPT --task configs/tasks/sst2.json --data DATA --out dump\n"
      "  moefy record CKPT --text corpus.txt --max-tokens 100000 --out dump",
      RunRecord);
}

}  // namespace moefy::apps
