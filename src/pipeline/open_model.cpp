#include "moefy/pipeline/open_model.h"

#include <optional>
#include <utility>

#include "ask/batches.h"
#include "ask/translation.h"
#include "model/family.h"
#include "model/open_checkpoint.h"
#include "moefy/base/error.h"
#include "route/selection.h"
#include "runtime/dense_model.h"
#include "runtime/packed_file.h"
#include "runtime/sparse_model.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {

namespace {

// Decoding is 1.6 times as fast with packed weights in F32 too. For encoders both take as long.
bool PackingPays(const io::Checkpoint& checkpoint, runtime::WeightFormat format) {
  return format != runtime::WeightFormat::kF32 ||
         model::ReadModelConfig(checkpoint).architecture != model::Architecture::kEncoder;
}

}  // namespace

struct OpenedModel::Impl {
  OpenOptions options;
  io::Checkpoint checkpoint;
  std::unique_ptr<split::MoeCheckpoint> moe;     // set with a selection
  std::unique_ptr<runtime::SparseModel> sparse;  // set with a selection; refers to `moe`
  std::unique_ptr<model::Transformer> dense;     // set without a selection
  std::unique_ptr<text::Tokenizer> tokenizer;    // set once it was asked for
  std::optional<model::GenerationOptions> generation;
  std::vector<std::string> warnings;
};

OpenedModel::OpenedModel(const std::filesystem::path& directory, const OpenOptions& options,
                         Progress& progress)
    : impl_(new Impl{options, model::OpenCheckpoint(directory), {}, {}, {}, {}, {}, {}}) {
  const runtime::WeightFormat format = runtime::WantedFormat(options.weights, impl_->checkpoint);
  if (options.selection.empty()) {
    impl_->dense = std::make_unique<model::Transformer>(
        PackingPays(impl_->checkpoint, format)
            ? runtime::LoadPackedTransformer(impl_->checkpoint, format, &impl_->warnings, progress)
            : model::LoadTransformer(impl_->checkpoint, &impl_->warnings));
    return;
  }
  const route::Selection selection = route::ParseSelection(options.selection);
  impl_->moe = std::make_unique<split::MoeCheckpoint>(
      split::MoeCheckpoint::Open(impl_->checkpoint, model::ReadModelConfig(impl_->checkpoint)));
  impl_->sparse = std::make_unique<runtime::SparseModel>(
      *impl_->moe, static_cast<uint64_t>(options.seed), format, progress);
  impl_->sparse->Install(selection, options.ffn_ratio);
}

OpenedModel::~OpenedModel() = default;
OpenedModel::OpenedModel(OpenedModel&&) noexcept = default;
OpenedModel& OpenedModel::operator=(OpenedModel&&) noexcept = default;

std::string OpenedModel::Generate(std::string_view prompt, int64_t max_new_tokens) {
  const at::NoGradGuard no_grad;
  model::GenerationOptions options = generation();
  options.max_new_tokens = max_new_tokens;
  const auto texts = model::Generate(transformer(), {tokenizer().Encode(prompt).ids}, options);
  return tokenizer().Decode(texts.front());
}

model::ForwardOutputs OpenedModel::Run(std::string_view text) {
  const at::NoGradGuard no_grad;
  const std::vector<text::Encoding> encodings = {tokenizer().Encode(text)};
  const std::vector<ask::Batch> batches =
      ask::MakeBatches(encodings, transformer().config(), tokenizer().pad_id());
  return transformer().Forward(batches.front().inputs);
}

const io::Checkpoint& OpenedModel::checkpoint() const { return impl_->checkpoint; }

model::Transformer& OpenedModel::transformer() {
  return impl_->sparse ? impl_->sparse->transformer() : *impl_->dense;
}

const text::Tokenizer& OpenedModel::tokenizer() {
  if (!impl_->tokenizer) {
    impl_->tokenizer = text::LoadTokenizer(
        impl_->checkpoint, {impl_->options.source_language, impl_->options.target_language});
  }
  return *impl_->tokenizer;
}

const model::GenerationOptions& OpenedModel::generation() {
  if (!impl_->generation) {
    impl_->generation =
        ask::ReadGeneration(impl_->checkpoint.directory(), impl_->checkpoint.ConfigText(),
                            transformer().config(), tokenizer(), &impl_->warnings);
    impl_->generation->seed = static_cast<uint64_t>(impl_->options.seed);
  }
  return *impl_->generation;
}

double OpenedModel::FfnRatio() const {
  return impl_->sparse ? impl_->sparse->Counters().FfnRatio() : 1;
}

const std::vector<std::string>& OpenedModel::warnings() const { return impl_->warnings; }

}  // namespace moefy::pipeline
