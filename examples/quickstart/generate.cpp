// moefy_example_generate DIRECTORY: writes the example's data files and vocabulary into
// DIRECTORY/data and DIRECTORY/model, always the same. The task files are the source tree's.
#include <iostream>

#include "base/output.h"
#include "corpus.h"
#include "moefy/base/error.h"
#include "prompts.h"
#include "vocabulary.h"

namespace moefy::example {
namespace {

void Write(const std::filesystem::path& path, const std::string& text) {
  WriteTextFile(path, text, IfExists::kReplace);
  std::cerr << path.string() << ": " << text.size() << " bytes\n";
}

void Generate(const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory / "data");
  std::filesystem::create_directories(directory / "model");
  for (const DataFile& file : MakeDataFiles()) Write(directory / "data" / file.name, file.text);
  Write(directory / "model/spiece.model", TrainVocabulary(ReadSpecs(MOEFY_EXAMPLE_DIRECTORY)));
  Write(directory / "model/tokenizer_config.json", TokenizerConfig());
}

}  // namespace
}  // namespace moefy::example

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: moefy_example_generate DIRECTORY\n";
    return 2;
  }
  try {
    moefy::example::Generate(argv[1]);
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "moefy_example_generate: " << error.what() << "\n";
    return 4;
  }
}
