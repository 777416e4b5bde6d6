// Writes a split checkpoint as a directory of another format: config.json, model.safetensors, and
// the tokenizer and other small files as they are.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "export/plan.h"
#include "export/router_rows.h"
#include "moefy/base/progress.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

// `directory` exists and is empty; routers: one per FFN, with rows for its shared experts too.
// Holds one FFN in memory at a time. Returns warnings about files that it left out. Advances
// `progress` by one per FFN; the caller begins and ends the step. Throws Error{kSystem} when the
// disk is full.
std::vector<std::string> WriteDirectory(const split::MoeCheckpoint& moe, const ExportPlan& plan,
                                        const std::vector<RouterRows>& routers,
                                        const std::filesystem::path& directory, Progress& progress);

}  // namespace moefy::exports
