// A model's tokenizers by the languages that they were told: each is loaded once, and tasks without
// languages share one. One caller at a time.
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "moefy/text/tokenizer.h"

namespace moefy::ask {

class Tokenizers {
 public:
  explicit Tokenizers(std::filesystem::path directory) : directory_(std::move(directory)) {}

  // Throws as text::LoadTokenizer. The tokenizer lives as long as this object.
  const text::Tokenizer& Get(const text::Languages& languages = {});

 private:
  std::filesystem::path directory_;
  std::map<std::pair<std::string, std::string>, std::unique_ptr<text::Tokenizer>> loaded_;
};

}  // namespace moefy::ask
