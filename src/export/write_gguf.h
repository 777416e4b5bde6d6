// Writes a split checkpoint as one GGUF file for llama.cpp.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "export/gguf_file.h"
#include "export/plan.h"
#include "export/router_rows.h"
#include "moefy/base/progress.h"
#include "moefy/model/config.h"
#include "split/moe_checkpoint.h"

namespace moefy::exports {

// What llama.cpp's architectures can say of the model, as a format called "gguf" whose model_type
// is the architecture's name: "glm4moe", which can choose by the scores themselves, takes a bias of
// the router and norms queries and keys if asked to; or "llama" (Mixtral's), which alone has
// Llama 3.1's rotary scaling.
Format GgufFormat(const model::ModelConfig& config);

// "f32", "f16", "q8_0" or "q4_0". Throws Error{kUsage} for others.
GgufType ParseGgufType(const std::string& name);

// Matrices are of `type`; where it is of blocks, F16 where rows are no multiple of 32, and
// embeddings and the output Q8_0. Norms, biases and routers are F32. routers and progress as in
// WriteDirectory. Throws Error{kInput} for a tokenizer that GGUF does not have.
void WriteGguf(const split::MoeCheckpoint& moe, const ExportPlan& plan,
               const std::vector<RouterRows>& routers, GgufType type,
               const std::filesystem::path& file, Progress& progress);

}  // namespace moefy::exports
