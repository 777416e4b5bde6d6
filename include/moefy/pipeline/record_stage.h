// The stage record: runs the dense model and writes the activation dump. It writes into a staging
// directory and renames it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "moefy/base/if_exists.h"
#include "moefy/base/progress.h"
#include "moefy/io/checkpoint.h"
#include "moefy/pipeline/part_options.h"

namespace moefy::pipeline {

// The corpus that a model runs on.
struct CorpusOptions {
  std::vector<std::string> tasks;
  std::string text;
  std::string field = "text";
  std::string data;
  std::string split = "train";
  int64_t limit = 2000;
  int64_t batch_tokens = 4096;

  template <class Visitor>
  void VisitCorpus(Visitor& v) {
    v.Field("task", tasks, "task files whose examples are run, with the right answers");
    v.Field("text", text,
            "a text file to run instead, a line per example; or JSON (.jsonl, .ndjson, .json)");
    v.Field("field", field, "of --text in JSON: the key that holds the text");
    v.Field("data", data, "directory of the tasks' data files (default: beside each task file)");
    v.Field("split", split, "which split of the tasks");
    v.Field("limit", limit, "examples per task or text, spread evenly over the file; 0 for all");
    v.Field("batch-tokens", batch_tokens,
            "padded tokens run at once, which memory grows with; a longer text runs alone");
  }
};

struct RecordOptions : CorpusOptions {
  std::string checkpoint;
  int64_t max_tokens = 200000;
  std::string device = "cpu";
  std::string out;
  PartOptions share;  // not options of the command line: what rank 0 of an MPI run announced

  template <class Visitor>
  void Visit(Visitor& v) {
    v.Argument("checkpoint", checkpoint, "dense or split checkpoint directory");
    VisitCorpus(v);
    v.Field("max-tokens", max_tokens, "tokens kept per FFN at most");
    v.Field("device", device, "cpu, cuda or cuda:N; the CPU where LibTorch has no CUDA");
    v.Field("out", out, "directory of the activation dump");
  }
};

struct RecordResult {
  std::filesystem::path dump;
  int64_t num_examples = 0;
  std::vector<std::string> ffns;
  std::vector<int64_t> tokens;       // per FFN
  std::vector<double> active_share;  // per FFN: neurons above zero per token, on up to 4,096 tokens
  uint64_t num_bytes = 0;
  std::vector<std::string> warnings;
};

// Throws Error{kUsage} for options that make no sense. Reads the task files and no others.
void CheckRecordOptions(const RecordOptions& options);

// `opened` is the checkpoint that the options name where the caller has it open already. Throws
// Error{kUsage} for options that make no sense, Error{kInput} for a model, a task or data that
// cannot be read.
RecordResult Record(const RecordOptions& options, IfExists if_exists, Progress& progress,
                    const std::optional<io::Checkpoint>& opened = std::nullopt);

}  // namespace moefy::pipeline
