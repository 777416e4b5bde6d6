// One row per promise that the reader of torch.save files makes: a file that breaks it, and its
// twin that does not. A name begins with what is broken: "pickle", "zip", "storage", "view",
// "legacy", "state" (what the pickle holds), "file".
#include <gtest/gtest.h>

#include <chrono>

#include "io/torch_file.h"
#include "support/expect_error.h"
#include "support/shared_data.h"
#include "support/temp_dir.h"
#include "support/torch_bytes.h"

namespace moefy::io {
namespace {

using namespace tests::pickled;  // NOLINT: the rows are written in its words
using tests::Raw;
using tests::TorchBytes;
using tests::ZipBytes;

const std::string kFour(16, '\0');  // four F32

// A file of one dict whose values are `body`.
std::string File(const std::string& body, const std::string& storage = kFour) {
  return TorchBytes(Whole(body), storage);
}
std::string OneTorchTensor(const std::string& value, const std::string& storage = kFour) {
  return File(Dict({Text("a"), value}), storage);
}
const std::string kTensor = Tensor(Storage("0", 4), {2, 2}, {2, 1});
const std::string kGoodTorch = OneTorchTensor(kTensor);
const std::string kGoodPickle = Whole(Dict({Text("a"), kTensor}));

std::string Zip(const tests::ZipEntry& changed) {
  return ZipBytes({{"archive/data.pkl", kGoodPickle}, changed});
}

// The format before zip.
std::string LegacyHeader(int version = 1001, const std::string& little_endian = "\x88") {
  return Whole(std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12)) +
         Whole(Int(version)) + Whole(Dict({Text("little_endian"), little_endian}));
}
std::string LegacyStorage(const std::string& view = "N") {
  return Tuple({Text("storage"), Global("torch", "FloatStorage"), Text("0"), Text("cpu"), Int(4),
                view}) +
         "Q";
}
std::string Legacy(const std::string& storage = LegacyStorage(), const std::string& keys = "0",
                   int64_t num_elements = 4, const std::string& data = kFour) {
  return LegacyHeader() + Whole(Dict({Text("a"), Tensor(storage, {2}, {1})})) +
         Whole("](" + Text(keys) + "e") + Raw(num_elements) + data;
}

struct TorchRow {
  std::string name;
  std::string bad;
  std::string fragment;
  std::string good = kGoodTorch;
};

std::vector<TorchRow> PickleRows() {
  const auto opcode = [](const std::string& bytes) { return OneTorchTensor(bytes + kTensor); };
  const auto v3 = [](const std::string& dtype) {
    return OneTorchTensor(
        Call(Global("torch._utils", "_rebuild_tensor_v3"),
             {Storage("0", 4), Int(0), Ints({2}), Ints({1}), "\x89", "N", dtype}));
  };
  return {
      {"pickle_runs_code", File(Call(Global("os", "system"), {Text("touch /tmp/owned")})),
       "'os.system', which is not allowed"},
      {"pickle_evaluates", File(Call(Global("builtins", "eval"), {Text("1")})), "'builtins.eval'"},
      {"pickle_names_a_class_of_the_user", File(Global("my.model", "Net")), "'my.model.Net'"},
      {"pickle_names_code_of_torch", File(Global("torch", "load")), "'torch.load'"},
      {"pickle_names_by_stack", File(Text("os") + Text("system") + "\x93"), "'os.system'",
       File(Text("collections") + Text("OrderedDict") + "\x93)R(" + Text("a") + kTensor + "u")},
      {"pickle_calls_a_text", OneTorchTensor(Text("f") + ")R"), "expected something to call"},
      {"pickle_calls_a_dtype", OneTorchTensor(Call(Global("torch", "float32"), {})), "is called",
       v3(Global("torch", "float32"))},
      {"pickle_dtype_that_is_none", v3(Global("torch", "Size")), "expected a dtype",
       v3(Global("torch", "float32"))},
      {"pickle_makes_an_object", opcode(Global("collections", "OrderedDict") + ")\x81"),
       "opcode NEWOBJ"},
      {"pickle_instantiates", opcode("(ios\nsystem\n"), "opcode INST"},
      {"pickle_object", opcode("(" + Global("collections", "OrderedDict") + "o"), "opcode OBJ"},
      {"pickle_extension", opcode("\x82\x01"), "opcode EXT1"},
      {"pickle_text_persistent_id", opcode("P0\n"), "opcode PERSID"},
      {"pickle_set", opcode("\x8f"), "opcode EMPTY_SET"},
      {"pickle_out_of_band_buffer", opcode("\x97"), "opcode NEXT_BUFFER"},
      {"pickle_unknown_opcode", opcode("\xff"), "opcode 0xff"},
      {"pickle_builds_a_dict", File(Dict({Text("a"), kTensor}) + "}b"), "not an OrderedDict",
       File(Call(Global("collections", "OrderedDict"), {}) + "(" + Text("a") + kTensor + "u}b")},
      {"pickle_protocol_0", TorchBytes("\x80" + std::string(1, '\0') + "N.", kFour),
       "protocol is 0"},
      {"pickle_protocol_6", TorchBytes("\x80\x06N.", kFour), "protocol is 6"},
      {"pickle_empty", TorchBytes("", kFour), "cut short"},
      {"pickle_without_stop", TorchBytes("\x80\x02}", kFour), "cut short"},
      {"pickle_text_cut_short",
       TorchBytes("\x80\x02X\xff\xff\xff\x7f"
                  "abc",
                  kFour),
       "2147483647 bytes are wanted"},
      {"pickle_text_of_2_64", TorchBytes("\x80\x04\x8d" + Raw(~uint64_t{0}), kFour),
       "18446744073709551615 bytes are wanted"},
      {"pickle_bytes_of_2_63", TorchBytes("\x80\x04\x8e" + Raw(uint64_t{1} << 63), kFour),
       "are wanted"},
      {"pickle_text_not_utf8", OneTorchTensor(Text("\xff")), "not UTF-8"},
      {"pickle_global_without_end",
       TorchBytes("\x80\x02"
                  "c" +
                      std::string(2000, 'x'),
                  kFour),
       "never ends"},
      {"pickle_stack_empty", TorchBytes("\x80\x02.", kFour), "stack is empty"},
      {"pickle_pops_below_a_mark", TorchBytes("\x80\x02N(\x85.", kFour), "stack is empty"},
      {"pickle_no_mark", TorchBytes("\x80\x02Nt.", kFour), "no mark"},
      {"pickle_marks_without_end", TorchBytes("\x80\x02" + std::string(1001, '('), kFour),
       "nested deeper than 1000"},
      {"pickle_memo_of_nothing", OneTorchTensor("h\x07"), "nothing was stored as 7",
       File(Dict({Text("a"), kTensor + "q\x07", Text("b"), "h\x07"}))},
      {"pickle_key_without_value", File("}(" + Text("a") + "u"), "a key without a value"},
      {"pickle_append_to_a_dict", OneTorchTensor("}Na"), "expected a list",
       File(Dict({Text("a"), kTensor, Text("b"), "]Na"}))},
      {"pickle_item_of_a_list", OneTorchTensor("]NNs"), "expected a dict"},
      {"pickle_too_many_arguments",
       OneTorchTensor(Call(Global("torch", "device"), std::vector<std::string>(9, "N"))),
       "9 items"},
      {"pickle_too_few_arguments",
       OneTorchTensor(Call(Global("torch._utils", "_rebuild_tensor_v2"), {"N"})),
       "a call with 1 arguments"},
      {"pickle_parameter_of_a_text",
       OneTorchTensor(Call(Global("torch._utils", "_rebuild_parameter"), {Text("x"), "\x88", "N"})),
       "a parameter's tensor",
       OneTorchTensor(Call(Global("torch._utils", "_rebuild_parameter"), {kTensor, "\x88", "N"}))},
      {"pickle_persistent_id_of_three",
       OneTorchTensor(Tensor(Tuple({Text("storage"), "N", "N"}) + "Q", {1}, {1})), "not a storage"},
      {"pickle_persistent_module",
       OneTorchTensor(Tensor(Tuple({Text("module"), Global("torch", "FloatStorage"), Text("0"),
                                    Text("cpu"), Int(4)}) +
                                 "Q",
                             {1}, {1})),
       "not a storage"},
      {"pickle_negative_storage", OneTorchTensor(Tensor(Storage("0", -4), {2, 2}, {2, 1})),
       "is -4"},
      {"pickle_storage_of_quantised",
       OneTorchTensor(Tensor(Storage("0", 4, "QInt8Storage"), {4}, {1})), "'torch.QInt8Storage'"},
      {"pickle_storage_type_no_type",
       OneTorchTensor(Tensor(
           Tuple({Text("storage"), Global("torch", "float32"), Text("0"), Text("cpu"), Int(4)}) +
               "Q",
           {1}, {1})),
       "expected a storage type"},
  };
}

std::vector<TorchRow> FileRows() {
  const auto view = [](const std::vector<int32_t>& shape, const std::vector<int32_t>& strides,
                       int32_t offset = 0) {
    return OneTorchTensor(Tensor(Storage("0", 4), shape, strides, offset));
  };
  return {
      {"zip_cut_short", kGoodTorch.substr(0, kGoodTorch.size() - 30), "without a directory"},
      {"zip_cut_to_four_bytes", kGoodTorch.substr(0, 4), "without a directory"},
      {"zip_compressed", Zip({.name = "archive/data/0", .data = kFour, .method = 8}),
       "is compressed"},
      {"zip_sizes_disagree",
       Zip({.name = "archive/data/0", .data = kFour, .stored_bytes_change = -1}), "is compressed"},
      {"zip_encrypted", Zip({.name = "archive/data/0", .data = kFour, .flags = 1}), "is encrypted"},
      {"zip_other_local_name",
       Zip({.name = "archive/data/0", .data = kFour, .local_name = "archive/data/1"}),
       "another name in its own header"},
      {"zip_entry_twice",
       ZipBytes({{"archive/data.pkl", kGoodPickle},
                 {"archive/data/0", kFour},
                 {"archive/data/0", kFour}}),
       "appears twice"},
      {"zip_without_pickle", ZipBytes({{"archive/data/0", kFour}}), "0 entries PREFIX/data.pkl"},
      {"zip_empty", ZipBytes({}), "0 entries PREFIX/data.pkl"},
      {"zip_two_pickles",
       ZipBytes({{"a/data.pkl", kGoodPickle}, {"b/data.pkl", kGoodPickle}, {"a/data/0", kFour}}),
       "2 entries PREFIX/data.pkl",
       ZipBytes({{"a/data.pkl", kGoodPickle}, {"b/c/data.pkl", kGoodPickle}, {"a/data/0", kFour}})},
      {"zip_torchscript",
       ZipBytes({{"a/data.pkl", kGoodPickle}, {"a/constants.pkl", "x"}, {"a/data/0", kFour}}),
       "TorchScript"},
      {"zip_big_endian",
       ZipBytes({{"a/data.pkl", kGoodPickle}, {"a/byteorder", "big"}, {"a/data/0", kFour}}),
       "byte order 'big'",
       ZipBytes({{"a/data.pkl", kGoodPickle}, {"a/byteorder", "little"}, {"a/data/0", kFour}})},
      {"storage_missing", ZipBytes({{"archive/data.pkl", kGoodPickle}}),
       "storage '0' has no entry"},
      {"storage_too_short", OneTorchTensor(kTensor, std::string(15, '\0')),
       "storage '0' has 15 bytes in the file; the pickle wants 4 elements of 4"},
      {"storage_too_long", OneTorchTensor(kTensor, std::string(20, '\0')), "has 20 bytes"},
      {"storage_length_lies", OneTorchTensor(Tensor(Storage("0", 5), {2, 2}, {2, 1})),
       "wants 5 elements"},
      {"storage_length_overflows",
       OneTorchTensor(Tensor(Storage("0", 0x7fffffff, "DoubleStorage"), {1}, {1})),
       "wants 2147483647 elements of 8"},
      {"view_beyond_the_end", view({3, 2}, {2, 1}), "reach outside its storage of 4",
       view({2, 2}, {2, 1})},
      {"view_offset_beyond", view({2}, {1}, 3), "reach outside", view({2}, {1}, 2)},
      {"view_stride_beyond", view({2, 2}, {3, 1}), "reach outside", view({2, 2}, {1, 2})},
      {"view_negative_stride", view({2}, {-1}, 1), "strides holds -1", view({2}, {1}, 1)},
      {"view_negative_extent", view({-2}, {1}), "shape holds -2", view({0}, {1})},
      {"view_negative_offset", view({1}, {1}, -1), "offset", view({1}, {1}, 0)},
      {"view_strides_too_few", view({2, 2}, {1}), "2 extents, but 1 strides"},
      {"view_extents_overflow", view({0x7fffffff, 0x7fffffff, 0x7fffffff}, {0, 0, 0}), "overflows"},
      {"view_repeats_to_8_gb", view({0x7fffffff}, {0}), "repeats the 16 bytes", view({1000}, {0})},
      {"view_strides_overflow", view({0x7fffffff, 2}, {0x7fffffff, 1}), "reach outside"},
      {"view_shape_of_texts",
       OneTorchTensor(Call(Global("torch._utils", "_rebuild_tensor_v2"),
                           {Storage("0", 4), Int(0), Tuple({Text("2")}), Ints({1})})),
       "shape holds something else"},
      {"view_shape_no_tuple",
       OneTorchTensor(Call(Global("torch._utils", "_rebuild_tensor_v2"),
                           {Storage("0", 4), Int(0), Int(4), Ints({1})})),
       "shape is not a tuple"},
      {"view_of_no_storage",
       OneTorchTensor(
           Call(Global("torch._utils", "_rebuild_tensor_v2"), {"N", Int(0), Ints({1}), Ints({1})})),
       "has no storage"},
      {"legacy_unknown_version", LegacyHeader(1002) + Whole("}"), "unknown version, 1002",
       Legacy()},
      {"legacy_big_endian", LegacyHeader(1001, "\x89") + Whole("}"), "big-endian", Legacy()},
      {"legacy_without_storages",
       LegacyHeader() + Whole(Dict({Text("a"), Tensor(LegacyStorage(), {2}, {1})})), "cut short",
       Legacy()},
      {"legacy_keys_no_list", LegacyHeader() + Whole(Dict({})) + Whole("N"), "not the list",
       Legacy()},
      {"legacy_unknown_key", Legacy(LegacyStorage(), "1"), "a storage that no tensor uses",
       Legacy()},
      {"legacy_storage_cut_short", Legacy(LegacyStorage(), "0", 4, std::string(15, '\0')),
       "only 15 bytes follow", Legacy()},
      {"legacy_storage_of_2_63", Legacy(LegacyStorage(), "0", std::numeric_limits<int64_t>::min()),
       "9223372036854775808 elements", Legacy()},
      {"legacy_length_differs", Legacy(LegacyStorage(), "0", 3), "wants 4 elements", Legacy()},
      {"legacy_view_outside", Legacy(LegacyStorage(Tuple({Text("v"), Int(3), Int(2)}))),
       "outside its storage of 4", Legacy(LegacyStorage(Tuple({Text("v"), Int(2), Int(2)})))},
      {"legacy_view_of_two", Legacy(LegacyStorage(Tuple({Text("v"), Int(3)}))), "three fields",
       Legacy()},
      {"file_empty", "", "is not a file of torch.save"},
      {"file_safetensors", std::string("\x02\0\0\0\0\0\0\0{}", 10), "looks like safetensors"},
      {"file_git_lfs", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull"},
      {"file_plain_pickle", Whole("}"), "another Python pickle"},
      {"file_tar", std::string(257, '\0') + "ustar", "torch 0.1"},
  };
}

std::vector<TorchRow> StateRows() {
  const std::string itself = "}q\x01(" + Text("model") + "h\x01u";
  return {
      {"state_a_number", File(Int(1)), "neither a dict of tensors nor a tensor", File(kTensor)},
      {"state_a_list", File("]"), "neither a dict"},
      {"state_empty", File("}"), "no tensors by name"},
      {"state_of_numbers", OneTorchTensor(Int(1)), "there are 'a'"},
      {"state_two_models",
       File(Dict({Text("generator"), Dict({Text("a"), kTensor}), Text("critic"), "}"})),
       "there are 'generator', 'critic'",
       File(Dict({Text("state_dict"), Dict({Text("a"), kTensor}), Text("critic"), "}"}))},
      {"state_nested_empty", File(Dict({Text("model"), "}"})), "no tensors by name in 'model'",
       File(Dict({Text("model"), Dict({Text("a"), kTensor})}))},
      {"state_holds_itself", File(itself), "no tensors by name in 'model'"},
      {"state_name_empty", File(Dict({Text(""), kTensor})), "empty name"},
      {"state_name_with_control", File(Dict({Text("a\n"), kTensor})), "control character"},
      {"state_name_long", File(Dict({Text(std::string(4097, 'n')), kTensor})), "4097 bytes",
       File(Dict({Text(std::string(4096, 'n')), kTensor}))},
      {"state_name_twice", File(Dict({Text("a"), kTensor, Text("a"), kTensor})),
       "'a' appears twice", File(Dict({Text("a"), kTensor, Text("b"), kTensor}))},
  };
}

std::vector<TorchRow> TorchRows() {
  std::vector<TorchRow> rows = PickleRows();
  for (const auto& more : {FileRows(), StateRows()})
    rows.insert(rows.end(), more.begin(), more.end());
  return rows;
}

class TorchFormat : public testing::TestWithParam<TorchRow> {};

TEST_P(TorchFormat, RefusesTheBadFile) {
  const tests::TempDir dir;
  const auto path = dir.Write("model.pt", GetParam().bad);
  tests::ExpectError(ErrorKind::kInput, {path.string() + ": ", GetParam().fragment},
                     [&] { TorchFile file(path); });
}

TEST_P(TorchFormat, AcceptsItsTwin) {
  const tests::TempDir dir;
  const TorchFile file(dir.Write("model.pt", GetParam().good));
  ASSERT_FALSE(file.tensors().empty());
  for (const TensorInfo& info : file.tensors()) {
    EXPECT_EQ(file.Bytes(info).size(), info.num_bytes());
  }
}

INSTANTIATE_TEST_SUITE_P(Table, TorchFormat, testing::ValuesIn(TorchRows()),
                         [](const auto& row) { return row.param.name; });

// Every prefix and every single changed byte of good files opens or is an Error, and whatever opens
// can be read (the sanitizers watch).
TEST(TorchFormatMore, NoMutationEscapes) {
  const tests::TempDir dir;
  const auto open = [&](const std::string& bytes) {
    try {
      const TorchFile file(dir.Write("model.pt", bytes));
      for (const TensorInfo& info : file.tensors()) {
        EXPECT_EQ(file.Bytes(info).size(), info.num_bytes());
      }
    } catch (const Error& error) {
      EXPECT_STREQ(tests::KindName(error.kind()), "kInput") << error.what();
    }
  };
  for (const char* name : {"torch/plain.pt", "torch/legacy.views.pt"}) {
    const std::string good = tests::FileBytes(tests::TestData() / name);
    for (size_t length = 0; length < good.size(); length += 23) open(good.substr(0, length));
    for (size_t at = 0; at < good.size(); ++at) {
      if (good[at] == 'Z') continue;  // padding
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ (at % 2 == 0 ? 0x01 : 0xff));
      open(bytes);
    }
  }
}

// Small files that ask for much: none may.
TEST(TorchFormatMore, BombsAreRefusedOrCheap) {
  const tests::TempDir dir;
  const auto refuse = [&](const std::string& pickle, const char* fragment) {
    const auto path = dir.Write("bomb.pt", TorchBytes(Whole(pickle), kFour));
    tests::ExpectError(ErrorKind::kInput, {fragment}, [&] { TorchFile file(path); });
  };
  // A million lists in each other: nothing recurses, not even to free them.
  refuse(std::string(1'000'000, ']') + std::string(999'999, 'a'), "neither a dict");
  // One list of pairs, made a dict again and again.
  std::string pairs = "](";
  for (int i = 0; i < 20'000; ++i) pairs += "NN\x86";
  pairs += "eq\x01";
  std::string again = Global("collections", "OrderedDict") + "q\x02" + pairs;
  for (int i = 0; i < 20'000; ++i) again += "h\x02h\x01\x85R";
  refuse(again, "more than 4194304 values");
  // One value named on and on.
  std::string named = "Nq\x01";
  for (int i = 0; i < (1 << 22); ++i) named += "h\x01";
  refuse(named, "more than 4194304 values");
  // Many tensors that each repeat one element.
  std::vector<std::string> items;
  for (int i = 0; i < 20; ++i) {
    items.push_back(Text("t" + std::to_string(i)));
    items.push_back(Tensor(Storage("0", 4), {1 << 20}, {0}));
  }
  refuse(Dict(items), "at most 16777216 bytes per file");
}

}  // namespace
}  // namespace moefy::io
