#include "text/wordpiece_tokenizer.h"

#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "moefy/base/error.h"
#include "moefy/base/output.h"
#include "text/bert_words.h"
#include "text/segment_tokenizer.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

constexpr uint64_t kMaxVocabularyBytes = uint64_t{256} << 20;
constexpr size_t kMaxWordCharacters = 100;  // longer words are [UNK]

struct Vocabulary {
  std::vector<std::string> tokens;  // the index is the id
  std::unordered_map<std::string, int64_t> ids;
};

// One token a line.
Vocabulary ParseVocabulary(std::string_view text) {
  Vocabulary vocabulary;
  if (text.empty()) throw InputError("the vocabulary is empty");
  if (text.ends_with('\n')) text.remove_suffix(1);
  for (std::string& token : Split(text, '\n')) {
    const size_t line = vocabulary.tokens.size() + 1;
    if (token.ends_with('\r')) token.pop_back();
    if (!IsValidUtf8(token)) throw InputError("line ", line, " is not valid UTF-8");
    // Empty lines take up an id that no text reaches.
    const auto [found, is_new] =
        vocabulary.ids.emplace(token, static_cast<int64_t>(vocabulary.tokens.size()));
    if (!is_new && !token.empty()) {
      throw InputError("line ", line, ": token ", Quoted(token), " stands on line ",
                       found->second + 1, " already");
    }
    vocabulary.tokens.push_back(std::move(token));
  }
  return vocabulary;
}

class WordPieceTokenizer final : public SegmentTokenizer {
 public:
  WordPieceTokenizer(Vocabulary vocabulary, const TokenizerConfig& config)
      : vocabulary_(std::move(vocabulary)) {
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
    base_vocab_size_ = vocab_size_ = static_cast<int64_t>(vocabulary_.tokens.size());
    for (const AddedToken& token : config.added_tokens) AddToken(token);

    struct Named {
      const char* key;
      const char* if_absent;
      int64_t* id;
      bool required;
    };
    int64_t mask_id = 0;
    std::vector<std::string> missing;
    for (const Named& named : {Named{"unk_token", "[UNK]", &unknown_id_, true},
                               Named{"sep_token", "[SEP]", &separator_id_, true},
                               Named{"pad_token", "[PAD]", &pad_id_, true},
                               Named{"cls_token", "[CLS]", &class_id_, true},
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
    for (const std::string& content : config.GetAdditionalSpecialTokens()) {
      AddSpecialToken(content, FindWord(content));
      options_.never_split.insert(content);
    }
  }

  std::optional<int64_t> eos_id() const override { return std::nullopt; }

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
          AppendPieces(word, ids);
        }
      }
    }
    return ids;
  }

  int64_t NumSpecialTokens(bool pair) const override { return pair ? 3 : 2; }

  Encoding Assemble(Ids first, const Ids* second) const override {
    Encoding out;
    out.ids.push_back(class_id_);
    out.ids.insert(out.ids.end(), first.begin(), first.end());
    out.ids.push_back(separator_id_);
    out.token_type_ids.assign(out.ids.size(), 0);
    if (second) {
      out.ids.insert(out.ids.end(), second->begin(), second->end());
      out.ids.push_back(separator_id_);
      out.token_type_ids.resize(out.ids.size(), second_type_);
    }
    return out;
  }

  std::string IdToToken(int64_t id) const override { return vocabulary_.tokens[id]; }

  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    return Strip(ReplaceAll(Join(tokens, " "), " ##", ""));
  }

 private:
  std::optional<int64_t> FindWord(const std::string& word) const {
    const auto found = vocabulary_.ids.find(word);
    if (found == vocabulary_.ids.end()) return std::nullopt;
    return found->second;
  }

  // The longest pieces from the left; a word that cannot be covered is one [UNK].
  void AppendPieces(const std::string& word, Ids& ids) const {
    std::vector<size_t> bounds;  // where characters begin, and the end
    for (size_t i = 0; i < word.size(); ++i) {
      if ((static_cast<unsigned char>(word[i]) & 0xc0) != 0x80) bounds.push_back(i);
    }
    bounds.push_back(word.size());
    const size_t num_characters = bounds.size() - 1;
    Ids pieces;
    for (size_t begin = 0; num_characters <= kMaxWordCharacters && begin < num_characters;) {
      size_t end = num_characters;
      std::optional<int64_t> id;
      for (; end > begin; --end) {
        const std::string piece = word.substr(bounds[begin], bounds[end] - bounds[begin]);
        if ((id = FindWord(begin == 0 ? piece : "##" + piece))) break;
      }
      if (!id) {
        pieces.clear();
        break;
      }
      pieces.push_back(*id);
      begin = end;
    }
    if (pieces.empty()) pieces.push_back(unknown_id_);
    ids.insert(ids.end(), pieces.begin(), pieces.end());
  }

  Vocabulary vocabulary_;
  BertWordOptions options_;
  std::set<std::string, std::less<>> never_split_;  // the configuration's, without special tokens
  bool basic_ = true;
  int64_t unknown_id_ = 0, separator_id_ = 0, class_id_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> LoadWordPieceTokenizer(const std::filesystem::path& vocab_txt,
                                                  const TokenizerConfig& config) {
  const std::string bytes = ReadTextFile(vocab_txt, kMaxVocabularyBytes);
  return WithContext(vocab_txt.string(), [&]() -> std::unique_ptr<Tokenizer> {
    return std::make_unique<WordPieceTokenizer>(ParseVocabulary(bytes), config);
  });
}

}  // namespace moefy::text
