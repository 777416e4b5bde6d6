#include "text/sentencepiece/sentencepiece_tokenizer.h"

#include <utility>

#include "base/output.h"
#include "moefy/base/error.h"

namespace moefy::text {
namespace {

constexpr uint64_t kMaxModelBytes = uint64_t{256} << 20;

SentencePieceModel WithLegacy(SentencePieceModel model, bool legacy) {
  if (!legacy) model.add_dummy_prefix = false;  // Segment adds the prefix itself, once
  return model;
}

}  // namespace

SentencePieceTokenizer::SentencePieceTokenizer(SentencePieceModel model,
                                               const TokenizerConfig& config)
    : SegmentTokenizer(config),
      legacy_(config.object().GetBool("legacy", true)),
      add_prefix_space_(config.object().GetBool("add_prefix_space", true)),
      pieces_(WithLegacy(std::move(model), legacy_)) {
  CheckSentencePieceOptions(config);
  base_vocab_size_ = vocab_size_ = pieces_.num_pieces();
}

void SentencePieceTokenizer::FinishTokens(const TokenizerConfig& config) {
  AddNamedToken(config, "unk_token", "<unk>");
  for (const std::string& content : config.GetAdditionalSpecialTokens()) {
    AddSpecialToken(content, FindPiece(content));
  }
  unknown_token_ = config.GetToken("unk_token", "<unk>");
  unknown_length_ = pieces_.EncodeAsPieces(unknown_token_).size();
}

std::optional<int64_t> SentencePieceTokenizer::FindPiece(const std::string& content) const {
  if (!pieces_.HasPiece(content)) return std::nullopt;
  return pieces_.PieceToId(content);
}

int64_t SentencePieceTokenizer::AddNamedToken(const TokenizerConfig& config, const std::string& key,
                                              const std::string& if_absent) {
  const std::string content = config.GetToken(key, if_absent);
  const std::optional<int64_t> id = FindPiece(content);
  if (!id && !added_.FindContent(content)) {
    throw InputError(key, " ", Quoted(content), " is not in the vocabulary");
  }
  AddSpecialToken(content, id);
  return added_.FindContent(content)->id;
}

std::string SentencePieceTokenizer::JoinPieces(const std::vector<std::string>& tokens,
                                               SpecialSpaces spaces) const {
  std::string text;
  std::vector<std::string> run;  // pieces since the last special token
  bool after_special = false;
  for (size_t i = 0; i < tokens.size(); ++i) {
    std::string token = tokens[i];
    // The space that Segment put in front is not part of the text.
    if (i == 0 && add_prefix_space_ && token.starts_with(kSpaceSymbol)) {
      token = token.substr(kSpaceSymbol.size());
    }
    if (IsSpecial(token)) {
      if (spaces.before_special && !after_special && i != 0) text += " ";
      text += pieces_.DecodePieces(run) + token;
      run.clear();
      after_special = true;
    } else {
      if (spaces.after_first_special && after_special && i == 1 && add_prefix_space_ &&
          !token.starts_with(kSpaceSymbol)) {
        text += " ";
      }
      run.push_back(std::move(token));
      after_special = false;
    }
  }
  return text + pieces_.DecodePieces(run);
}

bool SentencePieceTokenizer::IsSpecial(const std::string& token) const {
  const AddedToken* added = added_.FindContent(token);
  return added && added->special;
}

SegmentTokenizer::Ids SentencePieceTokenizer::Segment(std::string_view text) const {
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
  // The prefix is not wanted before a special token.
  if (prefix && tokens.size() > 1 && tokens[0] == kSpaceSymbol && IsSpecial(tokens[1])) {
    tokens.erase(tokens.begin());
  }
  Ids ids;
  ids.reserve(tokens.size() + 2);
  for (const std::string& token : tokens) {
    const AddedToken* added = added_.FindContent(token);
    ids.push_back(added ? added->id : pieces_.PieceToId(token));
  }
  return ids;
}

std::vector<std::string> SentencePieceTokenizer::SegmentPart(const std::string& text) const {
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

void CheckSentencePieceOptions(const TokenizerConfig& config) {
  const JsonObject object = config.object();
  if (!object.Has("sp_model_kwargs")) return;
  const JsonObject options = object.GetObject("sp_model_kwargs");
  // The two other options have no effect without sampling.
  if (options.GetBool("enable_sampling", false)) {
    throw InputError(options.PathOf("enable_sampling"), ": true is not supported");
  }
  options.GetNumber("alpha", -1e9, 1e9, 0);
  options.GetNumber("nbest_size", -1e9, 1e9, 0);
  options.RefuseUnknownKeys();
}

std::unique_ptr<const SentencePiece> ReadSentencePiece(const std::filesystem::path& file) {
  const std::string bytes = ReadTextFile(file, kMaxModelBytes);
  return WithContext(file.string(), [&] {
    return std::make_unique<const SentencePiece>(ParseSentencePieceModel(bytes));
  });
}

std::unique_ptr<Tokenizer> WithSentencePieceModel(
    const std::filesystem::path& file,
    const std::function<std::unique_ptr<Tokenizer>(SentencePieceModel)>& make) {
  const std::string bytes = ReadTextFile(file, kMaxModelBytes);
  return WithContext(file.string(), [&] { return make(ParseSentencePieceModel(bytes)); });
}

}  // namespace moefy::text
