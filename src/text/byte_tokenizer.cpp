#include "text/tokenizer_kinds.h"

#include <string>
#include <vector>

#include "moefy/base/error.h"
#include "text/segment_tokenizer.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

constexpr int64_t kNumBytes = 256;
constexpr int64_t kOffset = 3;  // of the bytes' ids
constexpr int64_t kMaxExtraIds = 1 << 20;

class ByteTokenizer final : public SegmentTokenizer {
 public:
  explicit ByteTokenizer(const TokenizerConfig& config) : SegmentTokenizer(config) {
    clean_up_spaces_ = config.object().GetBool("clean_up_tokenization_spaces", true);
    base_vocab_size_ = vocab_size_ = kOffset + kNumBytes;
    const char* const keys[] = {"pad_token", "eos_token", "unk_token"};
    const char* const contents[] = {"<pad>", "</s>", "<unk>"};
    for (int64_t id = 0; id < kOffset; ++id) {
      AddedToken token = config.GetAddedToken(keys[id], contents[id], /*strip_left=*/true);
      // A plain string takes the white space on both sides away.
      if (!config.json.contains(keys[id]) || config.json[keys[id]].is_string()) {
        token.strip_right = true;
      }
      token.id = id;
      AddToken(std::move(token));
    }
    for (const AddedToken& token : config.added_tokens) AddToken(token);
    AddSentinels(config);
    pad_id_ = 0;
    eos_id_ = 1;
    template_ = AroundEach({}, {*eos_id_});
    for (auto* items : {&template_.single, &template_.pair}) {
      for (TemplateItem& item : *items) item.unless_there = true;
    }
  }

 protected:
  Ids Segment(std::string_view text) const override {
    Ids ids;
    for (const AddedTokens::Part& part : added_.Split(text)) {
      if (part.token) {
        ids.push_back(part.token->id);
        continue;
      }
      for (const char byte : part.text) ids.push_back(static_cast<unsigned char>(byte) + kOffset);
    }
    return ids;
  }

  std::string IdToToken(int64_t id) const override {
    return std::string(1, static_cast<char>(id - kOffset));
  }

  // Bytes that make no character are left out.
  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    return RepairUtf8(Join(tokens, ""), ReplaceInvalid::kByNothing);
  }

 private:
  void AddSentinels(const TokenizerConfig& config) {
    const JsonObject object = config.object();
    const int64_t num_extra = object.GetInt("extra_ids", 0, kMaxExtraIds, 125);
    const std::vector<std::string> listed = config.GetAdditionalSpecialTokens();
    for (const std::string& content : listed) AddSpecialToken(content, std::nullopt);
    if (!listed.empty()) return;
    for (int64_t i = 0; i < num_extra; ++i) {
      AddSpecialToken(StrCat("<extra_id_", i, ">"), std::nullopt);
    }
  }
};

}  // namespace

std::unique_ptr<Tokenizer> LoadByteTokenizer(const std::filesystem::path& /*directory*/,
                                             const TokenizerConfig& config) {
  return WithContext(config.file.string(), [&] { return std::make_unique<ByteTokenizer>(config); });
}

}  // namespace moefy::text
