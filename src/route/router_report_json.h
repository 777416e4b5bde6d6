// The JSON of moefy/route/router_report.h, in files of routers and in results. Thread-safe.
#pragma once

#include "base/json.h"
#include "moefy/route/router_report.h"

namespace moefy::route {

// Every figure by its name, "ffn" first.
Json ReportToJson(const RouterReport& report);
// The other way round. Throws Error{kInput}, which begins with `where`, when a figure is missing.
RouterReport ReportFromJson(const Json& json, const std::string& where);

}  // namespace moefy::route
