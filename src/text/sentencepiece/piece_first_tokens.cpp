#include "text/sentencepiece/piece_first_tokens.h"

#include "moefy/base/error.h"

namespace moefy::text {
namespace {

FirstTokens PegasusTokens(const TokenizerConfig& config) {
  constexpr int64_t kMaxOffset = 1 << 20;
  const JsonObject object = config.object();
  FirstTokens first;
  first.offset = object.GetInt("offset", 0, kMaxOffset, 103);
  first.tokens = {config.GetToken("pad_token", "<pad>"), config.GetToken("eos_token", "</s>")};
  // A null means that there is none; without the key the usual one counts.
  const bool has_sentence_mask =
      !config.json.contains("mask_token_sent") || object.Has("mask_token_sent");
  if (has_sentence_mask) {
    first.tokens.push_back(config.GetToken("mask_token_sent", "<mask_1>"));
    first.tokens.push_back(config.GetToken("mask_token", "<mask_2>"));
  }
  for (int64_t i = 2; i < first.offset; ++i) first.tokens.push_back(StrCat("<unk_", i, ">"));
  return first;
}

}  // namespace

FirstTokens FirstTokensOf(const PieceConvention& convention, const TokenizerConfig& config) {
  switch (convention.first_ids) {
    case FirstIds::kFairseq:
      return {1, {"<s>", "<pad>", "</s>", "<unk>"}};
    case FirstIds::kCamembert:
      return {4, {"<s>NOTUSED", "<pad>", "</s>NOTUSED", "<unk>", "<unk>NOTUSED"}};
    case FirstIds::kPegasus:
      return PegasusTokens(config);
    case FirstIds::kNone:
    case FirstIds::kVocabJson:
      break;
  }
  return {};
}

}  // namespace moefy::text
