#include "eval/timed_feed_forwards.h"

#include <memory>
#include <utility>

#include "base/stopwatch.h"
#include "model/device.h"

namespace moefy::eval {

class TimedFeedForward final : public model::FeedForward {
 public:
  explicit TimedFeedForward(std::unique_ptr<FeedForward> inner) : inner_(std::move(inner)) {}
  at::Tensor Forward(const at::Tensor& x) override {
    model::WaitFor(x);
    const Stopwatch stopwatch;
    at::Tensor y = inner_->Forward(x);
    model::WaitFor(y);
    seconds += stopwatch.Seconds();
    num_tokens += x.size(0);
    return y;
  }

  // On the CPU, as decoding without tensors does it.
  void ForwardInto(const float* x, int64_t tokens, int64_t hidden, float* y) override {
    const Stopwatch stopwatch;
    inner_->ForwardInto(x, tokens, hidden, y);
    seconds += stopwatch.Seconds();
    num_tokens += tokens;
  }

  double seconds = 0;
  int64_t num_tokens = 0;

 private:
  std::unique_ptr<FeedForward> inner_;
};

TimedFeedForwards::TimedFeedForwards(model::Transformer& model) {
  for (size_t i = 0; i < model.num_ffns(); ++i) {
    auto timed = std::make_unique<TimedFeedForward>(model.ExchangeFeedForward(i, nullptr));
    ffns_.push_back(timed.get());
    model.ExchangeFeedForward(i, std::move(timed));
  }
}

void TimedFeedForwards::Restart() {
  for (TimedFeedForward* ffn : ffns_) {
    ffn->seconds = 0;
    ffn->num_tokens = 0;
  }
}

double TimedFeedForwards::Seconds() const {
  double seconds = 0;
  for (const TimedFeedForward* ffn : ffns_) seconds += ffn->seconds;
  return seconds;
}

int64_t TimedFeedForwards::NumTokens() const {
  int64_t num_tokens = 0;
  for (const TimedFeedForward* ffn : ffns_) num_tokens += ffn->num_tokens;
  return num_tokens;
}

}  // namespace moefy::eval
