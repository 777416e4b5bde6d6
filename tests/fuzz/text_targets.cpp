#include <array>

#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "moefy/text/tokenizer.h"

namespace moefy::fuzz {
namespace {

// The first byte says which file the rest is; the others are as below, so that it is looked at.
struct File {
  const char* name;
  const char* beside;  // "" or a file that makes it count
  const char* contents;
};
constexpr std::array<File, 7> kFiles = {{
    {"tokenizer_config.json", "vocab.txt", "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\na\n"},
    {"vocab.txt", "tokenizer_config.json", R"({"tokenizer_class":"BertTokenizer"})"},
    {"spiece.model", "tokenizer_config.json", R"({"tokenizer_class":"T5Tokenizer"})"},
    {"tokenizer.json", "tokenizer_config.json", R"({"tokenizer_class":"PreTrainedTokenizerFast"})"},
    {"merges.txt", "vocab.json", R"({"a":0,"b":1,"ab":2,"<|endoftext|>":3})"},
    {"vocab.json", "merges.txt", "#version: 0.2\na b\n"},
    {"tokenizer.model", "tokenizer_config.json", R"({"tokenizer_class":"LlamaTokenizer"})"},
}};

}  // namespace

void Tokenizer(std::span<const std::byte> input) {
  if (input.empty()) return;
  static const Directory directory;
  const File& file = kFiles[static_cast<size_t>(input[0]) % kFiles.size()];
  for (const File& other : kFiles) std::filesystem::remove(directory.path() / other.name);
  directory.Write("config.json", "{}");
  directory.Write(file.beside, file.contents);
  directory.Write(file.name, AsText(input.subspan(1)));
  Refusable([&] {
    const auto tokenizer = text::LoadTokenizer(directory.path());
    tokenizer->Decode(tokenizer->Encode("a \xc3\xa9 ab<pad>", {}).ids, true);
  });
}

}  // namespace moefy::fuzz
