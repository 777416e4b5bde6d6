// Text to token ids and back, equal to the reference tokenizers of each family.
// Thread-safety: a loaded Tokenizer may be used from many threads.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moefy::io {
class Checkpoint;
}

namespace moefy::text {

// Which of two segments is cut if both together are over the limit.
enum class Truncation {
  kLongestFirst,  // the longer one loses its last token, again and again; if equal, the second
  kOnlySecond,    // the first is kept whole (a question and its context)
};

struct EncodeOptions {
  bool add_special_tokens = true;
  // The most tokens there may be, special tokens included, which are never cut; 0 means no limit. A
  // limit that cannot hold the special tokens (or, for kOnlySecond, the first segment) is
  // Error{kUsage}.
  int64_t max_tokens = 0;
  Truncation truncation = Truncation::kLongestFirst;
};

struct Encoding {
  std::vector<int64_t> ids;
  std::vector<int64_t> token_type_ids;  // of the same length; all 0 in families without segments
};

// The languages a model translates between, by the codes of its tokenizer: "fr" (M2M100),
// "fra_Latn" (NLLB), "fr_XX" (mBART), "fra" (Opus-MT). "" means what tokenizer_config.json says.
struct Languages {
  std::string source;
  std::string target;
};

// What a decoder is given, or made to write, before it writes by itself; -1 means nothing.
struct TargetStart {
  int64_t decoder_start_id = -1;  // its first input
  int64_t forced_first_id = -1;   // its first output
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // `text` is UTF-8; invalid bytes are replaced by U+FFFD first.
  virtual Encoding Encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  virtual Encoding EncodePair(std::string_view first, std::string_view second,
                              const EncodeOptions& options = {}) const = 0;
  // Encodes what such a model writes, as labels and for scoring. It differs from Encode only if
  // source and target have vocabularies or languages of their own. If the token of the target
  // language is the decoder's first output, it is there without special tokens as well, because all
  // that follows depends on it. Throws Error{kUsage} if a language is needed and none was chosen.
  virtual Encoding EncodeTarget(std::string_view text, const EncodeOptions& options = {}) const {
    return Encode(text, options);
  }
  // Puts the target language into `start`, which holds what the model's configuration says. Throws
  // Error{kUsage} if a language is needed, none was chosen and `start` has none.
  virtual void BeginTarget(TargetStart& /*start*/) const {}
  // The codes that Languages may name; none if the tokenizer has no tokens for languages.
  virtual std::vector<std::string> LanguageCodes() const { return {}; }
  // Turns ids back into text. With skip_special_tokens, special tokens (the unknown token among
  // them) are left out, and spaces before punctuation are removed if the tokenizer's configuration
  // says so; without it, nothing is left out or tidied. Throws Error{kInput} for an id that no
  // token has.
  virtual std::string Decode(const std::vector<int64_t>& ids,
                             bool skip_special_tokens = true) const = 0;

  virtual int64_t vocab_size() const = 0;  // ids are below this, added tokens included
  virtual int64_t pad_id() const = 0;      // </s> or the like if there is no token for padding
  virtual std::optional<int64_t> eos_id() const = 0;
  // The token that stands for one to be guessed, which only vocabularies of masked language models
  // have.
  virtual std::optional<int64_t> mask_id() const { return std::nullopt; }
};

// Loads what lies in `directory`, with tokenizer_config.json's options: whichever vocabulary files
// of docs/tokenizers.md go with its "tokenizer_class" or, where that is not named, with
// config.json's "model_type". `data_directory` may hold the vocabulary apart from the
// configuration. Throws Error{kInput}: listing the files looked for, or naming the one at fault;
// Error{kUsage} for languages that the tokenizer does not have.
std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& directory,
                                         const std::filesystem::path& data_directory = {},
                                         const Languages& languages = {});
// The same for the tokenizer beside a checkpoint's weights, by the config that it keeps.
std::unique_ptr<Tokenizer> LoadTokenizer(const io::Checkpoint& checkpoint,
                                         const Languages& languages = {});

// The names of the files that LoadTokenizer reads and of others of the kind, which are copied with
// a checkpoint.
const std::vector<std::string>& TokenizerFileNames();

}  // namespace moefy::text
