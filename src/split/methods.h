// The rows of the table of split methods that are more than a few lines. Pure functions; the seed
// decides all. SplitByCoactivation: one call at a time, because METIS seeds the process's rand().
#pragma once

#include "split/splitter.h"

namespace moefy::split {

ExpertPlan SplitByKMeans(const SplitRequest& request);
ExpertPlan SplitByKeepPattern(const SplitRequest& request);
ExpertPlan SplitByCoactivation(const SplitRequest& request);

}  // namespace moefy::split
