// A model's tokenizers by the languages that they were told: each is loaded once, and tasks without
// languages share one. Refers to the checkpoint. One caller at a time.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "moefy/io/checkpoint.h"
#include "moefy/text/tokenizer.h"

namespace moefy::ask {

class Tokenizers {
 public:
  explicit Tokenizers(const io::Checkpoint& checkpoint) : checkpoint_(&checkpoint) {}

  // Throws as text::LoadTokenizer. The tokenizer lives as long as this object.
  const text::Tokenizer& Get(const text::Languages& languages = {});

 private:
  const io::Checkpoint* checkpoint_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<text::Tokenizer>> loaded_;
};

}  // namespace moefy::ask
