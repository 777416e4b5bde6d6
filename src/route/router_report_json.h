// The JSON of moefy/route/router_report.h, in files of routers and in results. Thread-safe.
#pragma once

#include "base/json.h"
#include "moefy/route/router_report.h"

namespace moefy::route {

// Every figure by its name, "ffn" first.
Json ReportToJson(const RouterReport& report);

}  // namespace moefy::route
