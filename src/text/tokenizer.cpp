#include "moefy/text/tokenizer.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "text/t5_tokenizer.h"
#include "text/tokenizer_config.h"
#include "text/wordpiece_tokenizer.h"

namespace moefy::text {
namespace {

// What LoadTokenizer recognises: a vocabulary file, and the values of "tokenizer_class" whose
// conventions we follow. A new kind of tokenizer is one more row.
struct Kind {
  const char* vocabulary_file;
  std::vector<std::string> classes;  // without the suffix "Fast"; any of them may be left unsaid
  std::unique_ptr<Tokenizer> (*load)(const std::filesystem::path& vocabulary,
                                     const TokenizerConfig& config);
};

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kKinds = {
      {"spiece.model", {"T5Tokenizer", "MT5Tokenizer"}, &LoadT5Tokenizer},
      {"vocab.txt",
       {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"},
       &LoadWordPieceTokenizer},
  };
  return kKinds;
}

void CheckClass(const Kind& kind, const TokenizerConfig& config) {
  const JsonObject object = config.object();
  std::string name = object.GetString("tokenizer_class", "");
  if (name.ends_with("Fast")) name.resize(name.size() - 4);
  if (name.empty() ||
      std::find(kind.classes.begin(), kind.classes.end(), name) != kind.classes.end()) {
    return;
  }
  throw InputError(object.PathOf("tokenizer_class"), ": ", Quoted(name), " is not supported with ",
                   kind.vocabulary_file, "; supported: ", Join(kind.classes));
}

}  // namespace

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& directory,
                                         const std::filesystem::path& data_directory) {
  std::vector<std::filesystem::path> places = {directory};
  if (!data_directory.empty()) places.push_back(data_directory);
  std::vector<std::string> looked_for;
  for (const std::filesystem::path& place : places) {
    for (const Kind& kind : Kinds()) {
      const std::filesystem::path vocabulary = place / kind.vocabulary_file;
      looked_for.push_back(vocabulary.string());
      if (!std::filesystem::exists(vocabulary)) continue;
      const TokenizerConfig config = ReadTokenizerConfig(directory);
      CheckClass(kind, config);
      return kind.load(vocabulary, config);
    }
  }
  throw InputError("no tokenizer found; looked for ", Join(looked_for));
}

const std::vector<std::string>& TokenizerFileNames() {
  static const std::vector<std::string> kNames = {"tokenizer_config.json",
                                                  "special_tokens_map.json",
                                                  "added_tokens.json",
                                                  "tokenizer.json",
                                                  "spiece.model",
                                                  "tokenizer.model",
                                                  "vocab.txt",
                                                  "vocab.json",
                                                  "merges.txt",
                                                  "source.spm",
                                                  "target.spm",
                                                  "sentencepiece.bpe.model"};
  return kNames;
}

}  // namespace moefy::text
