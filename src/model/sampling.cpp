#include "model/sampling.h"

#include <algorithm>

namespace moefy::model {

int64_t ChooseToken(const at::Tensor& logits, const GenerationOptions& options,
                    std::mt19937_64& random) {
  if (options.temperature == 0) return logits.argmax().item<int64_t>();
  const int64_t vocab = logits.size(0);
  const int64_t kept = options.top_k > 0 ? std::min(options.top_k, vocab) : vocab;
  const auto [scores, ids] = logits.topk(kept);  // best first
  const at::Tensor shares = at::softmax(scores.to(at::kDouble) / options.temperature, 0);
  const double* share = shares.data_ptr<double>();
  // The shortest beginning that holds top_p of it all; at least the best token.
  int64_t count = 0;
  double total = 0;
  do {
    total += share[count++];
  } while (count < kept && total < options.top_p);
  // Not std::uniform_real_distribution, which differs between standard libraries.
  double left = static_cast<double>(random() >> 11) * 0x1p-53 * total;
  int64_t drawn = 0;
  while (drawn + 1 < count && left >= share[drawn]) left -= share[drawn++];
  return ids[drawn].item<int64_t>();
}

}  // namespace moefy::model
