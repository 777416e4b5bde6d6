#include "record/dump_writer.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "base/json.h"
#include "base/output.h"
#include "io/finite.h"
#include "moefy/base/error.h"
#include "moefy/model/tensor_io.h"
#include "record/dump_format.h"

namespace moefy::record {
namespace {

// How much of an FFN's rows is held in memory before it becomes a shard: its share of what all FFNs
// may hold, within limits for a shard.
constexpr int64_t kHeldBytes = int64_t{256} << 20;
constexpr int64_t kMinShardBytes = int64_t{8} << 20;
constexpr int64_t kMaxShardBytes = int64_t{64} << 20;

// "encoder.ffn.0-00002.safetensors"
std::string ShardName(const std::string& ffn_name, int64_t shard_idx) {
  std::string number = std::to_string(shard_idx);
  return ffn_name + "-" + std::string(number.size() < 5 ? 5 - number.size() : 0, '0') + number +
         ".safetensors";
}

}  // namespace

struct DumpWriter::Impl {
  struct Pending {
    DumpedFfn ffn;                 // `tokens`: accepted so far
    std::vector<at::Tensor> rows;  // not yet in a shard
    int64_t num_rows = 0;
    std::vector<std::string> shards;
  };
  std::filesystem::path directory;
  DumpInfo info;
  int64_t max_tokens;
  int64_t shard_bytes;
  std::vector<Pending> pending;

  void WriteShard(Pending& p) const {
    if (p.num_rows == 0) return;
    const at::Tensor rows = at::cat(p.rows);  // [rows, hidden]
    const std::string name = ShardName(p.ffn.name, static_cast<int64_t>(p.shards.size()));
    model::WriteTensors({{kTensor, rows}}, directory / name);
    p.shards.push_back(name);
    p.rows.clear();
    p.num_rows = 0;
  }
};

DumpWriter::DumpWriter(std::filesystem::path directory, DumpInfo info,
                       const std::vector<DumpedFfn>& ffns, int64_t max_tokens)
    : impl_(std::make_unique<Impl>()) {
  impl_->directory = std::move(directory);
  impl_->info = std::move(info);
  impl_->max_tokens = max_tokens;
  impl_->shard_bytes =
      std::clamp(kHeldBytes / std::max<int64_t>(1, static_cast<int64_t>(ffns.size())),
                 kMinShardBytes, kMaxShardBytes);
  for (const DumpedFfn& ffn : ffns)
    impl_->pending.push_back({{ffn.name, 0, ffn.hidden}, {}, 0, {}});
}

DumpWriter::~DumpWriter() = default;

void DumpWriter::Append(size_t ffn_idx, const at::Tensor& x) {
  Impl::Pending& p = impl_->pending.at(ffn_idx);
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == p.ffn.hidden && x.scalar_type() == at::kFloat);
  const int64_t rows = std::min(x.size(0), impl_->max_tokens - p.ffn.tokens);
  if (rows <= 0) return;
  const at::Tensor kept = x.narrow(0, 0, rows).clone(at::MemoryFormat::Contiguous);
  const auto bad = io::FindNonFinite(
      io::DType::kF32, {static_cast<const std::byte*>(kept.data_ptr()), kept.nbytes()});
  if (bad) {
    throw InputError("what enters ", Quoted(p.ffn.name), " is ",
                     kept.flatten()[static_cast<int64_t>(*bad)].item<float>(), " for token ",
                     p.ffn.tokens + static_cast<int64_t>(*bad) / p.ffn.hidden,
                     ": the model's numbers grow too large on these texts");
  }
  p.rows.push_back(kept);
  p.num_rows += rows;
  p.ffn.tokens += rows;
  if (p.num_rows * p.ffn.hidden * static_cast<int64_t>(sizeof(float)) >= impl_->shard_bytes) {
    impl_->WriteShard(p);
  }
}

bool DumpWriter::Full() const {
  for (const Impl::Pending& p : impl_->pending) {
    if (p.ffn.tokens < impl_->max_tokens) return false;
  }
  return true;
}

std::vector<int64_t> DumpWriter::Finish() {
  Json ffns = Json::array();
  std::vector<int64_t> tokens;
  for (Impl::Pending& p : impl_->pending) {
    impl_->WriteShard(p);
    ffns.push_back({{"name", p.ffn.name},
                    {"tokens", p.ffn.tokens},
                    {"hidden", p.ffn.hidden},
                    {"shards", p.shards}});
    tokens.push_back(p.ffn.tokens);
  }
  const Json manifest = {{"format", kDumpFormat},
                         {"family", impl_->info.family},
                         {"model_fingerprint", impl_->info.model_fingerprint},
                         {"corpus", impl_->info.corpus},
                         {"dtype", "F32"},
                         {"ffns", ffns}};
  WriteTextFile(impl_->directory / kManifest, FormatJson(manifest), IfExists::kRefuse);
  return tokens;
}

}  // namespace moefy::record
