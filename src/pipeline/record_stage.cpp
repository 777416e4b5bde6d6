#include "moefy/pipeline/record_stage.h"

#include "ask/prepared_task.h"
#include "ask/translation.h"
#include "base/options.h"
#include "model/device.h"
#include "model/family.h"
#include "model/input_check.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/task_data.h"
#include "record/dump_rows.h"
#include "record/recorder.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {
namespace {

// The inputs to run, ready for the model.
struct Corpus {
  std::string description;
  std::vector<ask::Sequence> sequences;
};

// Keeps `limit` examples, spread evenly over all because files are often sorted by label or topic.
task::Dataset SpreadEvenly(task::Dataset dataset, int64_t limit) {
  const auto total = static_cast<int64_t>(dataset.examples.size());
  if (limit <= 0 || limit >= total) return dataset;
  std::vector<task::Example> kept;
  for (int64_t i = 0; i < limit; ++i) {
    kept.push_back(std::move(dataset.examples[static_cast<size_t>(i * total / limit)]));
  }
  dataset.examples = std::move(kept);
  return dataset;
}

std::vector<std::pair<task::TaskSpec, task::Dataset>> ReadTasks(const RecordOptions& options) {
  std::vector<std::pair<task::TaskSpec, task::Dataset>> tasks;
  for (const std::string& file : options.tasks) {
    task::TaskSpec spec = task::ReadTaskSpec(file);
    task::Dataset dataset =
        task::ReadDataset(spec, options.split, DataDirectory(spec, options.data));
    tasks.emplace_back(std::move(spec), SpreadEvenly(std::move(dataset), options.limit));
  }
  return tasks;
}

Corpus EncodeCorpus(const RecordOptions& options,
                    const std::vector<std::pair<task::TaskSpec, task::Dataset>>& tasks,
                    const io::Checkpoint& checkpoint, const model::ModelConfig& config,
                    const text::Tokenizer& tokenizer) {
  constexpr int64_t kTextTokens = 512;
  Corpus corpus;
  std::vector<std::string> parts;
  for (const auto& [spec, dataset] : tasks) {
    // Each task has languages of its own.
    const auto own = text::LoadTokenizer(checkpoint.directory(), {}, ask::LanguagesOf(spec));
    const model::GenerationOptions generation =
        ask::ReadGeneration(checkpoint.directory(), config, *own);
    const auto prepared = ask::PrepareTask(spec, dataset, config, *own, generation);
    for (ask::Sequence& sequence : prepared->RightSequences()) {
      corpus.sequences.push_back(std::move(sequence));
    }
    parts.push_back(StrCat(spec.name, "/", options.split, " ", dataset.examples.size()));
  }
  if (!options.text.empty()) {
    const int64_t max_tokens = model::FitTextLength(kTextTokens, config);
    for (text::Encoding& encoding : ask::EncodeTextFile(options.text, options.field, tokenizer,
                                                        config, max_tokens, options.limit)) {
      corpus.sequences.push_back({std::move(encoding), {}});
    }
    parts.push_back(StrCat("text ", std::filesystem::path(options.text).filename()));
  }
  corpus.description = Join(parts);
  return corpus;
}

// The share of neurons above zero per token, on the first tokens recorded.
double ActiveShare(const io::Checkpoint& checkpoint, const model::FfnSpec& spec,
                   const record::ActivationDump& dump, size_t ffn_idx) {
  constexpr int64_t kTokens = 4096;
  const int64_t tokens = std::min(kTokens, dump.ffns()[ffn_idx].tokens);
  if (tokens == 0) return 0;
  const at::Tensor x = record::ReadRows(dump, ffn_idx, 0, tokens);
  const at::Tensor activations =
      model::NeuronActivations(model::ReadFfnWeights(checkpoint, spec), x);
  return (activations > 0).to(at::kFloat).mean().item<double>();
}

}  // namespace

void CheckRecordOptions(const RecordOptions& options) {
  if (options.tasks.empty() == options.text.empty()) {
    throw UsageError("record needs either --task or --text: what should the model run?");
  }
  RequireOption(options.max_tokens >= 1, "max-tokens", options.max_tokens, "at least 1");
  RequireOption(options.batch_tokens >= 1, "batch-tokens", options.batch_tokens, "at least 1");
  model::ParseDevice(options.device);
  for (const std::string& file : options.tasks) task::ReadTaskSpec(file).GetSplit(options.split);
}

RecordResult Record(const RecordOptions& options, IfExists if_exists, Progress& progress,
                    const std::optional<io::Checkpoint>& opened) {
  CheckRecordOptions(options);
  if (options.out.empty()) throw UsageError("record needs --out: where should the dump go?");
  const at::Device wanted_device = model::ParseDevice(options.device);
  InputPaths read = TaskInputs(options.tasks, options.split, options.data);
  read.insert(read.end(), {options.checkpoint, options.text});
  StagedDirectory staged(options.out, if_exists, read);
  const auto tasks = ReadTasks(options);  // bad data is found before the model is loaded

  const at::NoGradGuard no_grad;
  const io::Checkpoint checkpoint = opened ? *opened : model::OpenCheckpoint(options.checkpoint);
  const auto tokenizer = text::LoadTokenizer(checkpoint.directory());
  RecordResult result;
  model::Transformer model =
      model::LoadTransformer(checkpoint, &result.warnings, model::Parts::kAll,
                             model::ResolveDevice(wanted_device, &result.warnings));
  const Corpus corpus = EncodeCorpus(options, tasks, checkpoint, model.config(), *tokenizer);

  record::DumpInfo info;
  info.family = model.config().family;
  info.corpus = corpus.description;
  // A split model computes what its dense source does, so its dump serves for both.
  info.model_fingerprint =
      split::MoeCheckpoint::IsMoe(checkpoint.directory())
          ? split::MoeCheckpoint::Open(checkpoint, model.config()).source_fingerprint()
          : checkpoint.Fingerprint(progress);

  const std::vector<ask::Batch> batches =
      ask::MakeBatches(corpus.sequences, model.config(), tokenizer->pad_id(), options.batch_tokens);
  record::DumpWriter writer(staged.path(), info, record::FfnsToRecord(model), options.max_tokens);
  progress.Begin(StrCat("recording ", corpus.description), corpus.sequences.size(), "inputs");
  // Batches are sorted by length. Taking them from both ends in turn mixes the lengths, should the
  // room run out before the corpus does.
  size_t next = 0;
  const auto source = [&]() -> std::optional<model::ForwardInputs> {
    if (next == batches.size()) return std::nullopt;
    const size_t idx = next % 2 == 0 ? next / 2 : batches.size() - 1 - next / 2;
    ++next;
    return batches[idx].inputs;
  };
  result.num_examples = record::RecordActivations(model, source, writer, progress);
  result.tokens = writer.Finish();
  const record::ActivationDump dump = record::ActivationDump::Open(staged.path());
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    result.ffns.push_back(model.ffn_spec(i).name);
    result.active_share.push_back(ActiveShare(checkpoint, model.ffn_spec(i), dump, i));
  }
  for (const auto& file : std::filesystem::directory_iterator(staged.path())) {
    result.num_bytes += file.file_size();
  }
  staged.Commit();
  result.dump = options.out;
  progress.End(StrCat(FormatCount(static_cast<uint64_t>(result.num_examples)), " examples, ",
                      FormatBytes(result.num_bytes)));
  return result;
}

}  // namespace moefy::pipeline
