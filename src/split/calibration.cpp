#include "split/calibration.h"

namespace moefy::split {
namespace {

constexpr const char* kCalibration = "calibration";

}  // namespace

std::vector<Calibration> ReadCalibrations(const MoeCheckpoint& moe) {
  std::vector<Calibration> calibrations;
  const JsonObject manifest(moe.manifest(), kMoeManifest);
  if (!manifest.Has(kCalibration)) return calibrations;
  for (const JsonObject& entry : manifest.GetObjects(kCalibration)) {
    calibrations.push_back({entry.GetString("kind"), entry.GetNumbers("ffn_ratios"),
                            entry.GetString("selection", ""), entry.GetString("task", ""),
                            entry.GetStrings("tensors")});
  }
  return calibrations;
}

bool IsCalibrated(const MoeCheckpoint& moe) {
  return JsonObject(moe.manifest(), kMoeManifest).Has(kCalibration);
}

void AddCalibration(const Calibration& calibration, Json& manifest) {
  Json entry = {{"kind", calibration.kind}, {"ffn_ratios", calibration.ffn_ratios}};
  if (!calibration.selection.empty()) entry["selection"] = calibration.selection;
  if (!calibration.task.empty()) entry["task"] = calibration.task;
  entry["tensors"] = calibration.tensors;
  manifest[kCalibration].push_back(std::move(entry));
}

}  // namespace moefy::split
