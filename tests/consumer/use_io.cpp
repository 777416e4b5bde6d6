// Writes a checkpoint of one tensor and reads it back.
#include <array>
#include <filesystem>
#include <iostream>
#include <span>

#include "moefy/io/checkpoint.h"
#include "moefy/io/safetensors.h"

int main(int, char** argv) {
  namespace io = moefy::io;
  const std::filesystem::path file = std::filesystem::path(argv[1]) / "model.safetensors";
  const std::array<float, 6> values = {1, 2, 3, 4, 5, 6};
  io::TensorInfo info;
  info.name = "w";
  info.shape = {2, 3};
  io::SafetensorsWriter writer(file, {info});
  writer.Write("w", std::as_bytes(std::span(values)));
  writer.Finish();

  const io::Checkpoint checkpoint = io::Checkpoint::Open(file);
  std::cout << "w holds " << checkpoint.Get("w").num_bytes() << " bytes, fingerprint "
            << checkpoint.Fingerprint() << "\n";
  return checkpoint.Bytes("w").size() == sizeof values ? 0 : 1;
}
