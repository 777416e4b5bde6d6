#include "record/dump_rows.h"

#include <algorithm>
#include <cstring>

#include "io/finite.h"
#include "moefy/base/error.h"
#include "moefy/model/tensor_io.h"

namespace moefy::record {

at::Tensor ReadRows(const ActivationDump& dump, size_t ffn_idx, int64_t begin, int64_t end) {
  const DumpedFfn& ffn = dump.ffns().at(ffn_idx);
  MOEFY_CHECK(0 <= begin && begin <= end && end <= ffn.tokens);
  std::vector<at::Tensor> parts;
  for (const DumpShard& shard : dump.shards(ffn_idx)) {
    const int64_t first = std::max(begin, shard.first_token) - shard.first_token;
    const int64_t last = std::min(end, shard.first_token + shard.tokens) - shard.first_token;
    if (first >= last) continue;
    const io::TensorInfo& info = *shard.info;
    at::Tensor rows = at::empty({last - first, ffn.hidden}, *model::ComputableType(info.dtype));
    const auto row_bytes = static_cast<size_t>(ffn.hidden) * rows.element_size();
    const auto bytes = shard.file->Bytes(info).subspan(
        static_cast<size_t>(first) * row_bytes, static_cast<size_t>(last - first) * row_bytes);
    if (const auto bad = io::FindNonFinite(info.dtype, bytes)) {
      const auto element = static_cast<int64_t>(*bad);
      throw InputError(shard.file->path(), ": what enters ", Quoted(ffn.name), " is ",
                       io::NonFiniteName(info.dtype, bytes.subspan(*bad * rows.element_size())),
                       " for token ", shard.first_token + first + element / ffn.hidden,
                       "; expected finite numbers: record it again");
    }
    std::memcpy(rows.data_ptr(), bytes.data(), bytes.size());
    parts.push_back(rows.to(at::kFloat));
  }
  return parts.empty() ? at::empty({0, ffn.hidden}) : parts.size() == 1 ? parts[0] : at::cat(parts);
}

}  // namespace moefy::record
