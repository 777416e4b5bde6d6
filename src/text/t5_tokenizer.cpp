#include "text/t5_tokenizer.h"

#include <algorithm>
#include <utility>

#include "moefy/base/error.h"
#include "moefy/base/output.h"
#include "moefy/text/sentencepiece_model.h"
#include "text/segment_tokenizer.h"
#include "text/sentencepiece.h"
#include "text/unicode.h"

namespace moefy::text {
namespace {

constexpr uint64_t kMaxModelBytes = uint64_t{256} << 20;
constexpr int64_t kMaxExtraIds = 1 << 20;

class T5Tokenizer final : public SegmentTokenizer {
 public:
  T5Tokenizer(SentencePieceModel model, const TokenizerConfig& config)
      : legacy_(config.object().GetBool("legacy", true)),
        add_prefix_space_(config.object().GetBool("add_prefix_space", true)),
        pieces_(WithLegacy(std::move(model), legacy_)) {
    const JsonObject object = config.object();
    clean_up_spaces_ = object.GetBool("clean_up_tokenization_spaces", true);
    if (object.Has("sp_model_kwargs") && !object.GetObject("sp_model_kwargs").Keys().empty()) {
      throw InputError(object.PathOf("sp_model_kwargs"), ": options here are not supported");
    }
    base_vocab_size_ = vocab_size_ = pieces_.num_pieces();
    AddSentinels(config);
    for (const AddedToken& token : config.added_tokens) AddToken(token);
    eos_id_ = AddNamedToken(config, "eos_token", "</s>");
    AddNamedToken(config, "unk_token", "<unk>");
    pad_id_ = AddNamedToken(config, "pad_token", "<pad>");
    for (const std::string& content : config.GetAdditionalSpecialTokens()) {
      AddSpecialToken(content, FindPiece(content));
    }
    unknown_token_ = config.GetToken("unk_token", "<unk>");
    unknown_length_ = pieces_.EncodeAsPieces(unknown_token_).size();
  }

  std::optional<int64_t> eos_id() const override { return eos_id_; }

 protected:
  Ids Segment(std::string_view text) const override {
    std::vector<std::string> tokens;
    const bool prefix = !legacy_ && !text.empty();
    std::string prepared(text);
    if (prefix) {
      prepared = ReplaceAll(std::move(prepared), kSpaceSymbol, " ");
      if (add_prefix_space_) prepared = std::string(kSpaceSymbol) + prepared;
    }
    for (const AddedTokens::Part& part : added_.Split(prepared)) {
      if (part.token) {
        tokens.push_back(part.text);
      } else {
        for (std::string& piece : SegmentPart(part.text)) tokens.push_back(std::move(piece));
      }
    }
    if (prefix && tokens.size() > 1 && tokens[0] == kSpaceSymbol) {
      // The prefix is not wanted before a special token.
      const AddedToken* next = added_.FindContent(tokens[1]);
      if (next && next->special) tokens.erase(tokens.begin());
    }
    Ids ids;
    ids.reserve(tokens.size() + 2);
    for (const std::string& token : tokens) {
      const AddedToken* added = added_.FindContent(token);
      ids.push_back(added ? added->id : pieces_.PieceToId(token));
    }
    return ids;
  }

  int64_t NumSpecialTokens(bool pair) const override { return pair ? 2 : 1; }

  Encoding Assemble(Ids first, const Ids* second) const override {
    const auto add_eos = [&](Ids& ids, size_t begin) {
      if (ids.size() == begin || ids.back() != eos_id_) ids.push_back(eos_id_);
    };
    add_eos(first, 0);
    if (second) {
      const size_t begin = first.size();
      first.insert(first.end(), second->begin(), second->end());
      add_eos(first, begin);
    }
    std::vector<int64_t> types(first.size(), 0);
    return {std::move(first), std::move(types)};
  }

  std::string IdToToken(int64_t id) const override { return pieces_.IdToPiece(id); }

  std::string JoinTokens(const std::vector<std::string>& tokens) const override {
    std::string text;
    std::vector<std::string> run;  // pieces since the last special token
    bool after_special = false;
    for (size_t i = 0; i < tokens.size(); ++i) {
      std::string token = tokens[i];
      // The space that Segment put in front is not part of the text.
      if (i == 0 && add_prefix_space_ && token.starts_with(kSpaceSymbol)) {
        token = token.substr(kSpaceSymbol.size());
      }
      const AddedToken* added = added_.FindContent(token);
      if (added && added->special) {
        if (!after_special) text += " ";
        text += pieces_.DecodePieces(run) + token;
        run.clear();
        after_special = true;
      } else {
        run.push_back(std::move(token));
        after_special = false;
      }
    }
    return Strip(text + pieces_.DecodePieces(run));
  }

 private:
  static SentencePieceModel WithLegacy(SentencePieceModel model, bool legacy) {
    if (!legacy) model.add_dummy_prefix = false;  // Segment adds the prefix itself, once
    return model;
  }

  std::optional<int64_t> FindPiece(const std::string& content) const {
    if (!pieces_.HasPiece(content)) return std::nullopt;
    return pieces_.PieceToId(content);
  }

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

  int64_t AddNamedToken(const TokenizerConfig& config, const std::string& key,
                        const std::string& if_absent) {
    const std::string content = config.GetToken(key, if_absent);
    const std::optional<int64_t> id = FindPiece(content);
    if (!id && !added_.FindContent(content)) {
      throw InputError(key, " ", Quoted(content), " is not in the vocabulary");
    }
    AddSpecialToken(content, id);
    return added_.FindContent(content)->id;
  }

  std::vector<std::string> SegmentPart(const std::string& text) const {
    if (legacy_ || !(text.starts_with(kSpaceSymbol) || text.starts_with(" "))) {
      return pieces_.EncodeAsPieces(text);
    }
    // Without a dummy prefix a leading space would be squeezed away; behind the unknown token's
    // text it is kept, and that text's pieces are dropped again.
    std::vector<std::string> pieces = pieces_.EncodeAsPieces(unknown_token_ + text);
    if (pieces.size() >= unknown_length_) {
      pieces.erase(pieces.begin(), pieces.begin() + static_cast<ptrdiff_t>(unknown_length_));
    }
    return pieces;
  }

  bool legacy_;
  bool add_prefix_space_;
  SentencePiece pieces_;
  int64_t eos_id_ = 0;
  std::string unknown_token_;
  size_t unknown_length_ = 0;
};

}  // namespace

std::unique_ptr<Tokenizer> LoadT5Tokenizer(const std::filesystem::path& spiece_model,
                                           const TokenizerConfig& config) {
  const std::string bytes = ReadTextFile(spiece_model, kMaxModelBytes);
  return WithContext(spiece_model.string(), [&]() -> std::unique_ptr<Tokenizer> {
    return std::make_unique<T5Tokenizer>(ParseSentencePieceModel(bytes), config);
  });
}

}  // namespace moefy::text
