#include "record/recorder.h"

namespace moefy::record {
namespace {

// Shows the sink what enters an FFN, and leaves the computation to the one it wraps.
class RecordingFeedForward final : public model::FeedForward {
 public:
  RecordingFeedForward(std::unique_ptr<model::FeedForward> inner, size_t ffn_idx, RowSink& sink)
      : inner_(std::move(inner)), ffn_idx_(ffn_idx), sink_(sink) {}

  at::Tensor Forward(const at::Tensor& x) override {
    sink_.Append(ffn_idx_, x.to(at::kCPU));
    return inner_->Forward(x);
  }
  std::unique_ptr<model::FeedForward> TakeInner() { return std::move(inner_); }

 private:
  std::unique_ptr<model::FeedForward> inner_;
  size_t ffn_idx_;
  RowSink& sink_;
};

// Puts recorders into a model's seams. The destructor puts the old FFNs back, however the run
// ended.
class RecordingScope {
 public:
  RecordingScope(model::Transformer& model, RowSink& sink) : model_(model) {
    for (size_t ffn_idx = 0; ffn_idx < model.num_ffns(); ++ffn_idx) {
      auto inner = model.ExchangeFeedForward(ffn_idx, nullptr);
      model.ExchangeFeedForward(
          ffn_idx, std::make_unique<RecordingFeedForward>(std::move(inner), ffn_idx, sink));
    }
  }
  ~RecordingScope() {
    for (size_t ffn_idx = 0; ffn_idx < model_.num_ffns(); ++ffn_idx) {
      auto recording = model_.ExchangeFeedForward(ffn_idx, nullptr);
      model_.ExchangeFeedForward(ffn_idx,
                                 static_cast<RecordingFeedForward&>(*recording).TakeInner());
    }
  }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  model::Transformer& model_;
};

}  // namespace

std::vector<DumpedFfn> FfnsToRecord(const model::Transformer& model) {
  std::vector<DumpedFfn> ffns;
  for (size_t ffn_idx = 0; ffn_idx < model.num_ffns(); ++ffn_idx) {
    const model::FfnSpec& spec = model.ffn_spec(ffn_idx);
    ffns.push_back({spec.name, 0, spec.hidden});
  }
  return ffns;
}

int64_t RecordActivations(model::Transformer& model, const BatchSource& batches, RowSink& sink,
                          Progress& progress) {
  const at::NoGradGuard no_grad;
  const RecordingScope scope(model, sink);
  int64_t num_examples = 0;
  while (!sink.Full()) {
    const std::optional<model::ForwardInputs> batch = batches();
    if (!batch) break;
    model.ForwardHidden(*batch);  // the logits are not needed
    num_examples += batch->input_ids.size(0);
    progress.Advance(static_cast<uint64_t>(batch->input_ids.size(0)));
  }
  return num_examples;
}

}  // namespace moefy::record
