#include "text/tokenizer_kinds.h"

#include <algorithm>
#include <utility>

#include "moefy/base/error.h"
#include "text/sentencepiece/sentencepiece_tokenizer.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

constexpr int64_t kMaxExtraIds = 1 << 20;

class T5Tokenizer final : public SentencePieceTokenizer {
 public:
  T5Tokenizer(SentencePieceModel model, const TokenizerConfig& config)
      : SentencePieceTokenizer(std::move(model), config) {
    clean_up_spaces_ = config.object().GetBool("clean_up_tokenization_spaces", true);
    AddSentinels(config);
    for (const AddedToken& token : config.added_tokens) AddToken(token);
    eos_id_ = AddNamedToken(config, "eos_token", "</s>");
    pad_id_ = AddNamedToken(config, "pad_token", "<pad>");
    FinishTokens(config);
    template_ = AroundEach({}, {*eos_id_});
    for (auto* items : {&template_.single, &template_.pair}) {
      for (TemplateItem& item : *items) item.unless_there = true;
    }
  }

 protected:
  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    return Strip(JoinPieces(tokens, {.before_special = true, .after_first_special = false}));
  }

 private:
  void AddSentinels(const TokenizerConfig& config) {
    const JsonObject object = config.object();
    const int64_t num_extra = object.GetInt("extra_ids", 0, kMaxExtraIds, 100);
    const std::vector<std::string> listed = config.GetAdditionalSpecialTokens();
    const auto num_listed = std::count_if(listed.begin(), listed.end(), [](const auto& token) {
      return token.find("<extra_id_") != std::string::npos;
    });
    if (num_listed > 0 && num_extra > 0 && num_listed != num_extra) {
      throw InputError(object.PathOf("extra_ids"), ": ", num_extra, ", but ", num_listed,
                       " <extra_id_...> tokens among additional_special_tokens");
    }
    for (int64_t i = 0; i < num_extra; ++i) {
      AddToken({.content = StrCat("<extra_id_", i, ">"),
                .id = base_vocab_size_ + num_extra - 1 - i,
                .strip_left = true,
                .strip_right = true});
    }
  }
};

}  // namespace

std::unique_ptr<Tokenizer> LoadT5Tokenizer(const std::filesystem::path& spiece_model,
                                           const TokenizerConfig& config) {
  return WithSentencePieceModel(spiece_model, [&](SentencePieceModel model) {
    return std::make_unique<T5Tokenizer>(std::move(model), config);
  });
}

}  // namespace moefy::text
