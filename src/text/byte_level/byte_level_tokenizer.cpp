#include "text/tokenizer_kinds.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/output.h"
#include "moefy/base/error.h"
#include "text/byte_level/bpe.h"
#include "text/byte_level/byte_level.h"
#include "text/regex.h"
#include "text/segment_tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace moefy::text {
namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{64} << 20;

// What the tokenizer classes differ in.
struct Convention {
  std::vector<std::string> classes;
  std::string_view pattern;
  const char* end_token;            // of bos, eos and unk where the configuration names none
  bool roberta = false;             // <s> A </s> </s> B </s>; a prefix space only before text
  bool nfc = false;                 // text is composed first
  bool spaces_around_added = true;  // when decoding
};

const Convention& FindConvention(const std::string& name) {
  static const std::vector<Convention> kConventions = {
      {{"GPT2Tokenizer", "CodeGenTokenizer"}, kGpt2Pattern, "<|endoftext|>"},
      {.classes = {"RobertaTokenizer", "BartTokenizer", "LongformerTokenizer", "LEDTokenizer"},
       .pattern = kGpt2Pattern,
       .end_token = "</s>",
       .roberta = true},
      {.classes = {"Qwen2Tokenizer"},
       .pattern = kQwen2Pattern,
       .end_token = "<|endoftext|>",
       .nfc = true,
       .spaces_around_added = false},
  };
  for (const Convention& convention : kConventions) {
    const auto& classes = convention.classes;
    if (std::find(classes.begin(), classes.end(), name) != classes.end()) return convention;
  }
  return kConventions[0];
}

class ByteLevelTokenizer final : public SegmentTokenizer {
 public:
  ByteLevelTokenizer(std::shared_ptr<const Vocabulary> vocabulary, const Bpe::Merges& merges,
                     const TokenizerConfig& config)
      : SegmentTokenizer(config),
        vocabulary_(std::move(vocabulary)),
        convention_(FindConvention(config.ClassName())),
        words_(convention_.pattern) {
    const JsonObject object = config.object();
    const bool roberta = convention_.roberta;
    const bool qwen = convention_.nfc;
    clean_up_spaces_ = object.GetBool("clean_up_tokenization_spaces", !qwen);
    prefix_space_ = !qwen && object.GetBool("add_prefix_space", false);
    added_join_ =
        convention_.spaces_around_added ? AddedTokenJoin::kSpaces : AddedTokenJoin::kNoSpaces;
    base_vocab_size_ = vocab_size_ = vocabulary_->size();
    for (const AddedToken& token : config.added_tokens) AddToken(token);
    const std::string end = convention_.end_token;
    const auto bos = Named(config, "bos_token", roberta ? "<s>" : qwen ? "" : end);
    eos_id_ = Named(config, "eos_token", end);
    const auto unknown = Named(config, "unk_token", roberta ? "<unk>" : end);
    const auto separator = Named(config, "sep_token", roberta ? "</s>" : "");
    const auto pad = Named(config, "pad_token", roberta ? "<pad>" : qwen ? end : "");
    const auto start = Named(config, "cls_token", roberta ? "<s>" : "");
    mask_id_ = Named(config, "mask_token", roberta ? "<mask>" : "", /*strip_left=*/roberta);
    for (const std::string& content : config.GetAdditionalSpecialTokens()) {
      AddSpecialToken(content, vocabulary_->Find(content));
    }
    pad_id_ = pad.value_or(eos_id_.value_or(0));
    bpe_.emplace(vocabulary_, merges, BpeOptions{.unknown_id = unknown});
    if (roberta) {
      template_ = AroundEach({*start}, {*separator});
      template_.pair[3].id = *separator;  // a second <s> is not added
    } else if (bos && object.GetBool("add_bos_token", false)) {
      template_ = AroundEach({*bos}, {});
    }
  }

 protected:
  Ids Segment(std::string_view text) const override {
    std::string prepared(text);
    if (convention_.nfc) prepared = ToNfc(prepared);
    if (prefix_space_) {
      const bool spaced = convention_.roberta && StripLeft(prepared) != prepared;
      if (!spaced && !(convention_.roberta && prepared.empty())) prepared = " " + prepared;
    }
    Ids ids;
    for (const AddedTokens::Part& part : added_.Split(prepared)) {
      if (part.token) {
        ids.push_back(part.token->id);
        continue;
      }
      for (const std::string& word : words_.FindAll(part.text)) {
        bpe_->AppendIds(ToByteCharacters(word), ids);
      }
    }
    return ids;
  }

  std::string IdToToken(int64_t id) const override { return vocabulary_->Get(id); }

  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    std::string bytes;
    for (const std::string& token : tokens) bytes += FromByteCharacters(token);
    return RepairUtf8(bytes);
  }

 private:
  // The id of the special token that the configuration names under `key`; nothing for "".
  std::optional<int64_t> Named(const TokenizerConfig& config, const std::string& key,
                               const std::string& if_absent, bool strip_left = false) {
    const std::string content = config.GetToken(key, if_absent);
    if (content.empty()) return std::nullopt;
    if (!added_.FindContent(content)) {
      AddToken({.content = content,
                .id = vocabulary_->Find(content).value_or(vocab_size_),
                .strip_left = strip_left});
    } else {
      AddSpecialToken(content, std::nullopt);
    }
    return added_.FindContent(content)->id;
  }

  std::shared_ptr<const Vocabulary> vocabulary_;
  const Convention& convention_;
  Regex words_;
  std::optional<Bpe> bpe_;
  bool prefix_space_ = false;
};

}  // namespace

std::unique_ptr<Tokenizer> LoadByteLevelTokenizer(const std::filesystem::path& vocab_json,
                                                  const TokenizerConfig& config) {
  const std::filesystem::path merges_txt = vocab_json.parent_path() / "merges.txt";
  auto vocabulary = std::make_shared<const Vocabulary>(
      ParseVocabularyJson(ReadJsonFile(vocab_json), vocab_json.string()));
  const std::string bytes = ReadTextFile(merges_txt, kMaxFileBytes);
  return WithContext(merges_txt.string(), [&]() -> std::unique_ptr<Tokenizer> {
    return std::make_unique<ByteLevelTokenizer>(std::move(vocabulary), ParseMerges(bytes), config);
  });
}

}  // namespace moefy::text
