#include "pipeline/ffn_parts.h"

#include <charconv>
#include <filesystem>

#include "base/claims.h"
#include "base/output.h"
#include "base/ranks.h"
#include "moefy/base/error.h"
#include "moefy/io/checkpoint.h"

namespace moefy::pipeline {
namespace {

namespace fs = std::filesystem;

constexpr int kPartsFormat = 1;

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

// The values are written last: a part that has them is whole.
fs::path ValuesFile(const fs::path& directory, size_t i) { return directory / StrCat(i, ".json"); }

class PartsDirectory {
 public:
  PartsDirectory(fs::path directory, const PartsRequest& request)
      : directory_(std::move(directory)) {
    const Json wanted = {{"format", kPartsFormat},
                         {"stage", request.stage},
                         {"identity", request.identity},
                         {"ffns", request.ffns},
                         {"options", request.stage_options}};
    const fs::path manifest = directory_ / kPartsManifest;
    std::error_code code;
    fs::create_directories(directory_, code);
    if (code) throw SystemError(code.value(), directory_, " cannot be made");
    if (!fs::exists(manifest)) WriteTextFile(manifest, FormatJson(wanted), IfExists::kRenew);
    const Json found = ReadJsonFile(manifest);
    for (const char* key : {"format", "stage", "identity", "ffns"}) {
      if (!found.contains(key) || found.at(key) != wanted.at(key)) {
        throw UsageError(directory_, " keeps parts of another model or of other options (", key,
                         " differs); give another --parts, or remove it");
      }
    }
  }

  bool Has(size_t i) const { return fs::exists(ValuesFile(directory_, i)); }
  void Store(size_t i, const FfnPart& part) const {
    if (!part.tensors.empty()) {
      StagedFile tensors(TensorsFile(i), IfExists::kRenew);
      model::WriteTensors(part.tensors, tensors.path());
      tensors.Commit();
    }
    const Json values = {{"tensors", part.tensors.size()}, {"values", part.values}};
    WriteTextFile(ValuesFile(directory_, i), FormatJson(values), IfExists::kRenew);
  }
  FfnPart Load(size_t i) const {
    const fs::path file = ValuesFile(directory_, i);
    const Json json = ReadJsonFile(file);
    const JsonObject object(json, file.string());
    FfnPart part;
    part.values = object.GetRaw("values");
    if (object.GetInt("tensors", 0, 1 << 20) == 0) return part;
    const io::Checkpoint tensors = io::Checkpoint::Open(TensorsFile(i));
    for (const std::string& name : tensors.TensorNames()) {
      part.tensors.emplace(name, model::ReadTensor(tensors, name));
    }
    return part;
  }
  void Remove() const {
    std::error_code ignored;
    fs::remove_all(directory_, ignored);
  }

 private:
  fs::path TensorsFile(size_t i) const { return directory_ / StrCat(i, ".safetensors"); }

  fs::path directory_;
};

// All ranks of an MPI run find parts together. Rank 0 announces the job to those that serve; they
// come here by running the same stage with the options that the job gives.
std::optional<std::vector<FfnPart>> FindAmongRanks(const PartsRequest& request,
                                                   const std::function<FfnPart(size_t)>& find,
                                                   Progress& progress) {
  Ranks& ranks = Ranks::Get();
  const bool own = request.options.parts.empty();  // nobody asked to keep them
  const std::string directory = own ? request.beside + ".parts" : request.options.parts;
  std::string run = request.options.serves;
  if (ranks.IsFirst()) {
    run = Claims::NewRun();
    Json options = request.stage_options;
    options["parts"] = directory;
    ranks.Announce(FormatJson({{"stage", request.stage}, {"options", options}, {"run", run}}));
  }
  const PartsDirectory parts(directory, request);
  const Claims claims(directory, run);
  for (size_t i = 0; i < request.ffns.size(); ++i) {
    ThrowIfInterrupted();
    if (!parts.Has(i) && claims.Take(i)) parts.Store(i, find(i));
    progress.Advance(1);
  }
  ranks.WaitForAll();
  if (!ranks.IsFirst()) return std::nullopt;
  std::vector<FfnPart> found;
  for (size_t i = 0; i < request.ffns.size(); ++i) found.push_back(parts.Load(i));
  own ? parts.Remove() : Claims::RemoveAll(directory);
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
                                              Progress& progress) {
  const size_t num_ffns = request.ffns.size();
  progress.Begin(request.title, num_ffns, "FFNs");
  if (Ranks::Get().size() > 1) return FindAmongRanks(request, find, progress);
  std::optional<PartsDirectory> kept;
  if (!request.options.parts.empty()) kept.emplace(request.options.parts, request);
  const Shard shard = ParseShard(request.options.shard);
  std::vector<FfnPart> found(num_ffns);
  std::vector<std::string> missing;
  const bool whole_share = request.options.MakesResult();
  for (size_t i = 0; i < num_ffns; ++i) {
    ThrowIfInterrupted();
    if (kept && kept->Has(i)) {
      if (whole_share) found[i] = kept->Load(i);
    } else if (request.options.join) {
      missing.push_back(request.ffns[i]);
    } else if (i % shard.count == shard.index) {
      FfnPart part = find(i);
      if (kept) kept->Store(i, part);
      if (whole_share) found[i] = std::move(part);
    }
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
  ShardDone done{0, static_cast<int64_t>(request.ffns.size())};
  for (size_t i = 0; i < request.ffns.size(); ++i) {
    done.found += fs::exists(ValuesFile(request.options.parts, i));
  }
  return done;
}

BegunParts ReadPartsManifest(const std::string& directory) {
  const fs::path file = fs::path(directory) / kPartsManifest;
  if (!fs::exists(file)) {
    throw InputError(directory, " keeps no parts: it has no ", kPartsManifest,
                     "; `moefy split ... --parts ", directory, " --shard 1/4` makes them");
  }
  const Json json = ReadJsonFile(file);
  const JsonObject object(json, file.string());
  if (const int64_t format = object.GetInt("format", 0, 1 << 30); format != kPartsFormat) {
    throw InputError(file, " has format ", format, "; this moefy reads ", kPartsFormat);
  }
  return {object.GetString("stage"), object.GetRaw("options")};
}

}  // namespace moefy::pipeline
