#include "moefy/text/tokenizer.h"

#include <algorithm>

#include "base/json.h"
#include "moefy/base/error.h"
#include "moefy/io/checkpoint.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_kinds.h"

namespace moefy::text {
namespace {

// What LoadTokenizer recognises: a vocabulary file, and the values of "tokenizer_class" that may go
// with it (an empty list: any). A new kind of tokenizer is one more row, and one more function in
// tokenizer_kinds.h. If neither class nor model_type is known, the first row whose file is there
// counts.
struct TokenizerKind {
  const char* vocabulary_file;
  std::vector<std::string> classes;  // without the suffix "Fast"; any of them may be left unsaid
  std::unique_ptr<Tokenizer> (*load)(const std::filesystem::path& vocabulary,
                                     const TokenizerConfig& config);
};

const std::vector<TokenizerKind>& TokenizerKinds() {
  static const std::vector<TokenizerKind> kKinds = {
      {"spiece.model", {"T5Tokenizer"}, &LoadT5Tokenizer},
      {"spiece.model",
       {"PegasusTokenizer", "AlbertTokenizer", "BergamotTokenizer"},
       &LoadPieceTokenizer},
      {"tokenizer.model", {"LlamaTokenizer"}, &LoadLlamaTokenizer},
      {"tokenizer.model", {"GemmaTokenizer"}, &LoadPieceTokenizer},
      {"spm.model", {"DebertaV2Tokenizer"}, &LoadPieceTokenizer},
      {"source.spm", {"MarianTokenizer"}, &LoadMarianTokenizer},
      {"sentencepiece.bpe.model",
       {"XLMRobertaTokenizer", "CamembertTokenizer", "MBartTokenizer", "MBart50Tokenizer",
        "NllbTokenizer", "M2M100Tokenizer"},
       &LoadPieceTokenizer},
      {"vocab.txt",
       {"BertTokenizer", "DistilBertTokenizer", "ElectraTokenizer"},
       &LoadWordPieceTokenizer},
      {"source_vocab.txt", {}, &LoadCharacterTokenizer},
      {"tokenizer.json", {}, &LoadPipelineTokenizer},
      // This row follows tokenizer.json, which says how words are cut before they are looked up.
      {"vocab.json",
       {"GPT2Tokenizer", "CodeGenTokenizer", "RobertaTokenizer", "BartTokenizer",
        "LongformerTokenizer", "LEDTokenizer", "Qwen2Tokenizer"},
       &LoadByteLevelTokenizer},
      {"", {"ByT5Tokenizer"}, &LoadByteTokenizer},  // it needs no file
  };
  return kKinds;
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether the row's file may be read: as the class says or, if nothing tells the class, as any.
bool Fits(const TokenizerKind& kind, const TokenizerConfig& config) {
  const std::string name = config.ClassName();
  if (kind.classes.empty() || Contains(kind.classes, name)) return true;
  return name.empty() && config.model_type.empty() && *kind.vocabulary_file != '\0';
}

// Says why a vocabulary file that is there was not read.
std::string Refusal(const std::string& file, const TokenizerConfig& config) {
  std::vector<std::string> supported;
  for (const TokenizerKind& kind : TokenizerKinds()) {
    if (file == kind.vocabulary_file) {
      supported.insert(supported.end(), kind.classes.begin(), kind.classes.end());
    }
  }
  const std::string name = config.ClassName();
  if (!name.empty()) {
    return StrCat(Quoted(name), " is not supported with ", file, "; supported: ", Join(supported));
  }
  return StrCat("tokenizer_class is missing, and a model_type of ", Quoted(config.model_type),
                " does not tell how to read ", file, "; it can be read as ", Join(supported));
}

void CheckLanguages(const Tokenizer& tokenizer, const Languages& languages) {
  if (!tokenizer.LanguageCodes().empty()) return;
  const bool target = !languages.target.empty();
  if (!target && languages.source.empty()) return;
  throw UsageError(target ? "--target-language" : "--source-language", " is ",
                   Quoted(target ? languages.target : languages.source),
                   ", but the model's tokenizer has no tokens for languages");
}

// Loads the vocabulary that lies in one of `places`, the first of which has the configuration.
std::unique_ptr<Tokenizer> LoadFrom(const std::vector<std::filesystem::path>& places,
                                    const std::string& model_config, const Languages& languages) {
  TokenizerConfig config = ReadTokenizerConfig(places.front(), model_config);
  config.languages = languages;
  std::vector<std::string> looked_for, refused;
  for (const std::filesystem::path& place : places) {
    for (const TokenizerKind& kind : TokenizerKinds()) {
      const std::filesystem::path vocabulary = place / kind.vocabulary_file;
      const bool wants_file = *kind.vocabulary_file != '\0';
      if (wants_file && !Contains(looked_for, vocabulary.string())) {
        looked_for.push_back(vocabulary.string());
      }
      std::error_code ignored;
      if (!std::filesystem::exists(vocabulary, ignored)) continue;
      if (Fits(kind, config)) {
        if (config.ClassName().empty() && !kind.classes.empty()) {
          config.json["tokenizer_class"] = kind.classes.front();  // what the row stands for
        }
        auto tokenizer = kind.load(vocabulary, config);
        CheckLanguages(*tokenizer, languages);
        return tokenizer;
      }
      // A row without a file is not refused: a tokenizer.json would tell all, whatever the class.
      if (!wants_file) continue;
      std::string refusal = Refusal(kind.vocabulary_file, config);
      if (!Contains(refused, refusal)) refused.push_back(std::move(refusal));
    }
  }
  if (!refused.empty()) {
    throw InputError(config.object().PathOf("tokenizer_class"), ": ", Join(refused, "; "));
  }
  throw InputError("no tokenizer found; looked for ", Join(looked_for));
}

}  // namespace

std::unique_ptr<Tokenizer> LoadTokenizer(const std::filesystem::path& directory,
                                         const std::filesystem::path& data_directory,
                                         const Languages& languages) {
  std::vector<std::filesystem::path> places = {directory};
  if (!data_directory.empty()) places.push_back(data_directory);
  return LoadFrom(places, ReadJsonText(directory / "config.json"), languages);
}

std::unique_ptr<Tokenizer> LoadTokenizer(const io::Checkpoint& checkpoint,
                                         const Languages& languages) {
  return LoadFrom({checkpoint.directory()}, checkpoint.ConfigText(), languages);
}

const std::vector<std::string>& TokenizerFileNames() {
  static const std::vector<std::string> kNames = {"tokenizer_config.json",
                                                  "special_tokens_map.json",
                                                  "added_tokens.json",
                                                  "tokenizer.json",
                                                  "spiece.model",
                                                  "spm.model",
                                                  "tokenizer.model",
                                                  "vocab.txt",
                                                  "vocab.json",
                                                  "merges.txt",
                                                  "source_vocab.txt",
                                                  "target_vocab.txt",
                                                  "source.spm",
                                                  "target.spm",
                                                  "target_vocab.json",
                                                  "sentencepiece.bpe.model"};
  return kNames;
}

}  // namespace moefy::text
