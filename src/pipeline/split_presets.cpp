#include "pipeline/split_presets.h"

#include "moefy/base/error.h"

namespace moefy::pipeline {

// "paper" is MoEfication; "cmoe" has the experts of CMoE's "S3A3E8", "expertweaver" those of its
// experiments; "d2dmoe" clusters as MoEfication, into the small experts that its authors found
// best; "cats" chooses single neurons. "best" is what measures best in docs/results.
const std::vector<SplitPreset>& SplitPresets() {
  static const std::vector<SplitPreset> presets = {
      {"paper", "kmeans", 0, 32}, {"cmoe", "activation-marks", 8, 0, 3, {}, "activation"},
      {"d2dmoe", "kmeans", 0, 8}, {"expertweaver", "gate-profile", 64, 0, 0, {0.2, 0.7}, "gate"},
      {"cats", "kmeans", 0, 1},   {"best", "kmeans", 0, 8, 0, {}, nullptr, 1},
  };
  return presets;
}

const SplitPreset& GetSplitPreset(const std::string& name) {
  std::vector<std::string> names;
  for (const SplitPreset& preset : SplitPresets()) {
    if (name == preset.name) return preset;
    names.emplace_back(preset.name);
  }
  throw UsageError("--preset is ", Quoted(name), DidYouMean(name, names), "; one of ", Join(names));
}

}  // namespace moefy::pipeline
