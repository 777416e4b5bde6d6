#include "text/tokenizer_kinds.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "moefy/base/error.h"
#include "text/segment_tokenizer.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/sentencepiece/sentencepiece_tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace moefy::text {
namespace {

constexpr std::string_view kBefore = ">>", kAfter = "<<";

// One side: the pieces of a text and their ids.
struct MarianSide {
  std::unique_ptr<const SentencePiece> pieces;
  std::shared_ptr<const Vocabulary> vocabulary;
};

bool IsCode(std::string_view token) {
  return token.size() > kBefore.size() + kAfter.size() && token.starts_with(kBefore) &&
         token.ends_with(kAfter);
}

// What the pattern ">>.+<<" matches from `begin` on: up to the last "<<" of the line.
std::optional<std::pair<size_t, size_t>> FindCode(std::string_view text, size_t begin) {
  while ((begin = text.find(kBefore, begin)) != std::string_view::npos) {
    const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
    const size_t end = line.rfind(kAfter);
    if (end != std::string_view::npos && end > kBefore.size()) {
      return std::pair(begin, begin + end + kAfter.size());
    }
    ++begin;
  }
  return std::nullopt;
}

class MarianTokenizer final : public SegmentTokenizer {
 public:
  MarianTokenizer(MarianSide source, MarianSide target, const TokenizerConfig& config)
      : SegmentTokenizer(config), source_(std::move(source)), target_(std::move(target)) {
    CheckSentencePieceOptions(config);
    clean_up_spaces_ = config.object().GetBool("clean_up_tokenization_spaces", true);
    vocab_size_ = std::max(source_.vocabulary->size(), target_.vocabulary->size());
    base_vocab_size_ = vocab_size_;
    for (const AddedToken& token : config.added_tokens) AddToken(token);
    eos_id_ = Named("eos_token", "</s>", config);
    unknown_id_ = Named("unk_token", "<unk>", config);
    pad_id_ = Named("pad_token", "<pad>", config);
    unknown_token_ = config.GetToken("unk_token", "<unk>");
    for (const std::string& content : config.GetAdditionalSpecialTokens()) {
      AddSpecialToken(content, source_.vocabulary->Find(content));
    }
    template_.single = {{TemplateItem::Kind::kFirst}, {TemplateItem::Kind::kToken, *eos_id_}};
    template_.pair = {{TemplateItem::Kind::kFirst},
                      {TemplateItem::Kind::kSecond},
                      {TemplateItem::Kind::kToken, *eos_id_}};
    ChooseLanguage(config);
  }

  std::vector<std::string> LanguageCodes() const override { return codes_; }

 protected:
  Ids Segment(std::string_view text) const override {
    Ids ids;
    const bool has_code =
        text.starts_with(kBefore) && FindCode(text, 0) && FindCode(text, 0)->first == 0;
    if (!code_.empty() && !has_code) {
      ids.push_back(*source_.vocabulary->Find(code_));
    } else if (code_.empty() && !has_code && codes_.size() > 1) {
      // Without a language token the model would choose the language by itself.
      throw MissingLanguage("--target-language, or a text that begins like '>>" + codes_[0] + "<<'",
                            codes_);
    }
    AppendIds(text, source_, ids);
    return ids;
  }

  Ids SegmentTarget(std::string_view text) const override {
    Ids ids;
    AppendIds(text, target_, ids);
    return ids;
  }

  std::string IdToToken(int64_t id) const override {
    const Vocabulary& vocabulary = *target_.vocabulary;
    if (id >= vocabulary.size() || !vocabulary.tokens()[static_cast<size_t>(id)]) {
      return unknown_token_;
    }
    return vocabulary.Get(id);
  }

  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    std::string text;
    std::vector<std::string> run;  // pieces since the last special token
    for (const std::string& token : tokens) {
      const AddedToken* added = added_.FindContent(token);
      if (added && added->special) {
        text += target_.pieces->DecodePieces(run) + token + " ";
        run.clear();
      } else {
        run.push_back(token);
      }
    }
    text += target_.pieces->DecodePieces(run);
    return Strip(ReplaceAll(std::move(text), kSpaceSymbol, " "));
  }

 private:
  int64_t Named(const std::string& key, const char* if_absent, const TokenizerConfig& config) {
    const std::string content = config.GetToken(key, if_absent);
    const std::optional<int64_t> id = source_.vocabulary->Find(content);
    if (!id && !added_.FindContent(content)) {
      throw InputError(key, " ", Quoted(content), " is not in the vocabulary");
    }
    AddSpecialToken(content, id);
    return added_.FindContent(content)->id;
  }

  void ChooseLanguage(const TokenizerConfig& config) {
    for (const std::optional<std::string>& token : source_.vocabulary->tokens()) {
      if (!token || !IsCode(*token)) continue;
      codes_.push_back(
          token->substr(kBefore.size(), token->size() - kBefore.size() - kAfter.size()));
    }
    const auto& [source, target] = config.languages;
    if (codes_.empty()) return;
    if (!source.empty()) {
      throw UsageError("--source-language is ", Quoted(source),
                       "; this tokenizer tells only the target language");
    }
    if (target.empty()) return;
    if (std::find(codes_.begin(), codes_.end(), target) == codes_.end()) {
      throw UsageError("--target-language: ", NotALanguage(target, codes_));
    }
    code_ = StrCat(kBefore, target, kAfter);
  }

  void AppendIds(std::string_view text, const MarianSide& side, Ids& ids) const {
    const auto append = [&](std::string_view token) {
      const AddedToken* added = added_.FindContent(token);
      ids.push_back(added ? added->id : side.vocabulary->Find(token).value_or(unknown_id_));
    };
    for (const AddedTokens::Part& part : added_.Split(text)) {
      if (part.token) {
        ids.push_back(part.token->id);
        continue;
      }
      // A code at the front of the text is a token; others are dropped.
      std::string rest;
      size_t begin = 0;
      while (const auto code = FindCode(part.text, begin)) {
        if (code->first == 0) append(std::string_view(part.text).substr(0, code->second));
        rest += part.text.substr(begin, code->first - begin);
        begin = code->second;
      }
      rest += part.text.substr(begin);
      for (const std::string& piece : side.pieces->EncodeAsPieces(rest)) append(piece);
    }
  }

  MarianSide source_, target_;
  int64_t unknown_id_ = 0;
  std::string unknown_token_;
  std::vector<std::string> codes_;  // of target languages
  std::string code_;                // the chosen one's token, or ""
};

}  // namespace

std::unique_ptr<Tokenizer> LoadMarianTokenizer(const std::filesystem::path& source_spm,
                                               const TokenizerConfig& given) {
  TokenizerConfig config = given;
  if (config.object().GetBool("separate_vocabs", false)) config.model_vocab_size = 0;  // one side's
  const std::filesystem::path directory = source_spm.parent_path();
  const auto vocabulary = [&](const char* name) {
    const std::filesystem::path file = directory / name;
    return std::make_shared<const Vocabulary>(
        ParseVocabularyJson(ReadJsonFile(file), file.string()));
  };
  MarianSide source, target;
  source.pieces = ReadSentencePiece(source_spm);
  target.pieces = ReadSentencePiece(directory / "target.spm");
  source.vocabulary = vocabulary("vocab.json");
  target.vocabulary = config.object().GetBool("separate_vocabs", false)
                          ? vocabulary("target_vocab.json")
                          : source.vocabulary;
  return WithContext((directory / "vocab.json").string(), [&]() -> std::unique_ptr<Tokenizer> {
    return std::make_unique<MarianTokenizer>(std::move(source), std::move(target), config);
  });
}

}  // namespace moefy::text
