// Writes an activation dump (record/activation_dump.h) with bounded memory. One owner at a time.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "record/activation_dump.h"
#include "record/row_sink.h"

namespace moefy::record {

// Buffers up to one shard per FFN: 256 MB of all FFNs together, or 8 MB of each if that is more.
class DumpWriter final : public RowSink {
 public:
  // `directory` exists and is empty (a staging directory). Keeps at most `max_tokens` per FFN.
  DumpWriter(std::filesystem::path directory, DumpInfo info,
             const std::vector<DumpedFfn>& ffns,  // `tokens` ignored
             int64_t max_tokens);
  ~DumpWriter() override;
  // Adds x [tokens, hidden] F32. Throws Error{kInput} for values that are not finite.
  void Append(size_t ffn_idx, const at::Tensor& x) override;
  bool Full() const override;  // every FFN has max_tokens
  // Writes what is buffered, and dump.json. Returns the tokens per FFN.
  std::vector<int64_t> Finish();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace moefy::record
