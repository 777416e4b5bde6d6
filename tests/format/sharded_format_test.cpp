// One row per promise of a sharded directory: files that break it, and their twin that do not.
#include <gtest/gtest.h>

#include <map>

#include "moefy/io/checkpoint.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"
#include "support/torch_bytes.h"

namespace moefy::io {
namespace {

using Files = std::map<std::string, std::string>;

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kFirst = "model-00001-of-00002.safetensors";
constexpr const char* kSecond = "model-00002-of-00002.safetensors";

// A shard that holds one-byte tensors of these names.
std::string Shard(const std::vector<std::string>& names) {
  std::string header = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    header += StrCat(i > 0 ? "," : "", "\"", names[i],
                     "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[", i, ",", i + 1, "]}");
  }
  return tests::SafetensorsBytes(header + "}", std::string(names.size(), 'x'));
}

std::string Index(const std::string& weight_map, const std::string& metadata = "") {
  return "{" + metadata + "\"weight_map\":" + weight_map + "}";
}

Files With(Files files, const Files& changes) {
  for (const auto& [name, bytes] : changes) files[name] = bytes;
  return files;
}

const std::string kMap = StrCat(R"({"a":")", kFirst, R"(","b":")", kSecond, R"("})");
const Files kGoodShards = {{kIndex, Index(kMap)}, {kFirst, Shard({"a"})}, {kSecond, Shard({"b"})}};

// The same in PyTorch's format.
constexpr const char* kBinIndex = "pytorch_model.bin.index.json";
constexpr const char* kFirstBin = "pytorch_model-00001-of-00002.bin";
constexpr const char* kSecondBin = "pytorch_model-00002-of-00002.bin";

std::string BinShard(const std::vector<std::string>& names) {
  using namespace tests::pickled;  // NOLINT
  std::vector<std::string> items;
  for (const std::string& name : names) {
    items.push_back(Text(name));
    items.push_back(Tensor(Storage("0", 1, "ByteStorage"), {1}, {1}));
  }
  return tests::TorchBytes(Whole(Dict(items)), "x");
}
const std::string kBinMap = StrCat(R"({"a":")", kFirstBin, R"(","b":")", kSecondBin, R"("})");
const Files kGoodBin = {
    {kBinIndex, Index(kBinMap)}, {kFirstBin, BinShard({"a"})}, {kSecondBin, BinShard({"b"})}};
Files BinMapsAllTo(const std::string& shard) {
  return {{kBinIndex, Index("{\"a\":\"" + shard + "\"}")}, {kFirstBin, BinShard({"a"})}};
}

Files MapsAllTo(const std::string& shard) {
  return {{kIndex, Index("{\"a\":\"" + shard + "\"}")}, {kFirst, Shard({"a"})}};
}

struct ShardedRow {
  std::string name;
  Files bad;
  std::string fragment;
  Files good = kGoodShards;
};

std::vector<ShardedRow> ShardedRows() {
  return {
      {"1_parent_directory", MapsAllTo("../model.safetensors"), "plain file name",
       MapsAllTo(kFirst)},
      {"1_absolute", MapsAllTo("/etc/model.safetensors"), "plain file name", MapsAllTo(kFirst)},
      {"1_subdirectory", MapsAllTo("x/model.safetensors"), "plain file name", MapsAllTo(kFirst)},
      {"1_back_slash", MapsAllTo("..\\\\model.safetensors"), "plain file name", MapsAllTo(kFirst)},
      {"1_empty", MapsAllTo(""), "plain file name", MapsAllTo(kFirst)},
      {"1_only_the_ending", MapsAllTo(".safetensors"), "plain file name", MapsAllTo(kFirst)},
      {"1_other_ending", MapsAllTo("model.json"), "plain file name", MapsAllTo(kFirst)},
      {"1_pytorch", MapsAllTo("pytorch_model.bin"), "ends in .safetensors", MapsAllTo(kFirst)},
      {"1_not_a_string", {{kIndex, Index(R"({"a":1})")}}, "not a string", MapsAllTo(kFirst)},
      {"1_nul_in_name", MapsAllTo("model\\u0000.safetensors"), "plain file name",
       MapsAllTo(kFirst)},
      {"2_shard_missing", {{kIndex, Index(kMap)}, {kFirst, Shard({"a"})}}, "no such file"},
      {"2_shard_bad", With(kGoodShards, {{kSecond, "oops"}}), "has 4 bytes"},
      {"3_tensor_not_in_its_shard", With(kGoodShards, {{kSecond, Shard({})}}),
       "'b' is not in 'model-00002-of-00002.safetensors'"},
      {"3_tensors_swapped", With(kGoodShards, {{kFirst, Shard({"b"})}, {kSecond, Shard({"a"})}}),
       "4 problems"},
      {"4_tensor_not_in_the_index", With(kGoodShards, {{kFirst, Shard({"a", "c"})}}),
       "'c' of 'model-00001-of-00002.safetensors' is not in the index"},
      {"5_tensor_twice", With(kGoodShards, {{kFirst, Shard({"a", "b"})}}),
       "'b' is in 'model-00001-of-00002.safetensors', but the index puts it in "
       "'model-00002-of-00002.safetensors'"},
      {"5_key_twice",
       With(kGoodShards,
            {{kIndex, Index(StrCat(R"({"a":")", kFirst, R"(","a":")", kSecond, R"("})"))}}),
       "'a' appears twice"},
      {"index_not_json", With(kGoodShards, {{kIndex, "{"}}), "not valid JSON"},
      {"index_an_array", With(kGoodShards, {{kIndex, "[]"}}), "expected an object"},
      {"index_without_map", With(kGoodShards, {{kIndex, "{}"}}), "weight_map is missing"},
      {"index_map_an_array", With(kGoodShards, {{kIndex, Index("[]")}}), "expected an object"},
      {"index_map_empty", With(kGoodShards, {{kIndex, Index("{}")}}), "weight_map is empty"},
      {"shards_without_index",
       {{kFirst, Shard({"a"})}, {kSecond, Shard({"b"})}},
       "the index that says what is in them is missing"},
      {"bin_1_parent_directory", BinMapsAllTo("../pytorch_model.bin"), "plain file name", kGoodBin},
      {"bin_1_safetensors", BinMapsAllTo("model.safetensors"), "ends in .bin", kGoodBin},
      {"bin_2_shard_missing",
       {{kBinIndex, Index(kBinMap)}, {kFirstBin, BinShard({"a"})}},
       "no such file",
       kGoodBin},
      {"bin_2_shard_bad", With(kGoodBin, {{kSecondBin, "oops"}}), "not a file of torch.save",
       kGoodBin},
      {"bin_3_tensor_not_in_its_shard", With(kGoodBin, {{kSecondBin, BinShard({"z"})}}),
       "'b' is not in 'pytorch_model-00002-of-00002.bin'", kGoodBin},
      {"bin_4_tensor_not_in_the_index", With(kGoodBin, {{kFirstBin, BinShard({"a", "c"})}}),
       "'c' of 'pytorch_model-00001-of-00002.bin' is not in the index", kGoodBin},
      {"bin_5_tensor_twice", With(kGoodBin, {{kFirstBin, BinShard({"a", "b"})}}),
       "'b' is in 'pytorch_model-00001-of-00002.bin', but the index puts it in", kGoodBin},
      {"bin_shards_without_index",
       {{kFirstBin, BinShard({"a"})}, {kSecondBin, BinShard({"b"})}},
       "the index that says what is in them is missing",
       kGoodBin},
      {"bin_single_bad",
       {{"pytorch_model.bin", "PK"}},
       "not a file of torch.save",
       {{"pytorch_model.bin", BinShard({"a"})}}},
      {"bin_of_another_name",
       {{"model.pt", BinShard({"a"})}},
       "name the file itself",
       {{"pytorch_model.bin", BinShard({"a"})}}},
      {"other_safetensors",
       {{"weights.safetensors", Shard({"a"})}},
       "name the file itself",
       {{"model.safetensors", Shard({"a"})}}},
      {"nothing",
       {{"config.json", "{}"}},
       "found neither model.safetensors nor pytorch_model.bin, nor an index of either"},
  };
}

class ShardedFormat : public testing::TestWithParam<ShardedRow> {
 protected:
  Checkpoint Open(const Files& files) {
    for (const auto& [name, bytes] : files) dir_.Write(name, bytes);
    return Checkpoint::Open(dir_.path());
  }
  tests::TempDir dir_;
};

TEST_P(ShardedFormat, RefusesTheBadDirectory) {
  tests::ExpectError(ErrorKind::kInput, {dir_.path().string(), GetParam().fragment},
                     [&] { Open(GetParam().bad); });
}

TEST_P(ShardedFormat, AcceptsItsTwin) {
  const Checkpoint checkpoint = Open(GetParam().good);
  EXPECT_TRUE(checkpoint.Find("a"));
  EXPECT_TRUE(checkpoint.warnings().empty());
}

INSTANTIATE_TEST_SUITE_P(Table, ShardedFormat, testing::ValuesIn(ShardedRows()),
                         [](const auto& row) { return row.param.name; });

struct WarningRow {
  std::string name;
  Files changes;
  std::string fragment;
  Files from = kGoodShards;
};

class ShardedWarning : public testing::TestWithParam<WarningRow> {};

TEST_P(ShardedWarning, OpensAndWarns) {
  const tests::TempDir dir;
  for (const auto& [name, bytes] : With(GetParam().from, GetParam().changes))
    dir.Write(name, bytes);
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  EXPECT_EQ(checkpoint.TensorNames(), (std::vector<std::string>{"a", "b"}));
  if (GetParam().fragment.empty()) {
    EXPECT_TRUE(checkpoint.warnings().empty()) << checkpoint.warnings()[0];
    return;
  }
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_NE(checkpoint.warnings()[0].find(GetParam().fragment), std::string::npos)
      << checkpoint.warnings()[0];
}

INSTANTIATE_TEST_SUITE_P(
    Table, ShardedWarning,
    testing::Values(
        WarningRow{"6_stray_shard",
                   {{"model-00003-of-00003.safetensors", "junk"}},
                   "'model-00003-of-00003.safetensors'"},
        WarningRow{"6_other_safetensors_are_no_shards", {{"moefy.safetensors", Shard({"r"})}}, ""},
        WarningRow{"7_file_and_index", {{"model.safetensors", Shard({"z"})}}, "has both"},
        WarningRow{"8_total_size_differs",
                   {{kIndex, Index(kMap, R"("metadata":{"total_size":3},)")}},
                   "total_size is '3', but the tensors have 2 bytes"},
        WarningRow{"8_total_size_a_string",
                   {{kIndex, Index(kMap, R"("metadata":{"total_size":"2"},)")}},
                   "total_size"},
        WarningRow{
            "8_total_size_right", {{kIndex, Index(kMap, R"("metadata":{"total_size":2},)")}}, ""},
        WarningRow{"8_no_total_size", {{kIndex, Index(kMap, R"("metadata":{},)")}}, ""},
        WarningRow{"bin_6_stray_shard",
                   {{"pytorch_model-00003-of-00003.bin", "junk"}},
                   "'pytorch_model-00003-of-00003.bin'",
                   kGoodBin},
        WarningRow{"bin_6_other_files_are_no_shards", {{"training_args.bin", "x"}}, "", kGoodBin},
        WarningRow{
            "bin_7_file_and_index", {{"pytorch_model.bin", BinShard({"z"})}}, "has both", kGoodBin},
        WarningRow{"bin_8_total_size_differs",
                   {{kBinIndex, Index(kBinMap, R"("metadata":{"total_size":3},)")}},
                   "total_size is '3', but the tensors have 2 bytes",
                   kGoodBin},
        WarningRow{"bin_8_total_size_right",
                   {{kBinIndex, Index(kBinMap, R"("metadata":{"total_size":2},)")}},
                   "",
                   kGoodBin},
        WarningRow{"8_metadata_null", {{kIndex, Index(kMap, R"("metadata":null,)")}}, ""}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace moefy::io
