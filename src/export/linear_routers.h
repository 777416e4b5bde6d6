// The routers that are exported: the stored ones where they are linear, else ones that are found on
// the way.
#pragma once

#include <string>
#include <vector>

#include "export/plan.h"
#include "export/router_rows.h"
#include "moefy/base/progress.h"
#include "record/activation_dump.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

struct LinearRouters {
  std::vector<RouterRows> rows;  // one per FFN
  bool stored = true;            // false: found from the dump
};

// dump: what was recorded from the dense model, or nullptr. Throws Error{kUsage} that says what to
// do where the stored routers will not do and there is no dump. Advances `progress` by one per FFN;
// the caller begins and ends the step.
LinearRouters FindLinearRouters(const split::MoeCheckpoint& moe, const ExportPlan& plan,
                                const record::ActivationDump* dump, Progress& progress);

}  // namespace moefy::exports
