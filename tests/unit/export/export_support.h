// Exports of the committed pico models, and the split models that they are made from.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "export/linear_routers.h"
#include "export/plan.h"
#include "export/write_directory.h"
#include "support/route_fixtures.h"
#include "support/temp_dir.h"

namespace moefy::exports::tests {

inline route::RouterTrainOptions Unbiased(const std::string& router = route::kUnbiased) {
  route::RouterTrainOptions options;
  options.router = router;
  options.target = "output-norm";
  options.epochs = 1;
  return options;
}

// Writes `moe` into a new directory called `out`.
inline ExportPlan ExportTo(const split::MoeCheckpoint& moe, const std::string& format, double ratio,
                           const std::filesystem::path& out) {
  const ExportPlan plan = PlanExport(moe, GetFormat(format), ratio);
  std::filesystem::create_directory(out);
  const LinearRouters routers = FindLinearRouters(moe, plan, nullptr, SilentProgress());
  WriteDirectory(moe, plan, routers.rows, out, SilentProgress());
  return plan;
}

}  // namespace moefy::exports::tests
