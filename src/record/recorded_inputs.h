// What entered one FFN on a corpus. It is read from an activation dump in pieces, so that memory
// stays bounded whatever the dump's size. Thread-safe; the dump must outlive it.
#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "record/activation_dump.h"

namespace moefy::record {

class RecordedInputs {
 public:
  RecordedInputs(const ActivationDump& dump, size_t ffn_idx) : dump_(&dump), ffn_idx_(ffn_idx) {}

  int64_t tokens() const { return dump_->ffns()[ffn_idx_].tokens; }
  int64_t hidden() const { return dump_->ffns()[ffn_idx_].hidden; }

  // Calls `visit` with x [at most 256, hidden] F32, in order. A dump of more than `max_tokens` is
  // visited in pieces that are spread evenly over it and have exactly so many tokens together.
  void Visit(int64_t max_tokens, const std::function<void(const at::Tensor& x)>& visit) const;

 private:
  const ActivationDump* dump_;
  size_t ffn_idx_;
};

// Throws Error{kInput} with both fingerprints and every FFN that disagrees when `dump` was not
// recorded from the dense checkpoint with this fingerprint and these FFNs. A dump without a
// fingerprint passes on names and sizes. `model` is what the message calls the checkpoint.
void CheckDumpMatches(const ActivationDump& dump, const std::string& model,
                      const std::string& fingerprint, const std::vector<model::FfnSpec>& ffns);

}  // namespace moefy::record
