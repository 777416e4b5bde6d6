#include "text/tokenizer_kinds.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "moefy/base/error.h"
#include "text/segment_tokenizer.h"
#include "text/sentencepiece/piece_conventions.h"
#include "text/sentencepiece/piece_first_tokens.h"
#include "text/sentencepiece/piece_text.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/sentencepiece/sentencepiece_tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace moefy::text {
namespace {

class PieceTokenizer final : public SegmentTokenizer {
 public:
  PieceTokenizer(SentencePieceModel model, std::optional<Vocabulary> vocabulary,
                 const PieceConvention& convention, const TokenizerConfig& config)
      : SegmentTokenizer(config),
        convention_(convention),
        pieces_(std::move(model)),
        vocabulary_(std::move(vocabulary)) {
    const JsonObject object = config.object();
    CheckSentencePieceOptions(config);
    clean_up_spaces_ = object.GetBool("clean_up_tokenization_spaces", convention_.clean_up_spaces);
    ReadTextOptions(object);
    AddFirstTokens(config);
    for (const AddedToken& token : config.added_tokens) AddToken(token);
    AddNamedTokens(config);
    for (const std::string& content : config.GetAdditionalSpecialTokens()) {
      AddSpecialToken(content, FindId(content));
    }
    unknown_id_ = Get("unk_token", config);
    pad_id_ = Get("pad_token", config);
    if (const AddedToken* mask = added_.FindContent(config.GetToken("mask_token", MaskContent()))) {
      mask_id_ = mask->id;
    }
    // An encoder's end token ends no generated text.
    if (convention_.around != Around::kBert) eos_id_ = Get("eos_token", config);
    SetTemplate(config);
  }

 protected:
  Ids Segment(std::string_view text) const override {
    // As in BERT's tokenizer, lower-casing comes before added tokens are looked for, and leaves
    // special ones alone.
    std::string lowered;
    if (lower_case_) {
      for (const AddedTokens::Part& part : added_.Split(text)) {
        lowered += part.token && part.token->special ? part.text : LowerEach(part.text);
      }
      text = lowered;
    }
    Ids ids;
    for (const AddedTokens::Part& part : added_.Split(text)) {
      if (part.token) {
        ids.push_back(part.token->id);
      } else {
        for (const std::string& piece : Pieces(part.text)) ids.push_back(ToId(piece));
      }
    }
    return ids;
  }

  std::string IdToToken(int64_t id) const override {
    if (vocabulary_) {  // may have holes
      const std::optional<std::string>& token = vocabulary_->tokens()[static_cast<size_t>(id)];
      return token ? *token : added_.FindId(unknown_id_)->content;
    }
    const int64_t piece = id - offset_;
    if (piece < 0 || piece >= pieces_.num_pieces()) {
      throw InputError("token id ", id, " has no token");
    }
    return pieces_.IdToPiece(piece);
  }

  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    if (convention_.join == PieceJoin::kPlain) {
      return Strip(ReplaceAll(Join(tokens, ""), kSpaceSymbol, " "));
    }
    std::string text;
    std::vector<std::string> run;  // pieces since the last special token
    bool after_special = false;
    for (const std::string& token : tokens) {
      if (!IsApart(token)) {
        run.push_back(token);
        after_special = false;
        continue;
      }
      if (convention_.join == PieceJoin::kSpaced && !after_special) text += " ";
      text += pieces_.DecodePieces(run) + token;
      run.clear();
      after_special = true;
    }
    text += pieces_.DecodePieces(run);
    return convention_.join == PieceJoin::kVerbatim ? ReplaceAll(std::move(text), kSpaceSymbol, " ")
                                                    : Strip(text);
  }

 private:
  void ReadTextOptions(const JsonObject& object) {
    if (convention_.albert_text) {
      albert_.lower_case = lower_case_ = object.GetBool("do_lower_case", true);
      albert_.remove_space = object.GetBool("remove_space", true);
      albert_.keep_accents = object.GetBool("keep_accents", false);
    }
    if (convention_.deberta_text) {
      lower_case_ = object.GetBool("do_lower_case", false);
      split_punctuation_ = object.GetBool("split_by_punct", false);
    }
    if (convention_.join == PieceJoin::kVerbatim) {
      added_join_ = object.GetBool("spaces_between_special_tokens", false)
                        ? AddedTokenJoin::kSpaces
                        : AddedTokenJoin::kTogether;
    }
  }

  // The tokens that are no pieces and come before, or right after, the pieces.
  void AddFirstTokens(const TokenizerConfig& config) {
    const FirstTokens first = FirstTokensOf(convention_, config);
    offset_ = first.offset;
    vocab_size_ = vocabulary_ ? vocabulary_->size() : pieces_.num_pieces() + offset_;
    for (size_t i = 0; i < first.tokens.size(); ++i) {
      AddToken({.content = first.tokens[i], .id = static_cast<int64_t>(i)});
    }
    base_vocab_size_ = vocab_size_;
    const LanguageConvention* languages = FindLanguageConvention(config);
    if (languages) AddLanguages(config, *languages);
    if (convention_.mask_after_pieces) {
      reserved_mask_id_ = vocab_size_;
      // NLLB counts neither its languages nor the mask among the vocabulary proper.
      if (convention_.tokenizer_class != "NllbTokenizer") base_vocab_size_ = vocab_size_ + 1;
    }
  }

  // Adds the languages unless the configuration lists them among the added tokens, as NLLB's does.
  void AddLanguages(const TokenizerConfig& config, const LanguageConvention& languages) {
    const std::vector<std::string> codes = languages.Codes();
    const bool listed = std::any_of(
        config.added_tokens.begin(), config.added_tokens.end(), [&](const AddedToken& token) {
          return std::find(codes.begin(), codes.end(), token.content) != codes.end();
        });
    if (listed) return;
    int64_t id = vocabulary_ ? vocabulary_->num_tokens() : vocab_size_;
    for (const std::string& code : codes) {
      AddToken({.content = languages.Token(code), .id = id++});
    }
  }

  void AddNamedTokens(const TokenizerConfig& config) {
    for (const NamedToken& named : convention_.tokens) {
      const bool mask = std::string_view(named.key) == "mask_token";
      AddedToken token =
          config.GetAddedToken(named.key, named.content, mask && convention_.mask_strips_left);
      if (token.content.empty()) continue;
      if (const AddedToken* known = added_.FindContent(token.content)) {
        joined_ids_.insert(known->id);
        if (mask) mask_id_ = known->id;
        AddSpecialToken(token.content, std::nullopt);
        continue;
      }
      const std::optional<int64_t> id = FindId(token.content);
      const bool reserved = mask && reserved_mask_id_ >= 0 && !added_.FindId(reserved_mask_id_);
      token.id = id ? *id : reserved ? reserved_mask_id_ : vocab_size_;
      joined_ids_.insert(token.id);
      if (mask) mask_id_ = token.id;
      AddToken(std::move(token));
    }
  }

  void SetTemplate(const TokenizerConfig& config) {
    const JsonObject object = config.object();
    const auto token = [](int64_t id, int64_t type = 0) {
      return TemplateItem{TemplateItem::Kind::kToken, id, type};
    };
    const TemplateItem first{TemplateItem::Kind::kFirst};
    switch (convention_.around) {
      case Around::kEnd:
        template_.single = {first, token(*eos_id_)};
        template_.pair = {first, {TemplateItem::Kind::kSecond}, token(*eos_id_)};
        break;
      case Around::kBert: {
        second_type_ = 1;
        const int64_t start = Get("cls_token", config), end = Get("sep_token", config);
        template_.single = {token(start), first, token(end)};
        template_.pair = {token(start),
                          first,
                          token(end),
                          {TemplateItem::Kind::kSecond, 0, second_type_},
                          token(end, second_type_)};
        break;
      }
      case Around::kRoberta: {
        const int64_t end = Get("sep_token", config);
        template_ = AroundEach({Get("cls_token", config)}, {end});
        template_.pair[3].id = end;  // a second <s> is not added
        break;
      }
      case Around::kBosEos: {
        Ids before, after;
        if (object.GetBool("add_bos_token", true)) before.push_back(Get("bos_token", config));
        if (object.GetBool("add_eos_token", false)) after.push_back(*eos_id_);
        template_ = AroundEach(before, after);
        break;
      }
      case Around::kLanguages:
        SetLanguages(config, [&](const std::string& content) -> std::optional<int64_t> {
          const AddedToken* added = added_.FindContent(content);
          return added ? std::optional(added->id) : std::nullopt;
        });
        break;
    }
  }

  // The convention's mask token; "" if it has none.
  std::string MaskContent() const {
    for (const NamedToken& named : convention_.tokens) {
      if (std::string_view(named.key) == "mask_token") return named.content;
    }
    return "";
  }

  // The id of the token that the configuration, or else the convention, names under `key`.
  int64_t Get(std::string_view key, const TokenizerConfig& config) const {
    for (const NamedToken& named : convention_.tokens) {
      if (key != named.key) continue;
      const std::string content = config.GetAddedToken(named.key, named.content).content;
      if (const AddedToken* added = added_.FindContent(content)) return added->id;
      throw InputError(key, " ", Quoted(content), " is not in the vocabulary");
    }
    ThrowBug("a token that the convention names", __FILE__, __LINE__);
  }

  std::vector<std::string> Pieces(const std::string& text) const {
    const auto encode = [&](std::string_view part) { return pieces_.EncodeAsPieces(part); };
    if (convention_.albert_text) {
      return SplitDigitCommas(encode(PrepareForAlbert(text, albert_)), encode);
    }
    const std::string prepared = convention_.deberta_text && lower_case_ ? LowerText(text) : text;
    if (!split_punctuation_) return encode(prepared);
    std::vector<std::string> pieces;
    for (const std::string& word : SplitPunctuation(prepared)) {
      for (std::string& piece : encode(word)) pieces.push_back(std::move(piece));
    }
    return pieces;
  }

  // The id of a token of the vocabulary proper.
  std::optional<int64_t> FindId(const std::string& content) const {
    if (vocabulary_) return vocabulary_->Find(content);
    if (!pieces_.HasPiece(content)) return std::nullopt;
    const int64_t piece = pieces_.PieceToId(content);
    // If the first tokens include an unknown token, its id replaces the model's.
    const bool own_unknown = convention_.first_ids == FirstIds::kFairseq ||
                             convention_.first_ids == FirstIds::kCamembert;
    if (own_unknown && piece == pieces_.unknown_id()) return std::nullopt;
    return piece + offset_;
  }

  int64_t ToId(const std::string& piece) const {
    if (const AddedToken* added = added_.FindContent(piece)) return added->id;
    return FindId(piece).value_or(unknown_id_);
  }

  // Gemma keeps all added tokens apart from the pieces; the others keep only special ones apart.
  bool IsApart(const std::string& token) const {
    const AddedToken* added = added_.FindContent(token);
    return added && (added->special || convention_.join == PieceJoin::kVerbatim);
  }

  const PieceConvention& convention_;
  SentencePiece pieces_;
  std::optional<Vocabulary> vocabulary_;  // vocab.json's
  int64_t offset_ = 0;                    // of the pieces' ids
  int64_t reserved_mask_id_ = -1;         // for the mask token; -1: none
  int64_t unknown_id_ = 0;
  AlbertOptions albert_;
  bool lower_case_ = false;
  bool split_punctuation_ = false;
};

}  // namespace

std::unique_ptr<Tokenizer> LoadPieceTokenizer(const std::filesystem::path& model_file,
                                              const TokenizerConfig& given) {
  TokenizerConfig config = given;
  ReadAddedTokensOfPipeline(model_file.parent_path(), config);
  const PieceConvention* convention = FindPieceConvention(config.ClassName());
  MOEFY_CHECK(convention);
  std::optional<Vocabulary> vocabulary;
  if (convention->first_ids == FirstIds::kVocabJson) {
    const std::filesystem::path file = model_file.parent_path() / "vocab.json";
    vocabulary = ParseVocabularyJson(ReadJsonFile(file), file.string());
  }
  return WithSentencePieceModel(model_file, [&](SentencePieceModel model) {
    return std::make_unique<PieceTokenizer>(std::move(model), std::move(vocabulary), *convention,
                                            config);
  });
}

}  // namespace moefy::text
