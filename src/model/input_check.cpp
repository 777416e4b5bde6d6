#include "model/input_check.h"

#include <algorithm>

#include "moefy/base/error.h"

namespace moefy::model {

int64_t TextLength(const ModelConfig& config) {
  return config.max_positions > 0 ? config.max_positions - config.position_offset : 0;
}

int64_t NumPositions(const ModelConfig& config) {
  return config.position == PositionKind::kLearned ? TextLength(config) : 0;
}

int64_t FitTextLength(int64_t max_tokens, const ModelConfig& config) {
  const int64_t length = TextLength(config);
  return length > 0 ? std::min(max_tokens, length) : max_tokens;
}

void CheckTokens(const std::vector<int64_t>& ids, const ModelConfig& config) {
  constexpr int64_t kMostTokens = int64_t{1} << 20;
  if (ids.empty()) throw InputError("the text has no tokens");
  const int64_t rows = config.input_vocab_size, positions = NumPositions(config);
  const auto unknown =
      std::find_if(ids.begin(), ids.end(), [&](int64_t id) { return id < 0 || id >= rows; });
  if (unknown != ids.end()) {
    throw InputError("token ", unknown - ids.begin() + 1, " of the text is ", *unknown,
                     "; the model has rows for tokens 0 to ", rows - 1,
                     " only, so its tokenizer has tokens that it was never given");
  }
  const auto count = static_cast<int64_t>(ids.size());
  if (positions > 0 && count > positions) {
    throw InputError("the text has ", count, " tokens; the model has ", positions, " positions");
  }
  if (count > kMostTokens) {
    throw InputError("the text has ", count, " tokens; at most ", kMostTokens, " are run");
  }
}

}  // namespace moefy::model
