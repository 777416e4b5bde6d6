#include "moefy/record/activation_dump.h"

#include <cstring>
#include <limits>
#include <set>

#include "moefy/base/error.h"
#include "moefy/base/json.h"
#include "moefy/base/output.h"
#include "moefy/io/safetensors.h"

namespace moefy::record {
namespace {

constexpr int kDumpFormat = 1;
constexpr const char* kManifest = "dump.json";
constexpr const char* kTensor = "ffn_input";
// Rows of one FFN held in memory before they become a shard: 64 MB at a width of 1,024.
constexpr int64_t kShardBytes = 64 << 20;

// "encoder.ffn.0-00002.safetensors"
std::string ShardName(const std::string& ffn_name, int64_t shard_idx) {
  std::string number = std::to_string(shard_idx);
  return ffn_name + "-" + std::string(number.size() < 5 ? 5 - number.size() : 0, '0') + number +
         ".safetensors";
}

std::optional<at::ScalarType> ReadableType(io::DType dtype) {
  switch (dtype) {
    case io::DType::kF32:
      return at::kFloat;
    case io::DType::kF16:
      return at::kHalf;
    case io::DType::kBF16:
      return at::kBFloat16;
    case io::DType::kF64:
      return at::kDouble;
    default:
      return std::nullopt;
  }
}

std::string Describe(const io::TensorInfo& info) {
  return StrCat(io::DTypeName(info.dtype), " ", FormatShape(info.shape));
}

// The one tensor of a file, or the one called ffn_input.
const io::TensorInfo& OnlyTensor(const io::TensorFile& file) {
  const io::TensorInfo* info =
      file.tensors().size() == 1 ? &file.tensors().front() : file.Find(kTensor);
  if (!info) {
    throw InputError(file.path(), ": expected one tensor, or one called ", Quoted(kTensor),
                     "; found ", file.tensors().size());
  }
  if (!ReadableType(info->dtype) || info->shape.size() < 2 || info->shape.back() == 0) {
    throw InputError(file.path(),
                     ": expected a tensor [..., hidden] in F32, F16, BF16 or F64, found ",
                     Describe(*info));
  }
  return *info;
}

}  // namespace

ActivationDump ActivationDump::OpenFilesOfOthers(const std::filesystem::path& directory) {
  ActivationDump dump;
  dump.info_.corpus = "recorded by others";
  std::set<std::filesystem::path> paths;  // sorted
  std::error_code ignored;                // what cannot be listed has no files
  for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
    const std::string ending = entry.path().extension().string();
    if (ending == ".safetensors" || ending == ".pt" || ending == ".npy") paths.insert(entry.path());
  }
  if (paths.empty()) {
    throw InputError(directory, " is not an activation dump: it has neither ", kManifest,
                     ", which `moefy record` makes, nor a .safetensors, .pt or .npy file per FFN");
  }
  for (const std::filesystem::path& path : paths) {
    Shard shard{io::OpenTensorFile(path), nullptr, 0, 0};
    shard.info = &OnlyTensor(*shard.file);
    const auto hidden = static_cast<int64_t>(shard.info->shape.back());
    shard.tokens = static_cast<int64_t>(*io::NumElements(shard.info->shape)) / hidden;
    dump.ffns_.push_back({path.stem().string(), shard.tokens, hidden});
    dump.shards_.push_back({std::move(shard)});
  }
  return dump;
}

ActivationDump ActivationDump::Open(const std::filesystem::path& directory) {
  if (!std::filesystem::exists(directory / kManifest)) return OpenFilesOfOthers(directory);
  const Json json = ReadJsonFile(directory / kManifest);
  const JsonObject manifest(json, (directory / kManifest).string());
  const int64_t format = manifest.GetInt("format", 1, std::numeric_limits<int32_t>::max());
  if (format != kDumpFormat) {
    throw InputError(manifest.PathOf("format"), " is ", format, "; this moefy reads format ",
                     kDumpFormat);
  }
  ActivationDump dump;
  dump.info_ = {manifest.GetString("family"), manifest.GetString("model_fingerprint"),
                manifest.GetString("corpus")};
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  for (const JsonObject& entry : manifest.GetObjects("ffns")) {
    DumpedFfn ffn{entry.GetString("name"), entry.GetInt("tokens", 0, kMax),
                  entry.GetInt("hidden", 1, 1 << 20)};
    std::vector<Shard> shards;
    int64_t tokens = 0;
    for (const std::string& name : entry.GetStrings("shards")) {
      if (name.find('/') != std::string::npos || name.starts_with(".")) {
        throw InputError(entry.PathOf("shards"), " names ", Quoted(name),
                         "; expected a plain file name");
      }
      auto file = std::make_shared<io::SafetensorsFile>(directory / name);
      const io::TensorInfo* info = file->Find(kTensor);
      if (!info || info->shape.size() != 2 || !ReadableType(info->dtype) ||
          info->shape[1] != static_cast<uint64_t>(ffn.hidden)) {
        throw InputError(directory / name, ": expected a tensor ", Quoted(kTensor), " [tokens, ",
                         ffn.hidden, "] in F32, F16, BF16 or F64, found ",
                         info ? Describe(*info) : "none");
      }
      const auto rows = static_cast<int64_t>(info->shape[0]);
      shards.push_back({std::move(file), info, tokens, rows});
      tokens += rows;
    }
    if (tokens != ffn.tokens) {
      throw InputError(entry.PathOf("tokens"), " is ", ffn.tokens, "; the shards of ",
                       Quoted(ffn.name), " hold ", tokens);
    }
    dump.ffns_.push_back(std::move(ffn));
    dump.shards_.push_back(std::move(shards));
  }
  return dump;
}

size_t ActivationDump::GetFfn(const std::string& name) const {
  std::vector<std::string> names;
  for (size_t i = 0; i < ffns_.size(); ++i) {
    if (ffns_[i].name == name) return i;
    names.push_back(ffns_[i].name);
  }
  throw InputError("the activation dump holds nothing of ", Quoted(name), "; it holds ",
                   names.empty() ? "no FFN" : Join(names));
}

std::optional<size_t> ActivationDump::Find(const model::FfnSpec& spec) const {
  for (size_t i = 0; i < ffns_.size(); ++i) {
    const std::string& name = ffns_[i].name;
    if (name == spec.name || name == spec.w_in || name + ".weight" == spec.w_in) return i;
  }
  return std::nullopt;
}

at::Tensor ActivationDump::ReadInputs(size_t ffn_idx, int64_t begin, int64_t end) const {
  const DumpedFfn& ffn = ffns_.at(ffn_idx);
  MOEFY_CHECK(0 <= begin && begin <= end && end <= ffn.tokens);
  std::vector<at::Tensor> parts;
  for (const Shard& shard : shards_[ffn_idx]) {
    const int64_t first = std::max(begin, shard.first_token) - shard.first_token;
    const int64_t last = std::min(end, shard.first_token + shard.tokens) - shard.first_token;
    if (first >= last) continue;
    const io::TensorInfo& info = *shard.info;
    at::Tensor rows = at::empty({last - first, ffn.hidden}, *ReadableType(info.dtype));
    const auto row_bytes = static_cast<size_t>(ffn.hidden) * rows.element_size();
    std::memcpy(rows.data_ptr(),
                shard.file->Bytes(info).data() + static_cast<size_t>(first) * row_bytes,
                static_cast<size_t>(last - first) * row_bytes);
    parts.push_back(rows.to(at::kFloat));
  }
  return parts.empty() ? at::empty({0, ffn.hidden}) : parts.size() == 1 ? parts[0] : at::cat(parts);
}

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
  std::vector<Pending> pending;

  void WriteShard(Pending& p) const {
    if (p.num_rows == 0) return;
    const at::Tensor rows = at::cat(p.rows).contiguous();  // [rows, hidden]
    const std::string name = ShardName(p.ffn.name, static_cast<int64_t>(p.shards.size()));
    io::TensorInfo tensor;
    tensor.name = kTensor;
    tensor.dtype = io::DType::kF32;
    tensor.shape = {static_cast<uint64_t>(p.num_rows), static_cast<uint64_t>(p.ffn.hidden)};
    io::SafetensorsWriter file(directory / name, {tensor});
    file.Write(kTensor, {static_cast<const std::byte*>(rows.data_ptr()), rows.nbytes()});
    file.Finish();
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
  for (const DumpedFfn& ffn : ffns)
    impl_->pending.push_back({{ffn.name, 0, ffn.hidden}, {}, 0, {}});
}

DumpWriter::~DumpWriter() = default;

void DumpWriter::Append(size_t ffn_idx, const at::Tensor& x) {
  Impl::Pending& p = impl_->pending.at(ffn_idx);
  MOEFY_CHECK(x.dim() == 2 && x.size(1) == p.ffn.hidden && x.scalar_type() == at::kFloat);
  const int64_t rows = std::min(x.size(0), impl_->max_tokens - p.ffn.tokens);
  if (rows <= 0) return;
  p.rows.push_back(x.narrow(0, 0, rows).clone());
  p.num_rows += rows;
  p.ffn.tokens += rows;
  if (p.num_rows * p.ffn.hidden * static_cast<int64_t>(sizeof(float)) >= kShardBytes) {
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
