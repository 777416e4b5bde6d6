// Routers found by gradient, an epoch per pass over the tokens. Deterministic in the options' seed.
#pragma once

#include "route/router_fit.h"

namespace moefy::route {

Fitted FitMlp(const FitRequest& request);
Fitted FitLinear(const FitRequest& request);
Fitted FitRegression(const FitRequest& request);

}  // namespace moefy::route
