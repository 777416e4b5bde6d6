#include "pipeline/parts_directory.h"

#include "base/staging.h"
#include "moefy/base/error.h"

namespace moefy::pipeline {

namespace fs = std::filesystem;

namespace {

constexpr int kPartsFormat = 1;

}  // namespace

PartsDirectory::PartsDirectory(fs::path directory, const PartsRequest& request)
    : directory_(std::move(directory)) {
  const Json wanted = {{"format", kPartsFormat},
                       {"stage", request.stage},
                       {"identity", request.identity},
                       {"ffns", request.names},
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

bool PartsDirectory::Has(size_t i) const { return fs::exists(File(i, "json")); }

void PartsDirectory::StoreValues(size_t i, const Json& values) const {
  WriteTextFile(File(i, "json"), FormatJson(values), IfExists::kRenew);
}

Json PartsDirectory::Values(size_t i) const { return ReadJsonFile(File(i, "json")); }

fs::path PartsDirectory::File(size_t i, const char* ending) const {
  return directory_ / StrCat(i, ".", ending);
}

void PartsDirectory::Remove() const { RemoveOutput(directory_); }

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
