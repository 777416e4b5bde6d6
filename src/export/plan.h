// What an export will be: whether a format can express the model, and the sizes and factors that
// follow. Pure functions.
#pragma once

#include <string>

#include "export/format.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

struct ExportPlan {
  Format format;
  ExpertSizes sizes;
  double w_out_factor = 1;         // of experts that the router chooses
  double shared_w_out_factor = 1;  // of shared experts
  // The format norms queries and keys and the model does not: the norms are made to do nothing
  // (export/model_tensors.h).
  bool neutral_norms = false;

  bool HasSharedExpert() const { return sizes.shared_neurons > 0; }
};

// Throws Error{kInput} that lists all that the format cannot express, each with what to do;
// Error{kUsage} for a ratio outside (0, 1] or one that leaves no expert to choose.
ExportPlan PlanExport(const split::MoeCheckpoint& moe, const Format& format, double ffn_ratio);

}  // namespace moefy::exports
