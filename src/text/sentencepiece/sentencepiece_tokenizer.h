// What the tokenizers of T5 and LLaMA share: added tokens around a SentencePiece model, and the
// option "legacy". Equal to the slow tokenizers of transformers 4.44. Thread-safety: as Tokenizer.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "text/segment_tokenizer.h"
#include "text/sentencepiece/sentencepiece.h"
#include "text/sentencepiece/sentencepiece_model.h"
#include "text/tokenizer_config.h"

namespace moefy::text {

class SentencePieceTokenizer : public SegmentTokenizer {
 protected:
  SentencePieceTokenizer(SentencePieceModel model, const TokenizerConfig& config);

  // To be called when all tokens have been added. Throws Error{kInput} if the unknown token is not
  // in the vocabulary.
  void FinishTokens(const TokenizerConfig& config);

  Ids Segment(std::string_view text) const override;
  std::string IdToToken(int64_t id) const override { return pieces_.IdToPiece(id); }

  std::optional<int64_t> FindPiece(const std::string& content) const;
  // Adds the token that `key` of the configuration names and returns its id.
  int64_t AddNamedToken(const TokenizerConfig& config, const std::string& key,
                        const std::string& if_absent);
  bool IsSpecial(const std::string& token) const;

  // Where decoding adds a space that no token brings.
  struct SpecialSpaces {
    bool before_special;       // before a special token that does not follow another or come first
    bool after_first_special;  // behind one at the very beginning, if the next has none
  };
  std::string JoinPieces(const std::vector<std::string>& tokens, SpecialSpaces spaces) const;

  bool legacy_;
  bool add_prefix_space_;
  SentencePiece pieces_;

 private:
  std::vector<std::string> SegmentPart(const std::string& text) const;

  std::string unknown_token_;
  size_t unknown_length_ = 0;
};

// Throws Error{kInput} for a sp_model_kwargs that asks for anything but the best pieces.
void CheckSentencePieceOptions(const TokenizerConfig& config);

// Reads a model; throws Error{kInput} that names the file.
std::unique_ptr<const SentencePiece> ReadSentencePiece(const std::filesystem::path& file);

// Reads a model and makes a tokenizer of it; errors name the file.
std::unique_ptr<Tokenizer> WithSentencePieceModel(
    const std::filesystem::path& file,
    const std::function<std::unique_ptr<Tokenizer>(SentencePieceModel)>& make);

}  // namespace moefy::text
