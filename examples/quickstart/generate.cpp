// moefy_example_generate DIRECTORY: writes the example's data files, always the same.
#include <fstream>
#include <iostream>

#include "corpus.h"

int main(int argc, char** argv) {
  if (argc != 2) {
    std::cerr << "usage: moefy_example_generate DIRECTORY\n";
    return 2;
  }
  for (const moefy::example::DataFile& file : moefy::example::MakeDataFiles()) {
    const std::string path = std::string(argv[1]) + "/" + file.name;
    std::ofstream out(path, std::ios::binary);
    out << file.text << std::flush;
    if (!out) {
      std::cerr << "moefy_example_generate: cannot write " << path << "\n";
      return 4;
    }
    std::cerr << path << ": " << file.text.size() << " bytes\n";
  }
  return 0;
}
