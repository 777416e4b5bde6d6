#include "pipeline/ffn_parts.h"

#include <charconv>
#include <filesystem>

#include "base/output.h"
#include "base/ranks.h"
#include "moefy/base/error.h"
#include "moefy/io/checkpoint.h"
#include "pipeline/rank_parts.h"

namespace moefy::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTensors = "safetensors";  // a part's file of them

// This process's share: the FFNs i with i % count == index.
struct Shard {
  size_t index = 0, count = 1;
};

Shard ParseShard(const std::string& text) {
  if (text.empty()) return {};
  const auto number = [](std::string_view digits) -> size_t {
    size_t value = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    return error == std::errc() && end == digits.data() + digits.size() ? value : 0;
  };
  const size_t slash = text.find('/');
  if (slash != std::string::npos) {
    const std::string_view whole = text;
    const size_t first = number(whole.substr(0, slash)), count = number(whole.substr(slash + 1));
    if (first >= 1 && first <= count) return {first - 1, count};
  }
  throw UsageError("--shard is ", Quoted(text), "; expected i/n, from 1/n to n/n, like 2/8");
}

void Store(const PartsDirectory& parts, size_t i, const FfnPart& part) {
  if (!part.tensors.empty()) {
    StagedFile tensors(parts.File(i, kTensors), IfExists::kRenew);
    model::WriteTensors(part.tensors, tensors.path());
    tensors.Commit();
  }
  parts.StoreValues(i, {{"tensors", part.tensors.size()}, {"values", part.values}});
}

FfnPart Load(const PartsDirectory& parts, size_t i) {
  const Json json = parts.Values(i);
  const JsonObject object(json, parts.File(i, "json").string());
  FfnPart part;
  part.values = object.GetRaw("values");
  if (object.GetInt("tensors", 0, 1 << 20) == 0) return part;
  const io::Checkpoint tensors = io::Checkpoint::Open(parts.File(i, kTensors));
  for (const std::string& name : tensors.TensorNames()) {
    part.tensors.emplace(name, model::ReadTensor(tensors, name));
  }
  return part;
}

std::optional<std::vector<FfnPart>> FindAmongRanks(const PartsRequest& request,
                                                   const std::function<FfnPart(size_t)>& find,
                                                   const HaveFfnPart& have, Progress& progress) {
  RankParts parts(request);
  parts.Find([&](size_t i) { Store(parts.directory(), i, find(i)); }, nullptr, progress);
  if (!Ranks::Get().IsFirst()) return std::nullopt;
  std::vector<FfnPart> found;
  for (size_t i = 0; i < request.names.size(); ++i) {
    found.push_back(Load(parts.directory(), i));
    if (have) have(i, found.back());
  }
  parts.End();
  return found;
}

}  // namespace

void CheckPartOptions(const PartOptions& options) {
  ParseShard(options.shard);
  if (!options.shard.empty() && Ranks::Get().size() > 1) {
    throw UsageError("--shard does not go with mpirun, which shares the work itself");
  }
  if (!options.shard.empty() && options.parts.empty()) {
    throw UsageError("--shard needs --parts: where do the shards put what they find?");
  }
}

std::optional<std::vector<FfnPart>> FindParts(const PartsRequest& request,
                                              const std::function<FfnPart(size_t)>& find,
                                              Progress& progress, const HaveFfnPart& have) {
  const size_t num_ffns = request.names.size();
  progress.Begin(request.title, num_ffns, "FFNs");
  if (Ranks::Get().size() > 1) return FindAmongRanks(request, find, have, progress);
  std::optional<PartsDirectory> kept;
  if (!request.options.parts.empty()) kept.emplace(request.options.parts, request);
  const Shard shard = ParseShard(request.options.shard);
  std::vector<FfnPart> found(num_ffns);
  std::vector<std::string> missing;
  const bool whole_share = request.options.MakesResult();
  for (size_t i = 0; i < num_ffns; ++i) {
    ThrowIfInterrupted();
    if (kept && kept->Has(i)) {
      if (whole_share) found[i] = Load(*kept, i);
    } else if (request.options.join) {
      missing.push_back(request.names[i]);
    } else if (i % shard.count == shard.index) {
      FfnPart part = find(i);
      if (kept) Store(*kept, i, part);
      if (whole_share) found[i] = std::move(part);
    }
    if (have && whole_share && missing.empty()) have(i, found[i]);
    progress.Advance(1);
  }
  if (!missing.empty()) {
    throw InputError(request.options.parts, " lacks ", missing.size(), " of ", num_ffns,
                     " parts: ", Join(missing), "; run the shards that find them again");
  }
  if (!whole_share) return std::nullopt;
  return found;
}

Json DumpIdentity(const record::ActivationDump& dump) {
  Json ffns = Json::array();
  for (const record::DumpedFfn& ffn : dump.ffns()) ffns.push_back({ffn.name, ffn.tokens});
  return {{"model", dump.info().model_fingerprint},
          {"corpus", dump.info().corpus},
          {"ffns", std::move(ffns)}};
}

ShardDone CountParts(const PartsRequest& request) {
  ShardDone done{0, static_cast<int64_t>(request.names.size())};
  for (size_t i = 0; i < request.names.size(); ++i) {
    done.found += fs::exists(fs::path(request.options.parts) / StrCat(i, ".json"));
  }
  return done;
}

}  // namespace moefy::pipeline
