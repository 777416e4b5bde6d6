#include "io/shard_index.h"

#include "moefy/base/error.h"

namespace moefy::io {

ShardIndex ReadShardIndex(const std::filesystem::path& path, std::string_view ending) {
  return ParseShardIndex(ReadJsonFile(path), path.string(), ending);
}

ShardIndex ParseShardIndex(const Json& json, const std::string& where, std::string_view ending) {
  const JsonObject index(json, where);
  const JsonObject map = index.GetObject("weight_map");
  ShardIndex out;
  Problems problems;
  for (const auto& [name, shard] : index.GetRaw("weight_map").items()) {
    if (!shard.is_string()) {
      problems.Add("tensor ", Quoted(name), " is mapped to something that is not a string");
      continue;
    }
    out.shard_of.emplace(name, shard.get<std::string>());
    out.shards[shard.get<std::string>()].push_back(name);
  }
  for (const auto& [shard, tensors] : out.shards) {
    if (!shard.ends_with(ending) || shard.starts_with('.') ||
        shard.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos) {
      problems.Add("shard ", Quoted(shard), " is not a plain file name that ends in ", ending);
    }
  }
  if (out.shards.empty()) problems.Add("weight_map is empty");
  WithContext(where, [&] { problems.ThrowIfAny(); });

  if (index.Has("metadata") && index.GetRaw("metadata").is_object()) {
    const Json& metadata = index.GetRaw("metadata");
    if (const auto size = metadata.find("total_size"); size != metadata.end()) {
      out.total_size = *size;
    }
  }
  return out;
}

void CheckShard(const ShardIndex& index, const std::string& shard, const TensorFile& file,
                Problems& problems) {
  for (const std::string& name : index.shards.at(shard)) {
    if (!file.Find(name)) {
      problems.Add("tensor ", Quoted(name), " is not in ", Quoted(shard),
                   ", where the index puts it");
    }
  }
  for (const TensorInfo& info : file.tensors()) {
    const auto mapped = index.shard_of.find(info.name);
    if (mapped == index.shard_of.end()) {
      problems.Add("tensor ", Quoted(info.name), " of ", Quoted(shard), " is not in the index");
    } else if (mapped->second != shard) {
      problems.Add("tensor ", Quoted(info.name), " is in ", Quoted(shard),
                   ", but the index puts it in ", Quoted(mapped->second));
    }
  }
}

}  // namespace moefy::io
