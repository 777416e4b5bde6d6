// The split methods that have files of their own: kmeans_methods.cpp and coactivation.cpp. All
// randomness comes from the request's seed. Thread-safe, but for SplitByCoactivation: one call at a
// time, because METIS seeds the process's rand().
#pragma once

#include "split/splitter.h"

namespace moefy::split {

ExpertPlan SplitByKMeans(const SplitRequest& request);
ExpertPlan SplitByKeepPattern(const SplitRequest& request);
ExpertPlan SplitByActivationMarks(const SplitRequest& request);
ExpertPlan SplitByGateProfile(const SplitRequest& request);
ExpertPlan SplitByCoactivation(const SplitRequest& request);

}  // namespace moefy::split
