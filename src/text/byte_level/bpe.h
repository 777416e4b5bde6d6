// Byte-pair encoding of a word by a list of merges: GPT-2's merges.txt, "BPE" of tokenizer.json.
// Equal to tokenizers 0.19's BPE without dropout. Thread-safety: const methods from many threads.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/byte_level/bpe_merge.h"
#include "text/vocabulary.h"

namespace moefy::text {

struct BpeOptions {
  std::optional<int64_t> unknown_id = std::nullopt;  // if not set, unknown characters are left out
  bool fuse_unknown = false;           // neighbouring unknown characters are one token
  bool byte_fallback = false;          // unknown characters become <0x00> to <0xFF>, if those exist
  bool ignore_merges = false;          // a word of the vocabulary is taken as it is
  std::string continuing_prefix = "";  // begins every character but a word's first
  std::string end_of_word_suffix = "";  // ends a word's last character
};

class Bpe {
 public:
  using Merges = std::vector<std::pair<std::string, std::string>>;

  // Throws Error{kInput} if the vocabulary lacks the parts or the result of a merge.
  Bpe(std::shared_ptr<const Vocabulary> vocabulary, const Merges& merges, BpeOptions options);

  // Appends the ids of `word`, valid UTF-8.
  void AppendIds(std::string_view word, std::vector<int64_t>& ids) const;

 private:
  std::vector<BpeSymbol> Characters(std::string_view word) const;

  std::shared_ptr<const Vocabulary> vocabulary_;
  BpeOptions options_;
  std::unordered_map<uint64_t, BpeMerge> merges_;  // by both ids
  std::array<std::optional<int64_t>, 256> byte_ids_;
};

// Reads merges.txt: two tokens a line, the best pair first. A first line "#version: ..." and empty
// lines do not count. Throws Error{kInput} that names the line.
Bpe::Merges ParseMerges(std::string_view text);

// "<0x0A>" for 10, and back; nothing if `token` is not of that form.
std::string ByteToken(unsigned char byte);
std::optional<unsigned char> ParseByteToken(std::string_view token);

}  // namespace moefy::text
