// Who takes what enters the FFNs of a model that runs.
#pragma once

#include <ATen/ATen.h>

#include <cstddef>

namespace moefy::record {

class RowSink {
 public:
  virtual ~RowSink() = default;
  // Takes x [tokens, hidden] F32, which entered an FFN.
  virtual void Append(size_t ffn_idx, const at::Tensor& x) = 0;
  virtual bool Full() const = 0;  // no more rows are wanted

 protected:
  RowSink() = default;
  RowSink(const RowSink&) = default;
  RowSink& operator=(const RowSink&) = default;
};

}  // namespace moefy::record
