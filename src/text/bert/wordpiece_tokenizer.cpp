#include "text/tokenizer_kinds.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/output.h"
#include "moefy/base/error.h"
#include "text/bert/bert_words.h"
#include "text/bert/wordpiece.h"
#include "text/segment_tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace moefy::text {
namespace {

constexpr uint64_t kMaxVocabularyBytes = uint64_t{256} << 20;

class WordPieceTokenizer final : public SegmentTokenizer {
 public:
  WordPieceTokenizer(Vocabulary vocabulary, const TokenizerConfig& config)
      : SegmentTokenizer(config),
        vocabulary_(std::make_shared<const Vocabulary>(std::move(vocabulary))) {
    second_type_ = 1;
    const JsonObject object = config.object();
    basic_ = object.GetBool("do_basic_tokenize", true);
    clean_up_spaces_ = object.GetBool("clean_up_tokenization_spaces", true);
    options_.lower_case = object.GetBool("do_lower_case", true);
    options_.split_cjk = object.GetBool("tokenize_chinese_chars", true);
    if (object.Has("strip_accents")) options_.strip_accents = object.GetBool("strip_accents");
    if (object.Has("never_split")) {
      for (std::string& word : object.GetStrings("never_split")) {
        options_.never_split.insert(word);
        never_split_.insert(std::move(word));
      }
    }
    base_vocab_size_ = vocab_size_ = vocabulary_->size();
    for (const AddedToken& token : config.added_tokens) AddToken(token);

    struct Named {
      const char* key;
      const char* if_absent;
      int64_t* id;
      bool required;
    };
    int64_t unknown_id = 0, separator_id = 0, class_id = 0, mask_id = -1;
    std::vector<std::string> missing;
    for (const Named& named :
         {Named{"unk_token", "[UNK]", &unknown_id, true},
          Named{"sep_token", "[SEP]", &separator_id, true},
          Named{"pad_token", "[PAD]", &pad_id_, true}, Named{"cls_token", "[CLS]", &class_id, true},
          Named{"mask_token", "[MASK]", &mask_id, false}}) {
      const std::string content = config.GetToken(named.key, named.if_absent);
      if (FindWord(content) || added_.FindContent(content)) {
        AddSpecialToken(content, FindWord(content));
        *named.id = added_.FindContent(content)->id;
        options_.never_split.insert(content);
      } else if (named.required) {
        missing.push_back(StrCat(named.key, " ", Quoted(content)));
      }
    }
    if (!missing.empty()) throw InputError("the vocabulary lacks ", Join(missing));
    if (added_.FindId(mask_id)) mask_id_ = mask_id;
    for (const std::string& content : config.GetAdditionalSpecialTokens()) {
      AddSpecialToken(content, FindWord(content));
      options_.never_split.insert(content);
    }
    const auto token = [](int64_t id, int64_t type) {
      return TemplateItem{TemplateItem::Kind::kToken, id, type};
    };
    template_.single = {token(class_id, 0), {TemplateItem::Kind::kFirst}, token(separator_id, 0)};
    template_.pair = template_.single;
    template_.pair.push_back({TemplateItem::Kind::kSecond, 0, second_type_});
    template_.pair.push_back(token(separator_id, second_type_));
    unknown_id_ = unknown_id;
    word_piece_.emplace(vocabulary_, WordPieceOptions{.unknown_id = unknown_id});
  }

 protected:
  Ids Segment(std::string_view text) const override {
    Ids ids;
    // Lower-casing comes before added tokens are looked for and leaves special ones alone.
    std::string lowered;
    if (options_.lower_case) {
      for (const AddedTokens::Part& part : added_.Split(text)) {
        lowered += part.token && part.token->special ? part.text : LowerEach(part.text);
      }
      text = lowered;
    }
    for (const AddedTokens::Part& part : added_.Split(text)) {
      if (part.token) {
        ids.push_back(part.token->id);
        continue;
      }
      for (const std::string& word :
           basic_ ? SplitBertWords(part.text, options_) : SplitOnSpace(part.text)) {
        if (basic_ && never_split_.contains(word)) {
          ids.push_back(FindWord(word).value_or(unknown_id_));
        } else {
          word_piece_->AppendIds(word, ids);
        }
      }
    }
    return ids;
  }

  std::string IdToToken(int64_t id) const override { return vocabulary_->Get(id); }

  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    return Strip(ReplaceAll(Join(tokens, " "), " ##", ""));
  }

 private:
  std::optional<int64_t> FindWord(const std::string& word) const { return vocabulary_->Find(word); }

  std::shared_ptr<const Vocabulary> vocabulary_;
  std::optional<WordPiece> word_piece_;
  BertWordOptions options_;
  // As the configuration has it, without special tokens.
  std::set<std::string, std::less<>> never_split_;
  bool basic_ = true;
  int64_t unknown_id_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> LoadWordPieceTokenizer(const std::filesystem::path& vocab_txt,
                                                  const TokenizerConfig& config) {
  const std::string bytes = ReadTextFile(vocab_txt, kMaxVocabularyBytes);
  return WithContext(vocab_txt.string(), [&]() -> std::unique_ptr<Tokenizer> {
    return std::make_unique<WordPieceTokenizer>(ParseVocabularyLines(bytes, Repeated::kLastCounts),
                                                config);
  });
}

}  // namespace moefy::text
