// model.safetensors.index.json and pytorch_model.bin.index.json: which tensor is in which file.
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/problems.h"
#include "io/tensor_file.h"

namespace moefy::io {

struct ShardIndex {
  std::map<std::string, std::string> shard_of;             // tensor name to file name
  std::map<std::string, std::vector<std::string>> shards;  // file name to its tensors
  Json total_size;                                         // as written; null when absent
};

// Throws Error{kInput}, beginning with `where`, naming all that is wrong. Every file must have a
// plain name that ends in `ending`.
ShardIndex ParseShardIndex(const Json& json, const std::string& where, std::string_view ending);
ShardIndex ReadShardIndex(const std::filesystem::path& path, std::string_view ending);

// Compares what the index promises about one shard with what the shard holds.
void CheckShard(const ShardIndex& index, const std::string& shard, const TensorFile& file,
                Problems& problems);

}  // namespace moefy::io
