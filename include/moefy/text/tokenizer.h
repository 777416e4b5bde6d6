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

namespace moefy::text {

// Which of two segments gives way when they are over the limit.
enum class Truncation {
  kLongestFirst,  // the longer one loses its last token, again and again; of equals, the second
  kOnlySecond,    // the first is kept whole (a question and its context)
};

struct EncodeOptions {
  bool add_special_tokens = true;
  // 0: no limit; special tokens count, and survive truncation. A limit that cannot hold them (or,
  // for kOnlySecond, the first segment) is Error{kUsage}.
  int64_t max_tokens = 0;
  Truncation truncation = Truncation::kLongestFirst;
};

struct Encoding {
  std::vector<int64_t> ids;
  std::vector<int64_t> token_type_ids;  // same length; all 0 for families without segments
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  // `text` is UTF-8; invalid bytes are replaced by U+FFFD first.
  virtual Encoding Encode(std::string_view text, const EncodeOptions& options = {}) const = 0;
  virtual Encoding EncodePair(std::string_view first, std::string_view second,
                              const EncodeOptions& options = {}) const = 0;
  // What such a model writes, as labels and for scoring; the same as Encode except where source and
  // target have vocabularies of their own.
  virtual Encoding EncodeTarget(std::string_view text, const EncodeOptions& options = {}) const {
    return Encode(text, options);
  }
  // Without skipping, nothing is left out and nothing tidied. With it, special tokens (the unknown
  // token among them) are left out, and spaces before punctuation are removed if the tokenizer's
  // configuration says so. Throws Error{kInput} for an id that no token has.
  virtual std::string Decode(const std::vector<int64_t>& ids,
                             bool skip_special_tokens = true) const = 0;

  virtual int64_t vocab_size() const = 0;  // ids are below this, added tokens included
  virtual int64_t pad_id() const = 0;      // </s> or the like where there is no token for padding
  virtual std::optional<int64_t> eos_id() const = 0;
  // The token that stands for one to be guessed; only vocabularies of masked language models have
  // it.
  virtual std::optional<int64_t> mask_id() const { return std::nullopt; }
};

// Loads what lies in `directory`, with tokenizer_config.json's options: spiece.model (T5),
// tokenizer.model (LLaMA, Mistral), vocab.txt (BERT), vocab.json and merges.txt (GPT-2, OPT,
// RoBERTa, BART, Qwen2), source_vocab.txt and target_vocab.txt (characters), or else tokenizer.json
// (any made of the components we have). docs/tokenizers.md tells more. `data_directory` may hold
// the vocabulary apart from the configuration. Throws Error{kInput}: listing the files looked for,
// or naming the one at fault.
std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& directory,
                                         const std::filesystem::path& data_directory = {});

// The files LoadTokenizer reads and others of the kind, to be copied with a checkpoint.
const std::vector<std::string>& TokenizerFileNames();

}  // namespace moefy::text
