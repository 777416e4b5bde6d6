#include "record/row_log.h"

#include <span>

#include "moefy/base/error.h"

namespace moefy::record {

void RowLogWriter::Append(size_t ffn_idx, const at::Tensor& x) {
  const at::Tensor rows = x.contiguous();
  MOEFY_CHECK(rows.dim() == 2 && rows.scalar_type() == at::kFloat);
  file_.WriteAt(num_bytes_, {static_cast<const std::byte*>(rows.data_ptr()), rows.nbytes()});
  num_bytes_ += rows.nbytes();
  owners_.push_back({ffn_idx, rows.size(0)});
}

void CountRows(const Json& owners, std::vector<int64_t>& tokens) {
  for (const Json& owner : owners) {
    tokens.at(owner.at(0).get<size_t>()) += owner.at(1).get<int64_t>();
  }
}

void ReplayRows(const std::filesystem::path& path, const Json& owners,
                const std::vector<DumpedFfn>& ffns, RowSink& sink) {
  const File file = File::Open(path);
  std::vector<int64_t> tokens(ffns.size(), 0);
  CountRows(owners, tokens);
  uint64_t wanted = 0;
  for (size_t i = 0; i < ffns.size(); ++i) {
    wanted += sizeof(float) * static_cast<uint64_t>(tokens[i] * ffns[i].hidden);
  }
  if (file.size() != wanted) {
    throw InputError(path, " has ", file.size(), " bytes of rows; expected ", wanted,
                     "; remove the directory, and the command makes it again");
  }
  uint64_t position = 0;
  for (const Json& owner : owners) {
    const auto ffn_idx = owner.at(0).get<size_t>();
    const at::Tensor x =
        at::empty({owner.at(1).get<int64_t>(), ffns.at(ffn_idx).hidden}, at::kFloat);
    file.ReadAt(position, {static_cast<std::byte*>(x.data_ptr()), x.nbytes()});
    position += x.nbytes();
    sink.Append(ffn_idx, x);
  }
}

}  // namespace moefy::record
