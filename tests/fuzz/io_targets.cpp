#include "base/content_hint.h"
#include "base/json.h"
#include "fuzz/support.h"
#include "fuzz/targets.h"
#include "io/finite.h"
#include "io/pickle.h"
#include "io/safetensors.h"
#include "io/shard_index.h"
#include "io/state_dict.h"
#include "io/torch_file.h"
#include "io/zip_directory.h"

namespace moefy::fuzz {

void Safetensors(std::span<const std::byte> input) {
  Refusable([&] {
    ContentHint(AsText(input));
    const io::SafetensorsHeader header = io::ParseSafetensorsHeader(input);
    const auto data = input.subspan(header.data_begin);
    for (const io::TensorInfo& info : header.tensors) {
      io::CheckFinite(info, data.subspan(info.begin, info.num_bytes()));
    }
  });
}

void ShardIndex(std::span<const std::byte> input) {
  Refusable([&] { io::ParseShardIndex(ParseJson(AsText(input)), "index", ".bin"); });
}

void Pickle(std::span<const std::byte> input) {
  Refusable([&] { io::FindStateDict(io::pickle::Parse(input)); });
}

void Zip(std::span<const std::byte> input) {
  Refusable([&] { io::ReadZipDirectory(input); });
}

void TorchFile(std::span<const std::byte> input) {
  static const Directory directory;
  const auto path = directory.Write("model.pt", AsText(input));
  Refusable([&] {
    const io::TorchFile file(path);
    for (const io::TensorInfo& info : file.tensors()) {
      if (file.Bytes(info).size() != info.num_bytes()) __builtin_trap();
    }
  });
}

}  // namespace moefy::fuzz
