#include "io/safetensors.h"

#include <gtest/gtest.h>

#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::io {
namespace {

using tests::AsBytes;
using tests::AsString;

TEST(SafetensorsFile, FindsTensorsByName) {
  const tests::TempDir dir;
  const SafetensorsFile file(dir.Write(
      "f.safetensors",
      tests::SafetensorsBytes(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[4,6]},)"
                              R"("__metadata__":{"format":"pt","x":""},)"
                              R"("a":{"dtype":"F16","shape":[1,2],"data_offsets":[0,4]}})",
                              "abcdef")));
  ASSERT_EQ(file.tensors().size(), 2u);
  EXPECT_EQ(file.tensors()[0].name, "a");
  EXPECT_EQ(file.tensors()[0].dtype, DType::kF16);
  EXPECT_EQ(file.tensors()[0].shape, (std::vector<uint64_t>{1, 2}));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}, {"x", ""}}));
  ASSERT_TRUE(file.Find("b"));
  EXPECT_EQ(AsString(file.Bytes(*file.Find("b"))), "ef");
  EXPECT_EQ(AsString(file.Bytes(*file.Find("a"))), "abcd");
  EXPECT_EQ(file.Find("c"), nullptr);
  EXPECT_EQ(AsString(file.HeaderBytes()) + "abcdef", dir.Read("f.safetensors"));
}

TEST(SafetensorsFile, RefusesInfoOfAnotherFile) {
  const tests::TempDir dir;
  const SafetensorsFile file(dir.Write("f.safetensors", tests::SafetensorsBytes("{}")));
  tests::ExpectError(ErrorKind::kBug, {}, [&] { file.Bytes({"a", DType::kU8, {1}, 0, 1}); });
}

TEST(SafetensorsWriter, WritesTheCanonicalFile) {
  const tests::TempDir dir;
  SafetensorsWriter writer(dir / "f.safetensors", {{"z", DType::kF32, {}},
                                                   {"byte", DType::kU8, {3}},
                                                   {"a", DType::kF32, {1, 1}},
                                                   {"long", DType::kI64, {1}},
                                                   {"none", DType::kBF16, {0, 7}}});
  writer.Write("byte", AsBytes("xyz"));
  writer.Write("a", AsBytes("aaaa"));
  writer.Write("none", {});
  writer.Write("long", AsBytes("LLLLLLLL"));
  writer.Write("z", AsBytes("zzzz"));
  writer.Finish();

  std::string header = R"({"__metadata__":{"format":"pt"},)"
                       R"("long":{"dtype":"I64","shape":[1],"data_offsets":[0,8]},)"
                       R"("a":{"dtype":"F32","shape":[1,1],"data_offsets":[8,12]},)"
                       R"("z":{"dtype":"F32","shape":[],"data_offsets":[12,16]},)"
                       R"("none":{"dtype":"BF16","shape":[0,7],"data_offsets":[16,16]},)"
                       R"("byte":{"dtype":"U8","shape":[3],"data_offsets":[16,19]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(dir.Read("f.safetensors"), tests::SafetensorsBytes(header, "LLLLLLLLaaaazzzzxyz"));
}

TEST(SafetensorsWriter, EscapesNamesAndMetadata) {
  const tests::TempDir dir;
  const std::string name = "a\"b\\c\xc3\xa9";
  SafetensorsWriter writer(dir / "f.safetensors", {{name, DType::kU8, {0}}},
                           {{"note", "two\nlines"}});
  writer.Write(name, {});
  writer.Finish();
  const SafetensorsFile file(dir / "f.safetensors");
  EXPECT_TRUE(file.Find(name));
  EXPECT_EQ(file.metadata().at("note"), "two\nlines");
}

TEST(SafetensorsWriter, AnEmptyFileIsAFile) {
  const tests::TempDir dir;
  SafetensorsWriter writer(dir / "f.safetensors", {}, {});
  writer.Finish();
  EXPECT_EQ(dir.Read("f.safetensors"), tests::SafetensorsBytes("{}      "));
}

TEST(SafetensorsWriter, AnUnfinishedFileIsNotValid) {
  const tests::TempDir dir;
  {
    SafetensorsWriter writer(dir / "f.safetensors", {{"a", DType::kU8, {2}}});
    writer.Write("a", AsBytes("xy"));
  }
  tests::ExpectError(ErrorKind::kInput, {}, [&] { SafetensorsFile file(dir / "f.safetensors"); });
}

TEST(SafetensorsWriter, MistakesOfOursAreBugs) {
  const tests::TempDir dir;
  SafetensorsWriter writer(dir / "f.safetensors", {{"a", DType::kU8, {2}}, {"b", DType::kU8, {1}}});
  const auto bug = [](const std::function<void()>& body) {
    tests::ExpectError(ErrorKind::kBug, {}, body);
  };
  bug([&] { writer.Write("c", AsBytes("x")); });
  bug([&] { writer.Write("a", AsBytes("x")); });
  writer.Write("a", AsBytes("xy"));
  bug([&] { writer.Write("a", AsBytes("xy")); });
  bug([&] { writer.Finish(); });
  bug([&] {
    SafetensorsWriter twice(dir / "g", {{"a", DType::kU8, {1}}, {"a", DType::kU8, {2}}});
  });
  bug([&] { SafetensorsWriter half(dir / "h", {{"a", DType::kF4, {1}}}); });
  bug([&] { SafetensorsWriter reserved(dir / "i", {{"__metadata__", DType::kU8, {1}}}); });
}

TEST(SafetensorsWriter, AFullDiskIsASystemError) {
  SafetensorsWriter writer("/dev/full", {{"a", DType::kU8, {1}}});
  tests::ExpectError(ErrorKind::kSystem, {"/dev/full", "No space left on device"},
                     [&] { writer.Write("a", AsBytes("x")); });
}

TEST(SafetensorsWriter, NeverTruncatesAMappedFile) {
  const tests::TempDir dir;
  dir.Write("f.safetensors", tests::SafetensorsBytes("{}"));
  const SafetensorsFile mapped(dir / "f.safetensors");
  tests::ExpectError(ErrorKind::kSystem, {"File exists"}, [&] {
    SafetensorsWriter writer(dir / "f.safetensors", {{"a", DType::kU8, {1}}});
  });
  EXPECT_EQ(dir.Read("f.safetensors"), tests::SafetensorsBytes("{}"));
}

// A header as large as real checkpoints have. Quadratic parsing would run into the time limit.
TEST(Safetensors, ManyTensors) {
  const tests::TempDir dir;
  constexpr size_t kNumTensors = 20'000;
  std::vector<TensorInfo> infos;
  for (size_t i = 0; i < kNumTensors; ++i) {
    infos.push_back({StrCat("model.layers.", i, ".mlp.weight"), DType::kF32, {1}});
  }
  SafetensorsWriter writer(dir / "f.safetensors", infos);
  for (const TensorInfo& info : infos) writer.Write(info.name, AsBytes("1234"));
  writer.Finish();
  const SafetensorsFile file(dir / "f.safetensors");
  EXPECT_EQ(file.tensors().size(), kNumTensors);
  EXPECT_EQ(AsString(file.Bytes(*file.Find("model.layers.19999.mlp.weight"))), "1234");
}

}  // namespace
}  // namespace moefy::io
