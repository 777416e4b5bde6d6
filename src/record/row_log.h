// What entered the FFNs of a model, in the order in which it did: a file of rows in F32, one behind
// the other, and beside it whose they are. What one process logged another can append to a dump, as
// if it had run the model itself. One owner at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "record/activation_dump.h"
#include "record/row_sink.h"

namespace moefy::record {

class RowLogWriter final : public RowSink {
 public:
  // Throws Error{kSystem}, as all of this does, when the disk is full.
  explicit RowLogWriter(const std::filesystem::path& path) : file_(File::Create(path)) {}

  void Append(size_t ffn_idx, const at::Tensor& x) override;
  bool Full() const override { return false; }
  // Whose rows they are: [[FFN, rows], ...].
  Json owners() const { return owners_; }

 private:
  File file_;
  uint64_t num_bytes_ = 0;
  Json owners_ = Json::array();
};

// Adds the rows of a log to the `tokens` of each FFN.
void CountRows(const Json& owners, std::vector<int64_t>& tokens);

// Appends the rows of a log to `sink`. `ffns` are those of the model. Throws Error{kInput} when the
// file and its owners do not fit.
void ReplayRows(const std::filesystem::path& path, const Json& owners,
                const std::vector<DumpedFfn>& ffns, RowSink& sink);

}  // namespace moefy::record
