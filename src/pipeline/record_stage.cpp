#include "moefy/pipeline/record_stage.h"

#include <algorithm>

#include "ask/prepared_task.h"
#include "ask/tokenizers.h"
#include "ask/translation.h"
#include "base/memory_limit.h"
#include "base/options.h"
#include "base/ranks.h"
#include "io/fingerprint.h"
#include "model/device.h"
#include "model/input_check.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "pipeline/record_ranks.h"
#include "pipeline/task_data.h"
#include "record/dump_rows.h"
#include "record/dump_writer.h"
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

std::vector<task::Dataset> ReadData(const std::vector<task::TaskSpec>& tasks,
                                    const RecordOptions& options) {
  std::vector<task::Dataset> data;
  for (const task::TaskSpec& spec : tasks) {
    data.push_back(SpreadEvenly(
        task::ReadDataset(spec, options.split, DataDirectory(spec, options.data)), options.limit));
  }
  return data;
}

Corpus EncodeCorpus(const RecordOptions& options, const std::vector<task::TaskSpec>& tasks,
                    const std::vector<task::Dataset>& data, const io::Checkpoint& checkpoint,
                    const model::ModelConfig& config, ask::Tokenizers& tokenizers) {
  constexpr int64_t kTextTokens = 512;
  Corpus corpus;
  std::vector<std::string> parts;
  for (size_t i = 0; i < tasks.size(); ++i) {
    const task::TaskSpec& spec = tasks[i];
    const text::Tokenizer& tokenizer = tokenizers.Get(ask::LanguagesOf(spec));
    const model::GenerationOptions generation =
        ask::ReadGeneration(checkpoint.directory(), checkpoint.ConfigText(), config, tokenizer);
    const auto prepared = ask::PrepareTask(spec, data[i], config, tokenizer, generation);
    for (ask::Sequence& sequence : prepared->RightSequences()) {
      corpus.sequences.push_back(std::move(sequence));
    }
    parts.push_back(StrCat(spec.name, "/", options.split, " ", data[i].examples.size()));
  }
  if (!options.text.empty()) {
    const int64_t max_tokens = model::FitTextLength(kTextTokens, config);
    for (text::Encoding& encoding : ask::EncodeTextFile(
             options.text, options.field, tokenizers.Get(), config, max_tokens, options.limit)) {
      corpus.sequences.push_back({std::move(encoding), {}});
    }
    parts.push_back(StrCat("text ", std::filesystem::path(options.text).filename()));
  }
  corpus.description = Join(parts);
  return corpus;
}

// Of what the model is given.
std::string Fingerprint(const Corpus& corpus) {
  std::string text;
  for (const ask::Sequence& sequence : corpus.sequences) {
    for (const std::vector<int64_t>* ids :
         {&sequence.input.ids, &sequence.input.token_type_ids, &sequence.target}) {
      for (const int64_t id : *ids) text += StrCat(id, " ");
      text += "\n";
    }
  }
  return io::TextFingerprint(text);
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

// Throws Error{kSystem} when the memory for a batch and the largest FFN in F32 is not allowed.
void RequireRecordMemory(const model::Transformer& model, int64_t batch_tokens) {
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    const model::FfnSpec& spec = model.ffn_spec(i);
    const int64_t floats = (spec.gated() ? 3 : 2) * spec.num_neurons * spec.hidden +
                           batch_tokens * (2 * spec.num_neurons + 6 * spec.hidden);
    RequireMemory(sizeof(float) * static_cast<uint64_t>(floats),
                  StrCat("recording ", batch_tokens, " tokens at once (--batch-tokens)"));
  }
}

// The tasks that the options name. Throws Error{kUsage} for options that make no sense.
std::vector<task::TaskSpec> CheckedTasks(const RecordOptions& options) {
  if (options.tasks.empty() == options.text.empty()) {
    throw UsageError("record needs either --task or --text: what should the model run?");
  }
  RequireOption(options.max_tokens >= 1, "max-tokens", options.max_tokens, "at least 1");
  RequireOption(options.batch_tokens >= 1, "batch-tokens", options.batch_tokens, "at least 1");
  model::ParseDevice(options.device);
  return ReadTasks(options.tasks, options.split);
}

// Experts of a mixture get only the tokens that its routers give them. "" if every one has some.
std::string WarnOfFewTokens(const RecordResult& result) {
  constexpr int64_t kFew = 64;
  const auto least = std::ranges::min_element(result.tokens);
  const auto few = std::ranges::count_if(result.tokens, [](int64_t n) { return n < kFew; });
  if (few == 0) return "";
  return StrCat(few, " of ", result.ffns.size(), " FFNs got fewer than ", kFew, " tokens (",
                Quoted(result.ffns[static_cast<size_t>(least - result.tokens.begin())]), " got ",
                *least, "), because the model's own routers chose others; routers inside them ",
                "learn little from so few, and nothing from none: record more text");
}

}  // namespace

void CheckRecordOptions(const RecordOptions& options) { CheckedTasks(options); }

RecordResult Record(const RecordOptions& options, IfExists if_exists, Progress& progress,
                    const std::optional<io::Checkpoint>& opened) {
  const std::vector<task::TaskSpec> tasks = CheckedTasks(options);
  if (options.out.empty()) throw UsageError("record needs --out: where should the dump go?");
  const at::Device wanted_device = model::ParseDevice(options.device);
  InputPaths read = TaskInputs(tasks, options.split, options.data);
  read.insert(read.end(), {options.checkpoint, options.text});
  std::optional<StagedDirectory> staged;
  if (options.share.MakesResult()) staged.emplace(options.out, if_exists, read);
  // Bad data is found before the model is loaded.
  const std::vector<task::Dataset> data = ReadData(tasks, options);

  const at::NoGradGuard no_grad;
  const io::Checkpoint checkpoint = opened ? *opened : model::OpenCheckpoint(options.checkpoint);
  ask::Tokenizers tokenizers(checkpoint);
  const int64_t pad_id = tokenizers.Get().pad_id();
  RecordResult result;
  const at::Device device = model::ResolveDevice(wanted_device, &result.warnings);
  model::Transformer model = model::LoadTransformer(
      checkpoint, &result.warnings, device.is_cpu() ? model::Parts::kAsStored : model::Parts::kAll,
      device);
  RequireRecordMemory(model, options.batch_tokens);
  const Corpus corpus = EncodeCorpus(options, tasks, data, checkpoint, model.config(), tokenizers);

  record::DumpInfo info;
  info.family = model.config().family;
  info.corpus = corpus.description;
  // A split model computes what its dense source does, so its dump serves for both.
  info.model_fingerprint =
      split::MoeCheckpoint::IsMoe(checkpoint.directory())
          ? split::MoeCheckpoint::Open(checkpoint, model.config()).source_fingerprint()
          : checkpoint.Fingerprint(progress);

  const std::vector<ask::Batch> batches =
      ask::MakeBatches(corpus.sequences, model.config(), pad_id, options.batch_tokens);
  std::optional<record::DumpWriter> writer;
  if (staged) {
    writer.emplace(staged->path(), info, record::FfnsToRecord(model), options.max_tokens);
  }
  // Batches are sorted by length. Taking them from both ends in turn mixes the lengths, should the
  // room run out before the corpus does.
  const auto batch = [&](size_t i) {
    return batches[i % 2 == 0 ? i / 2 : batches.size() - 1 - i / 2].inputs;
  };
  const std::string title = StrCat("recording ", corpus.description);
  if (Ranks::Get().size() > 1) {
    progress.Begin(title, batches.size(), "batches");
    const SharedRecording shared = {options, info.model_fingerprint, Fingerprint(corpus),
                                    batches.size(), batch};
    const auto num_examples =
        RecordAmongRanks(shared, model, writer ? &*writer : nullptr, progress);
    if (!num_examples) return result;  // rank 0 has the dump
    result.num_examples = *num_examples;
  } else {
    progress.Begin(title, corpus.sequences.size(), "inputs");
    size_t next = 0;
    const auto source = [&]() -> std::optional<model::ForwardInputs> {
      if (next == batches.size()) return std::nullopt;
      return batch(next++);
    };
    result.num_examples = record::RecordActivations(model, source, *writer, progress);
  }
  result.tokens = writer->Finish();
  const record::ActivationDump dump = record::ActivationDump::Open(staged->path());
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    result.ffns.push_back(model.ffn_spec(i).name);
    result.active_share.push_back(ActiveShare(checkpoint, model.ffn_spec(i), dump, i));
  }
  if (model.config().mixture.num_experts > 0) {
    if (std::string warning = WarnOfFewTokens(result); !warning.empty()) {
      result.warnings.push_back(std::move(warning));
    }
  }
  for (const auto& file : std::filesystem::directory_iterator(staged->path())) {
    result.num_bytes += file.file_size();
  }
  staged->Commit();
  result.dump = options.out;
  progress.End(StrCat(FormatCount(static_cast<uint64_t>(result.num_examples)), " examples, ",
                      FormatBytes(result.num_bytes)));
  return result;
}

}  // namespace moefy::pipeline
