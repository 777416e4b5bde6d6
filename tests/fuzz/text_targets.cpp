#include <string>
#include <utility>
#include <vector>

#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "moefy/text/tokenizer.h"
#include "support/sentencepiece_bytes.h"
#include "text/sentencepiece/sentencepiece_model.h"

namespace moefy::fuzz {
namespace {

using Files = std::vector<std::pair<const char*, std::string>>;

// The first byte says which file the rest is; those beside it are as below, so that it is looked
// at.
struct File {
  const char* name;
  Files beside;
};

std::string Pieces() {
  text::SentencePieceModel model;
  model.pieces = {{"<unk>", 0, text::PieceType::kUnknown},
                  {"<s>", 0, text::PieceType::kControl},
                  {"</s>", 0, text::PieceType::kControl},
                  {"\xE2\x96\x81"
                   "a",
                   -1},
                  {"b", -2}};
  return tests::FormatSentencePieceModel(model);
}

const std::vector<File>& AllFiles() {
  static const std::vector<File> kFiles = {
      {"tokenizer_config.json", {{"vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"}}},
      {"vocab.txt", {{"tokenizer_config.json", R"({"tokenizer_class":"BertTokenizer"})"}}},
      {"spiece.model", {{"tokenizer_config.json", R"({"tokenizer_class":"T5Tokenizer"})"}}},
      {"tokenizer.json",
       {{"tokenizer_config.json", R"({"tokenizer_class":"PreTrainedTokenizerFast"})"}}},
      {"merges.txt", {{"vocab.json", R"({"a":0,"b":1,"ab":2,"<|endoftext|>":3})"}}},
      {"vocab.json", {{"merges.txt", "#version: 0.2\na b\n"}}},
      {"tokenizer.model", {{"tokenizer_config.json", R"({"tokenizer_class":"LlamaTokenizer"})"}}},
      // Opus-MT's and M2M100's vocabulary, and the options of those with languages.
      {"vocab.json",
       {{"source.spm", Pieces()},
        {"target.spm", Pieces()},
        {"tokenizer_config.json", R"({"tokenizer_class":"MarianTokenizer"})"}}},
      {"vocab.json",
       {{"sentencepiece.bpe.model", Pieces()},
        {"tokenizer_config.json", R"({"tokenizer_class":"M2M100Tokenizer"})"}}},
      {"tokenizer_config.json", {{"sentencepiece.bpe.model", Pieces()}}},
      {"tokenizer_config.json", {{"spm.model", Pieces()}}},
      {"spiece.model", {{"tokenizer_config.json", R"({"tokenizer_class":"PegasusTokenizer"})"}}},
      {"spiece.model", {{"tokenizer_config.json", R"({"tokenizer_class":"AlbertTokenizer"})"}}},
      {"tokenizer_config.json", {}},  // ByT5
  };
  return kFiles;
}

}  // namespace

void Tokenizer(std::span<const std::byte> input) {
  if (input.empty()) return;
  static const Directory directory;
  const File& file = AllFiles()[static_cast<size_t>(input[0]) % AllFiles().size()];
  for (const File& other : AllFiles()) {
    std::filesystem::remove(directory.path() / other.name);
    for (const auto& [name, contents] : other.beside) {
      std::filesystem::remove(directory.path() / name);
    }
  }
  directory.Write("config.json", "{}");
  for (const auto& [name, contents] : file.beside) directory.Write(name, contents);
  directory.Write(file.name, AsText(input.subspan(1)));
  Refusable([&] {
    const auto tokenizer = text::LoadTokenizer(directory.path());
    tokenizer->Decode(tokenizer->Encode("a \xc3\xa9 ab<pad>", {}).ids, true);
    text::TargetStart start;
    tokenizer->BeginTarget(start);
    tokenizer->Decode(tokenizer->EncodeTarget(">>fr<< a 1,", {}).ids, false);
  });
}

}  // namespace moefy::fuzz
