#include "text/tokenizer_kinds.h"

#include <utility>

#include "text/sentencepiece/sentencepiece_tokenizer.h"

namespace moefy::text {
namespace {

class LlamaTokenizer final : public SentencePieceTokenizer {
 public:
  LlamaTokenizer(SentencePieceModel model, const TokenizerConfig& config)
      : SentencePieceTokenizer(std::move(model), config) {
    const JsonObject object = config.object();
    clean_up_spaces_ = object.GetBool("clean_up_tokenization_spaces", false);
    for (const AddedToken& token : config.added_tokens) AddToken(token);
    const int64_t bos_id = AddNamedToken(config, "bos_token", "<s>");
    eos_id_ = AddNamedToken(config, "eos_token", "</s>");
    FinishTokens(config);
    pad_id_ = *eos_id_;
    if (const std::string pad = config.GetToken("pad_token", ""); !pad.empty()) {
      AddSpecialToken(pad, FindPiece(pad));
      pad_id_ = added_.FindContent(pad)->id;
    }
    Ids before, after;
    if (object.GetBool("add_bos_token", true)) before.push_back(bos_id);
    if (object.GetBool("add_eos_token", false)) after.push_back(*eos_id_);
    template_ = AroundEach(before, after);
  }

 protected:
  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    return JoinPieces(tokens, {.before_special = legacy_, .after_first_special = true});
  }
};

}  // namespace

std::unique_ptr<Tokenizer> LoadLlamaTokenizer(const std::filesystem::path& tokenizer_model,
                                              const TokenizerConfig& config) {
  return WithSentencePieceModel(tokenizer_model, [&](SentencePieceModel model) {
    return std::make_unique<LlamaTokenizer>(std::move(model), config);
  });
}

}  // namespace moefy::text
