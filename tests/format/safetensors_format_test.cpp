// One row per promise of the safetensors format: a file that breaks it, and its twin that does not.
// A name begins with the number of the promise: 1 room for the length, 2 its limit, 3 inside the
// file, 4 UTF-8, 5 JSON, 6 an object of depth 3, 7 no key twice, 8 metadata of strings, 9 exactly
// three fields, 10 dtype, 11 unsigned integers, 12 begin <= end, 13 no overflow, 14 whole bytes, 15
// span and shape agree, 16 no hole and no overlap, 17 the file ends with the data, 18 names, 19 a
// regular file.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "io/safetensors.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::io {
namespace {

using tests::LengthPrefix;
using tests::SafetensorsBytes;

struct SafetensorsRow {
  std::string name;
  std::string bad;
  std::string fragment;
  std::string good;
};

// A header with one tensor 'a' of four bytes of data.
std::string OneTensor(std::string_view entry, std::string_view data = "abcd") {
  return SafetensorsBytes("{\"a\":" + std::string(entry) + "}", data);
}
std::string Entry(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return StrCat("{\"dtype\":\"", dtype, "\",\"shape\":", shape, ",\"data_offsets\":", offsets, "}");
}
std::string OneOf(std::string_view dtype, std::string_view shape, std::string_view offsets,
                  std::string_view data = "abcd") {
  return OneTensor(Entry(dtype, shape, offsets), data);
}
std::string Named(const std::string& name) {
  return SafetensorsBytes("{\"" + name + "\":" + Entry("U8", "[4]", "[0,4]") + "}", "abcd");
}
std::string Two(std::string_view first, std::string_view second, std::string_view data) {
  return SafetensorsBytes(
      StrCat("{\"a\":", Entry("U8", "[2]", first), ",\"b\":", Entry("U8", "[2]", second), "}"),
      data);
}
std::string WithMetadata(std::string_view metadata) {
  return SafetensorsBytes(
      StrCat("{\"__metadata__\":", metadata, ",\"a\":", Entry("U8", "[4]", "[0,4]"), "}"), "abcd");
}

const std::string kGoodSafetensors = OneOf("U8", "[4]", "[0,4]");
const std::string kHeader = "{\"a\":" + Entry("U8", "[4]", "[0,4]") + "}";

std::vector<SafetensorsRow> SafetensorsRows() {
  const std::string long_name(4096, 'n');
  std::vector<SafetensorsRow> rows = {
      {"01_empty_file", "", "has 0 bytes", SafetensorsBytes("{}")},
      {"01_seven_bytes", std::string(7, '\0'), "has 7 bytes", SafetensorsBytes("{}")},
      {"02_header_length_over_limit", LengthPrefix(100'000'001) + kHeader, "100000001",
       kGoodSafetensors},
      {"02_header_length_huge", LengthPrefix(~uint64_t{0}) + kHeader, "18446744073709551615",
       kGoodSafetensors},
      {"02_git_lfs_pointer", "version https://git-lfs.github.com/spec/v1\n", "git lfs pull",
       kGoodSafetensors},
      {"02_pytorch_zip", std::string("PK\x03\x04\x00\x00\x08\x08\x00\x00", 10), "PyTorch",
       kGoodSafetensors},
      {"03_header_longer_than_file", LengthPrefix(kHeader.size() + 1) + kHeader, "cut short",
       SafetensorsBytes("{}")},
      {"03_length_100_mb_of_a_small_file", LengthPrefix(100'000'000) + kHeader, "only",
       kGoodSafetensors},
      {"03_zero_header", LengthPrefix(0), "not valid JSON", SafetensorsBytes("{}")},
      {"04_not_utf8", Named("\xff"), "UTF-8", Named("\xc3\xa9")},
      {"04_overlong_utf8", Named("\xc0\xaf"), "UTF-8", Named("/")},
      {"04_surrogate_in_utf8", Named("\xed\xa0\x80"), "UTF-8", Named("\xee\x80\x80")},
      {"04_byte_order_mark", SafetensorsBytes("\xef\xbb\xbf" + kHeader, "abcd"), "byte order mark",
       kGoodSafetensors},
      {"05_syntax", SafetensorsBytes("{\"a\":", ""), "not valid JSON", SafetensorsBytes("{}")},
      {"05_trailing_nul", SafetensorsBytes(kHeader + std::string(1, '\0'), "abcd"), "NUL",
       SafetensorsBytes(kHeader + " \n\r\t", "abcd")},
      {"05_trailing_text", SafetensorsBytes(kHeader + "x", "abcd"), "not valid JSON",
       SafetensorsBytes(kHeader + "    ", "abcd")},
      {"05_vertical_tab_is_no_json_space", SafetensorsBytes("\v" + kHeader, "abcd"),
       "not valid JSON", SafetensorsBytes(" \t\r\n" + kHeader, "abcd")},
      {"05_comment", SafetensorsBytes("/**/" + kHeader, "abcd"), "not valid JSON",
       kGoodSafetensors},
      {"06_array", SafetensorsBytes("[]"), "not a JSON object", SafetensorsBytes("{}")},
      {"06_number", SafetensorsBytes("7"), "not a JSON object", SafetensorsBytes("{ }")},
      {"06_depth_4", OneOf("U8", "[[4]]", "[0,4]"), "nested deeper than 3", kGoodSafetensors},
      {"06_deep", SafetensorsBytes(std::string(1 << 20, '[')), "nested deeper", kGoodSafetensors},
      {"07_tensor_twice",
       SafetensorsBytes(StrCat("{\"a\":", Entry("U8", "[2]", "[0,2]"),
                               ",\"a\":", Entry("U8", "[2]", "[2,4]"), "}"),
                        "abcd"),
       "'a' appears twice", Two("[0,2]", "[2,4]", "abcd")},
      {"07_tensor_twice_by_escape",
       SafetensorsBytes(StrCat("{\"a\":", Entry("U8", "[2]", "[0,2]"),
                               ",\"\\u0061\":", Entry("U8", "[2]", "[2,4]"), "}"),
                        "abcd"),
       "'a' appears twice", Named("\\u0061")},
      {"07_field_twice",
       OneTensor("{\"dtype\":\"U8\",\"dtype\":\"I8\",\"shape\":[4],\"data_offsets\":[0,4]}"),
       "'dtype' appears twice", kGoodSafetensors},
      {"07_metadata_key_twice", WithMetadata("{\"k\":\"1\",\"k\":\"2\"}"), "'k' appears twice",
       WithMetadata("{\"k\":\"1\",\"l\":\"2\"}")},
      {"07_metadata_twice", SafetensorsBytes("{\"__metadata__\":{},\"__metadata__\":{}}"),
       "appears twice", SafetensorsBytes("{\"__metadata__\":{}}")},
      {"08_metadata_number", WithMetadata("{\"k\":1}"), "'k' is not a string",
       WithMetadata("{\"k\":\"1\"}")},
      {"08_metadata_array", WithMetadata("[]"), "__metadata__", WithMetadata("null")},
      {"08_metadata_string", WithMetadata("\"pt\""), "__metadata__",
       WithMetadata("{\"format\":\"pt\"}")},
      {"09_no_dtype", OneTensor("{\"shape\":[4],\"data_offsets\":[0,4]}"), "dtype is missing",
       kGoodSafetensors},
      {"09_no_shape", OneTensor("{\"dtype\":\"U8\",\"data_offsets\":[0,4]}"), "shape is missing",
       kGoodSafetensors},
      {"09_no_offsets", OneTensor("{\"dtype\":\"U8\",\"shape\":[4]}"), "data_offsets is missing",
       kGoodSafetensors},
      {"09_extra_field",
       OneTensor("{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"strides\":[1]}"),
       "unknown key 'strides'", kGoodSafetensors},
      {"09_entry_is_no_object", OneTensor("[0,4]"), "expected an object", kGoodSafetensors},
      {"09_entry_is_null", OneTensor("null"), "expected an object", kGoodSafetensors},
      {"09_three_offsets", OneOf("U8", "[4]", "[0,4,4]"), "has 3 numbers", kGoodSafetensors},
      {"09_one_offset", OneOf("U8", "[4]", "[4]"), "has 1 numbers", kGoodSafetensors},
      {"10_unknown_dtype", OneOf("F12", "[4]", "[0,4]"), "'F12'", kGoodSafetensors},
      {"10_lower_case_dtype", OneOf("u8", "[4]", "[0,4]"), "'u8'", kGoodSafetensors},
      {"10_dtype_number", OneTensor("{\"dtype\":8,\"shape\":[4],\"data_offsets\":[0,4]}"),
       "expected a string", kGoodSafetensors},
      {"11_negative_extent", OneOf("U8", "[-4]", "[0,4]"), "not an unsigned", kGoodSafetensors},
      {"11_minus_zero", OneOf("U8", "[-0]", "[0,0]", ""), "not an unsigned",
       OneOf("U8", "[0]", "[0,0]", "")},
      {"11_fraction", OneOf("U8", "[4.5]", "[0,4]"), "not an unsigned", kGoodSafetensors},
      {"11_whole_fraction", OneOf("U8", "[4.0]", "[0,4]"), "not an unsigned", kGoodSafetensors},
      {"11_exponent", OneOf("U8", "[4e0]", "[0,4]"), "not an unsigned", kGoodSafetensors},
      {"11_over_64_bits", OneOf("U8", "[18446744073709551620]", "[0,4]"), "not an unsigned",
       kGoodSafetensors},
      {"11_infinite", OneOf("U8", "[1e999]", "[0,4]"), "1e999", kGoodSafetensors},
      {"11_string_extent", OneOf("U8", "[\"4\"]", "[0,4]"), "not an unsigned", kGoodSafetensors},
      {"11_shape_is_number", OneOf("U8", "4", "[0,4]"), "not an array", kGoodSafetensors},
      {"11_negative_offset", OneOf("U8", "[4]", "[-4,0]"), "not an unsigned", kGoodSafetensors},
      {"12_begin_after_end", OneOf("U8", "[4]", "[4,0]"), "begin 4 is after end 0",
       kGoodSafetensors},
      {"13_product_overflows", OneOf("U8", "[4294967296,4294967296]", "[0,0]", ""), "overflows",
       OneOf("U8", "[4294967295,0]", "[0,0]", "")},
      {"13_bits_overflow", OneOf("F64", "[288230376151711744]", "[0,0]", ""), "overflows",
       OneOf("F64", "[0]", "[0,0]", "")},
      {"13_overflow_behind_a_zero", OneOf("U8", "[0,4294967296,4294967296]", "[0,0]", ""),
       "overflows", OneOf("U8", "[0,4294967296]", "[0,0]", "")},
      {"14_half_a_byte", OneOf("F4", "[7]", "[0,4]"), "whole bytes", OneOf("F4", "[8]", "[0,4]")},
      {"14_six_bits", OneOf("F6_E2M3", "[5]", "[0,4]"), "whole bytes",
       OneOf("F6_E2M3", "[4]", "[0,3]", "abc")},
      {"15_span_too_long", OneOf("U8", "[3]", "[0,4]"), "needs 3", kGoodSafetensors},
      {"15_span_too_short", OneOf("U16", "[3]", "[0,4]"), "needs 6", OneOf("U16", "[2]", "[0,4]")},
      {"15_scalar", OneOf("U8", "[]", "[0,4]"), "needs 1", OneOf("F32", "[]", "[0,4]")},
      {"16_starts_late", OneOf("U8", "[3]", "[1,4]"), "a hole", OneOf("U8", "[3]", "[0,3]", "abc")},
      {"16_hole", Two("[0,2]", "[3,5]", "abcde"), "expected 2 (a hole)",
       Two("[0,2]", "[2,4]", "abcd")},
      {"16_overlap", Two("[0,2]", "[1,3]", "abc"), "expected 2 (an overlap)",
       Two("[2,4]", "[0,2]", "abcd")},
      {"16_same_place", Two("[0,2]", "[0,2]", "ab"), "an overlap", Two("[0,2]", "[2,4]", "abcd")},
      {"17_data_cut_short", OneOf("U8", "[4]", "[0,4]", "abc"), "cut short", kGoodSafetensors},
      {"17_data_left_over", OneOf("U8", "[4]", "[0,4]", "abcde"), "which has 5", kGoodSafetensors},
      {"17_data_without_tensors", SafetensorsBytes("{}", "a"), "which has 1",
       SafetensorsBytes("{}")},
      {"18_empty_name", Named(""), "empty name", Named(" ")},
      {"18_long_name", Named(long_name + "n"), "4097 bytes", Named(long_name)},
      {"18_new_line_in_name", Named("a\\nb"), "control character", Named("a b")},
      {"18_nul_in_name", Named("a\\u0000b"), "control character", Named("a\\u0020b")},
      {"18_delete_in_name", Named("a\\u007f"), "control character", Named("a~")},
      {"18_lone_surrogate_in_name", Named("\\ud800"), "surrogate", Named("\\ud83d\\ude00")},
  };
  return rows;
}

class SafetensorsFormat : public testing::TestWithParam<SafetensorsRow> {};

TEST_P(SafetensorsFormat, RefusesTheBadFile) {
  const tests::TempDir dir;
  const auto path = dir.Write("model.safetensors", GetParam().bad);
  tests::ExpectError(ErrorKind::kInput, {path.string(), GetParam().fragment},
                     [&] { SafetensorsFile file(path); });
}

TEST_P(SafetensorsFormat, AcceptsItsTwin) {
  const tests::TempDir dir;
  EXPECT_NO_THROW(SafetensorsFile file(dir.Write("model.safetensors", GetParam().good)));
}

INSTANTIATE_TEST_SUITE_P(Table, SafetensorsFormat, testing::ValuesIn(SafetensorsRows()),
                         [](const auto& row) { return row.param.name; });

TEST(SafetensorsFormatMore, EveryDTypePassesThrough) {
  for (const std::string& name : DTypeNames()) {
    // 8 elements fill whole bytes in every dtype.
    const size_t num_bytes = static_cast<size_t>(DTypeBits(*FindDType(name)));
    const std::string bytes =
        OneOf(name, "[8]", StrCat("[0,", num_bytes, "]"), std::string(num_bytes, 'x'));
    const SafetensorsHeader header = ParseSafetensorsHeader(tests::AsBytes(bytes));
    ASSERT_EQ(header.tensors.size(), 1u);
    EXPECT_EQ(DTypeName(header.tensors[0].dtype), name);
  }
}

TEST(SafetensorsFormatMore, EmptyTensorsMayShareAPlace) {
  const std::string header = StrCat("{\"full\":", Entry("U8", "[2]", "[0,2]"),
                                    ",\"none\":", Entry("F32", "[0,3]", "[0,0]"),
                                    ",\"last\":", Entry("F32", "[0]", "[2,2]"), "}");
  const SafetensorsHeader parsed =
      ParseSafetensorsHeader(tests::AsBytes(SafetensorsBytes(header, "ab")));
  ASSERT_EQ(parsed.tensors.size(), 3u);
  EXPECT_EQ(parsed.tensors[0].name, "none");
  EXPECT_EQ(parsed.tensors[1].name, "full");
  EXPECT_EQ(parsed.tensors[2].name, "last");
}

TEST(SafetensorsFormatMore, AllBadTensorsAreNamedAtOnce) {
  const std::string header =
      StrCat("{\"a\":", Entry("F12", "[4]", "[0,4]"), ",\"b\":", Entry("U8", "[3]", "[4,8]"), "}");
  tests::ExpectError(ErrorKind::kInput, {"2 problems", "'F12'", "'b'", "needs 3"}, [&] {
    ParseSafetensorsHeader(tests::AsBytes(SafetensorsBytes(header, "abcdefgh")));
  });
}

TEST(SafetensorsFormatMore, OnlyARegularFileIsRead) {  // 19
  const tests::TempDir dir;
  const std::string missing = (dir / "missing.safetensors").string();
  tests::ExpectError(ErrorKind::kInput, {missing, "no such file"},
                     [&] { SafetensorsFile file(missing); });
  tests::ExpectError(ErrorKind::kInput, {"a directory"}, [&] { SafetensorsFile file(dir.path()); });
  tests::ExpectError(ErrorKind::kInput, {"not a regular file"},
                     [&] { SafetensorsFile file("/dev/null"); });
  const std::string pipe = (dir / "pipe.safetensors").string();
  ASSERT_EQ(::mkfifo(pipe.c_str(), 0600), 0);
  tests::ExpectError(ErrorKind::kInput, {"not a regular file"},
                     [&] { SafetensorsFile file(pipe); });

  dir.Write("real.safetensors", kGoodSafetensors);
  std::filesystem::create_symlink("real.safetensors", dir / "link.safetensors");
  EXPECT_EQ(SafetensorsFile(dir / "link.safetensors").tensors().size(), 1u);
}

// Every prefix and every single changed byte of a good header either parses or is an Error: no
// other exception, and nothing read outside the bytes (the sanitizers watch).
TEST(SafetensorsFormatMore, NoMutationEscapes) {
  const std::string good = WithMetadata("{\"format\":\"pt\"}");
  const auto parse = [](const std::string& bytes) {
    try {
      ParseSafetensorsHeader(tests::AsBytes(bytes));
      return true;
    } catch (const Error& error) {
      EXPECT_STREQ(tests::KindName(error.kind()), "kInput") << error.what();
      return false;
    }
  };
  EXPECT_TRUE(parse(good));
  for (size_t length = 0; length < good.size(); ++length) {
    EXPECT_FALSE(parse(good.substr(0, length))) << length;
  }
  for (size_t at = 0; at < good.size() - 4; ++at) {
    for (int change : {0x01, 0x20, 0x80, 0xff}) {
      std::string bytes = good;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      parse(bytes);
    }
  }
}

}  // namespace
}  // namespace moefy::io
