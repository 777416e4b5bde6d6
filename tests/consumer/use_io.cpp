// Reads a checkpoint of one tensor, without LibTorch.
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "moefy/io/checkpoint.h"

int main(int, char** argv) {
  // A safetensors file: the length of its header, the header, the values.
  const std::filesystem::path file = std::filesystem::path(argv[1]) / "model.safetensors";
  const std::string header = R"({"w":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}})";
  const uint64_t header_bytes = header.size();
  const float values[] = {1, 2, 3, 4, 5, 6};
  std::ofstream out(file, std::ios::binary);
  out.write(reinterpret_cast<const char*>(&header_bytes), sizeof header_bytes);
  out << header;
  out.write(reinterpret_cast<const char*>(values), sizeof values);
  out.close();

  const moefy::io::Checkpoint checkpoint = moefy::io::Checkpoint::Open(file);
  std::cout << "w holds " << checkpoint.Get("w").num_bytes() << " bytes, fingerprint "
            << checkpoint.Fingerprint() << "\n";
  return checkpoint.Bytes("w").size() == sizeof values ? 0 : 1;
}
