#include "split/verify.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "moefy/base/error.h"
#include "split/calibration.h"
#include "split/config_key.h"
#include "split/permute.h"
#include "split/side_files.h"

namespace moefy::split {
namespace {

// Returns one line for a tensor that differs, "" for one that does not.
std::string Difference(const io::TensorInfo& dense, std::span<const std::byte> dense_bytes,
                       const io::TensorInfo& moe, std::span<const std::byte> moe_bytes,
                       const Permutation* permutation, std::vector<std::byte>& scratch) {
  if (dense.dtype != moe.dtype || dense.shape != moe.shape) {
    return StrCat("tensor ", Quoted(dense.name), " is ", io::DTypeName(moe.dtype), " ",
                  FormatShape(moe.shape), "; the dense one is ", io::DTypeName(dense.dtype), " ",
                  FormatShape(dense.shape));
  }
  // Permuting the dense side is as good as undoing the other, and does not say which neuron it was.
  if (permutation) dense_bytes = Permute(dense, dense_bytes, *permutation, scratch);
  if (std::memcmp(dense_bytes.data(), moe_bytes.data(), moe_bytes.size()) == 0) return "";
  const auto at = std::ranges::mismatch(dense_bytes, moe_bytes).in2;
  return StrCat("tensor ", Quoted(dense.name), " differs",
                permutation ? " after the inverse permutation" : "", ", first at byte ",
                at - moe_bytes.begin(), " of ", moe_bytes.size());
}

// Says why tensors may differ, by their names, as the calibration in moefy.json has it.
std::map<std::string, std::string> CalibratedTensors(const MoeCheckpoint& moe) {
  std::map<std::string, std::string> reasons;
  for (const Calibration& calibration : ReadCalibrations(moe)) {
    std::vector<std::string> ratios;
    for (const double ratio : calibration.ffn_ratios) ratios.push_back(StrCat(ratio));
    const std::string reason =
        StrCat("calibrated by ", calibration.kind, " at ffn ratio ", Join(ratios));
    for (const std::string& name : calibration.tensors) reasons[name] = reason;
  }
  return reasons;
}

}  // namespace

VerifyReport VerifyMoe(const io::Checkpoint& dense, const MoeCheckpoint& moe, Progress& progress) {
  VerifyReport report;
  const auto permutations = Permutations(moe.weights(), moe.ffns(), false);
  const std::string& dense_config = dense.ConfigText();
  const std::string& moe_config = moe.weights().ConfigText();
  try {
    if ((moe_config.empty() ? "" : RemoveMoefyKey(moe_config)) != dense_config) {
      report.problems.push_back("config.json differs in more than the added key");
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInput) throw;
    report.problems.push_back(error.what());
  }
  const auto calibrated = CalibratedTensors(moe);
  std::vector<std::byte> scratch;
  for (const std::string& name : dense.TensorNames()) {
    const io::TensorInfo& info = dense.Get(name);
    const io::TensorInfo* other = moe.weights().Find(name);
    if (!other) {
      report.problems.push_back(StrCat("tensor ", Quoted(name), " is missing"));
      continue;
    }
    const auto permutation = permutations.find(name);
    const bool permuted = permutation != permutations.end();
    const std::string difference =
        Difference(info, dense.Bytes(name), *other, moe.weights().Bytes(name),
                   permuted ? &permutation->second : nullptr, scratch);
    ++report.num_tensors;
    if (!difference.empty()) {
      const auto reason = calibrated.find(name);
      report.problems.push_back(
          reason == calibrated.end() ? difference : StrCat(difference, ": ", reason->second));
    }
    if (difference.empty() && permuted) ++report.num_permuted;
    progress.Advance(info.num_bytes());
  }
  for (const std::string& name : moe.weights().TensorNames()) {
    if (!dense.Find(name)) {
      report.problems.push_back(StrCat("tensor ", Quoted(name), " is not in the dense checkpoint"));
    }
  }
  report.ok = report.problems.empty();
  return report;
}

}  // namespace moefy::split
