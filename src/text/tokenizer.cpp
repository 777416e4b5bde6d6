#include "moefy/text/tokenizer.h"

#include <algorithm>

#include "moefy/base/error.h"
#include "text/byte_level_tokenizer.h"
#include "text/character_tokenizer.h"
#include "text/llama_tokenizer.h"
#include "text/pipeline_tokenizer.h"
#include "text/t5_tokenizer.h"
#include "text/tokenizer_config.h"
#include "text/wordpiece_tokenizer.h"

namespace moefy::text {
namespace {

// What LoadTokenizer recognises: a vocabulary file, and the values of "tokenizer_class" whose
// conventions we follow; none: any. A new kind of tokenizer is one more row.
struct Kind {
  const char* vocabulary_file;
  std::vector<std::string> classes;  // without the suffix "Fast"; any of them may be left unsaid
  std::unique_ptr<Tokenizer> (*load)(const std::filesystem::path& vocabulary,
                                     const TokenizerConfig& config);
};

const std::vector<Kind>& Kinds() {
  static const std::vector<Kind> kKinds = {
      {"spiece.model", {"T5Tokenizer", "MT5Tokenizer"}, &LoadT5Tokenizer},
      {"tokenizer.model", {"LlamaTokenizer"}, &LoadLlamaTokenizer},
      {"vocab.txt",
       {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"},
       &LoadWordPieceTokenizer},
      {"vocab.json",
       {"GPT2Tokenizer", "CodeGenTokenizer", "RobertaTokenizer", "BartTokenizer",
        "LongformerTokenizer", "LEDTokenizer", "Qwen2Tokenizer"},
       &LoadByteLevelTokenizer},
      {"source_vocab.txt", {}, &LoadCharacterTokenizer},
      {"tokenizer.json", {}, &LoadPipelineTokenizer},
  };
  return kKinds;
}

}  // namespace

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& directory,
                                         const std::filesystem::path& data_directory) {
  std::vector<std::filesystem::path> places = {directory};
  if (!data_directory.empty()) places.push_back(data_directory);
  const TokenizerConfig config = ReadTokenizerConfig(directory);
  const std::string name = config.ClassName();
  std::vector<std::string> looked_for, refused;
  for (const std::filesystem::path& place : places) {
    for (const Kind& kind : Kinds()) {
      const std::filesystem::path vocabulary = place / kind.vocabulary_file;
      looked_for.push_back(vocabulary.string());
      std::error_code ignored;
      if (!std::filesystem::exists(vocabulary, ignored)) continue;
      const auto& classes = kind.classes;
      if (name.empty() || classes.empty() ||
          std::find(classes.begin(), classes.end(), name) != classes.end()) {
        return kind.load(vocabulary, config);
      }
      // Whatever its class, a tokenizer.json beside it would tell all.
      refused.push_back(StrCat(Quoted(name), " is not supported with ", kind.vocabulary_file,
                               "; supported: ", Join(classes)));
    }
  }
  if (!refused.empty()) {
    throw InputError(config.object().PathOf("tokenizer_class"), ": ", Join(refused, "; "));
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
                                                  "source_vocab.txt",
                                                  "target_vocab.txt",
                                                  "source.spm",
                                                  "target.spm",
                                                  "sentencepiece.bpe.model"};
  return kNames;
}

}  // namespace moefy::text
