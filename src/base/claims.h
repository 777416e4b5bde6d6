// Pieces of work that the ranks of one MPI run take in turn: who makes a claim's file does the
// piece. A file is made by one of them only, on every file system that all of them see.
// Thread-safe, as file systems are.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

namespace moefy {

class Claims {
 public:
  // `run` names the MPI run, so that claims of one that was killed do not count.
  Claims(std::filesystem::path directory, std::string run);

  // Whether piece `i` is this process's now. Throws Error{kSystem}.
  bool Take(size_t i) const;

  // A name that no other run has.
  static std::string NewRun();
  // Removes the claims of all runs.
  static void RemoveAll(const std::filesystem::path& directory);

 private:
  std::filesystem::path directory_;
  std::string run_;
};

}  // namespace moefy
