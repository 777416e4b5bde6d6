#include "text/tokenizer_kinds.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/output.h"
#include "moefy/base/error.h"
#include "text/segment_tokenizer.h"
#include "text/unicode.h"
#include "text/vocabulary.h"

namespace moefy::text {
namespace {

constexpr uint64_t kMaxVocabularyBytes = uint64_t{64} << 20;
constexpr const char* kUnknown = "<unk>";

// One side of the model.
class Side final : public SegmentTokenizer {
 public:
  Side(Vocabulary vocabulary, const TokenizerConfig& config, bool add_eos)
      : SegmentTokenizer(config), vocabulary_(std::move(vocabulary)) {
    clean_up_spaces_ = false;
    added_join_ = AddedTokenJoin::kTogether;
    base_vocab_size_ = vocab_size_ = vocabulary_.size();
    pad_id_ = Named(config, "pad_token", "<blank>");
    Named(config, "bos_token", "<s>");
    eos_id_ = Named(config, "eos_token", "</s>");
    unknown_ = config.GetToken("unk_token", kUnknown);
    AddSpecialToken(unknown_, vocabulary_.Find(unknown_));
    if (add_eos) template_ = AroundEach({}, {*eos_id_});
  }

 protected:
  Ids Segment(std::string_view text) const override {
    Ids ids;
    for (size_t i = 0, length; i < text.size(); i += length) {
      length = CharacterLength(text.substr(i));
      ids.push_back(
          vocabulary_.Find(text.substr(i, length)).value_or(added_.FindContent(unknown_)->id));
    }
    return ids;
  }
  std::string IdToToken(int64_t id) const override { return vocabulary_.Get(id); }
  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    return Join(tokens, "");
  }

 private:
  int64_t Named(const TokenizerConfig& config, const std::string& key, const char* if_absent) {
    const std::string content = config.GetToken(key, if_absent);
    const std::optional<int64_t> id = vocabulary_.Find(content);
    if (!id) throw InputError(key, " ", Quoted(content), " is not in the vocabulary");
    AddSpecialToken(content, id);
    return *id;
  }

  Vocabulary vocabulary_;
  std::string unknown_;
};

class CharacterTokenizer final : public Tokenizer {
 public:
  CharacterTokenizer(std::unique_ptr<const Tokenizer> source,
                     std::unique_ptr<const Tokenizer> target)
      : source_(std::move(source)), target_(std::move(target)) {}

  Encoding Encode(std::string_view text, const EncodeOptions& options) const override {
    return source_->Encode(text, options);
  }
  Encoding EncodePair(std::string_view first, std::string_view second,
                      const EncodeOptions& options) const override {
    return source_->EncodePair(first, second, options);
  }
  Encoding EncodeTarget(std::string_view text, const EncodeOptions& options) const override {
    return target_->Encode(text, options);
  }
  std::string Decode(const std::vector<int64_t>& ids, bool skip_special_tokens) const override {
    return target_->Decode(ids, skip_special_tokens);
  }
  int64_t vocab_size() const override {
    return std::max(source_->vocab_size(), target_->vocab_size());
  }
  int64_t pad_id() const override { return source_->pad_id(); }
  std::optional<int64_t> eos_id() const override { return target_->eos_id(); }

 private:
  std::unique_ptr<const Tokenizer> source_, target_;
};

}  // namespace

std::unique_ptr<Tokenizer> LoadCharacterTokenizer(const std::filesystem::path& source_vocab,
                                                  const TokenizerConfig& given) {
  TokenizerConfig config = given;
  config.model_vocab_size = 0;  // the size may be that of either side
  const auto load = [&](const std::filesystem::path& file, bool add_eos) {
    const std::string bytes = ReadTextFile(file, kMaxVocabularyBytes);
    return WithContext(file.string(), [&] {
      return std::make_unique<const Side>(ParseVocabularyLines(bytes), config, add_eos);
    });
  };
  const bool source_eos = config.object().GetBool("add_eos_token", false);
  auto source = load(source_vocab, source_eos);
  auto target = load(source_vocab.parent_path() / "target_vocab.txt", /*add_eos=*/true);
  return std::make_unique<CharacterTokenizer>(std::move(source), std::move(target));
}

}  // namespace moefy::text
