// A directory of the parts of a stage's work, which several processes may find. Its format:
// docs/formats.md, "Parts". Every file appears whole. Thread-safety: of one object, one owner.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "moefy/pipeline/part_options.h"

namespace moefy::pipeline {

struct PartsRequest {
  PartOptions options;
  std::string stage;               // "split", "route-train", "record"
  Json stage_options;              // all of them, so that another process can run the same
  Json identity;                   // all that a part depends on, besides its FFN
  std::vector<std::string> names;  // what each part is of: FFNs, or batches
  std::string beside;              // the stage's output; an MPI run keeps parts beside it
  std::string title;               // of the step of progress
};

class PartsDirectory {
 public:
  // Makes the directory, or goes on with one. Throws Error{kUsage} for parts of other options or
  // another model.
  PartsDirectory(std::filesystem::path directory, const PartsRequest& request);

  const std::filesystem::path& path() const { return directory_; }
  bool Has(size_t i) const;
  // What is said of a part. Whatever else belongs to it is stored before: with this it is whole.
  void StoreValues(size_t i, const Json& values) const;
  Json Values(size_t i) const;
  // A file that belongs to a part: "7.safetensors".
  std::filesystem::path File(size_t i, const char* ending) const;
  void Remove() const;

 private:
  std::filesystem::path directory_;
};

inline constexpr const char* kPartsManifest = "parts.json";
// The stage and the options that a directory of parts was begun with. Throws Error{kInput}.
struct BegunParts {
  std::string stage;
  Json options;
};
BegunParts ReadPartsManifest(const std::string& directory);

}  // namespace moefy::pipeline
