// What people name in place of a checkpoint, and that they are told what it is.
#include <gtest/gtest.h>

#include "io/safetensors.h"
#include "moefy/io/checkpoint.h"
#include "support/expect_error.h"
#include "support/safetensors_bytes.h"
#include "support/temp_dir.h"

namespace moefy::io {
namespace {

namespace fs = std::filesystem;
using tests::ExpectError;

std::string Weights() {
  return tests::SafetensorsBytes(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
                                 std::string_view("\0\0\0\0", 4));
}

TEST(FoundInstead, FormatsOfOtherLibrariesByTheNamesOfFiles) {
  struct Row {
    const char* file;
    const char* what;
    const char* advice;
  };
  const Row rows[] = {
      {"tf_model.h5", "'tf_model.h5' is TensorFlow weights", "from_tf=True"},
      {"flax_model.msgpack", "'flax_model.msgpack' is Flax weights", "from_flax=True"},
      {"model.ckpt.index", "a TensorFlow checkpoint", "a script per family"},
      {"model.ckpt", "a TensorFlow or Lightning checkpoint", "its state dict alone"},
      {"tiny.Q4_K_M.gguf", "'tiny.Q4_K_M.gguf' is GGUF", "gguf_file="},
      {"model.onnx", "an ONNX graph", "the checkpoint that it was made from"},
      {"rust_model.ot", "rust-bert", "the checkpoint that it was made from"},
  };
  for (const Row& row : rows) {
    SCOPED_TRACE(row.file);
    const tests::TempDir dir;
    dir.Write("config.json", "{}");
    const fs::path file = dir.Write(row.file, "x");
    ExpectError(ErrorKind::kInput, {row.what, row.advice}, [&] { Checkpoint::Open(dir.path()); });
    ExpectError(ErrorKind::kInput, {row.what, row.advice}, [&] { Checkpoint::Open(file); });
    // Beside weights that are read, it is no concern.
    dir.Write("model.safetensors", Weights());
    EXPECT_EQ(Checkpoint::Open(dir.path()).TensorNames().size(), 1u);
  }
}

TEST(FoundInstead, AnAdapterIsNoModel) {
  const tests::TempDir dir;
  dir.Write("adapter_config.json", R"({"base_model_name_or_path": "org/base", "r": 8})");
  dir.Write("adapter_model.safetensors", Weights());
  ExpectError(ErrorKind::kInput, {"adapter", "'org/base'", "merge_and_unload"},
              [&] { Checkpoint::Open(dir.path()); });
  dir.Write("model.safetensors", Weights());
  const Checkpoint checkpoint = Checkpoint::Open(dir.path());
  ASSERT_EQ(checkpoint.warnings().size(), 1u);
  EXPECT_NE(checkpoint.warnings()[0].find("adapter_config.json) is not applied"),
            std::string::npos);
}

TEST(FoundInstead, ARepositoryOfTheHubsCacheListsItsSnapshots) {
  const tests::TempDir dir;
  const std::string root = "models--org--tiny", hash = "0123456789abcdef";
  dir.Write(root + "/refs/main", hash);
  dir.Write(root + "/blobs/b1", Weights());
  const fs::path snapshot = dir.path() / root / "snapshots" / hash;
  fs::create_directories(snapshot);
  fs::create_directories(dir.path() / root / "snapshots" / "older");
  fs::create_symlink("../../blobs/b1", snapshot / "model.safetensors");
  ExpectError(ErrorKind::kInput,
              {"a repository in the hub's cache", snapshot.string() + " (main)", "snapshots/older"},
              [&] { Checkpoint::Open(dir.path() / root); });
  ExpectError(ErrorKind::kInput, {"the hub's cache", "'models--org--tiny'"},
              [&] { Checkpoint::Open(dir.path()); });
  EXPECT_EQ(Checkpoint::Open(snapshot).TensorNames().size(), 1u);
}

TEST(FoundInstead, ALinkThatLeadsNowhereSaysWhereTo) {
  const tests::TempDir dir;
  fs::create_symlink("../../blobs/abc", dir.path() / "model.safetensors");
  ExpectError(ErrorKind::kInput, {"model.safetensors", "a link to ../../blobs/abc", "download"},
              [&] { Checkpoint::Open(dir.path()); });
}

TEST(FoundInstead, ARepositoryOfTheHubIsNoDirectory) {
  ExpectError(ErrorKind::kInput,
              {"no such file or directory", "hf download no-such-org/tiny --local-dir tiny"},
              [&] { Checkpoint::Open("no-such-org/tiny"); });
  for (const char* path : {"/no-such-org/tiny", "no-such-org/a/b", "./no-such-org"}) {
    try {
      Checkpoint::Open(path);
      ADD_FAILURE() << path;
    } catch (const Error& error) {
      EXPECT_NE(std::string(error.what()).find("no such file"), std::string::npos);
      EXPECT_EQ(std::string(error.what()).find("hf download"), std::string::npos) << error.what();
    }
  }
}

TEST(FoundInstead, WhatADownloadLeftInPlaceOfTheWeights) {
  struct Row {
    std::string bytes;
    const char* fragment;
  };
  const Row rows[] = {
      {"", "the file is empty"},
      {"<!DOCTYPE html><html>", "an HTML page"},
      {"\n<html lang=\"en\">", "an HTML page"},
      {"Entry not found", "a server's answer"},
      {"Access to model org/x is restricted", "a server's answer"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n", "git lfs pull"},
      {"GGUF\3\0\0\0", "GGUF"},
  };
  for (const Row& row : rows) {
    for (const char* name : {"model.safetensors", "pytorch_model.bin"}) {
      SCOPED_TRACE(row.bytes + name);
      const tests::TempDir dir;
      dir.Write(name, row.bytes);
      ExpectError(ErrorKind::kInput, {name, row.fragment}, [&] { Checkpoint::Open(dir.path()); });
    }
  }
}

}  // namespace
}  // namespace moefy::io
