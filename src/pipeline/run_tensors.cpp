#include "pipeline/run_tensors.h"

#include <cstring>
#include <map>

#include "base/stopwatch.h"
#include "io/safetensors.h"
#include "model/expected_tensors.h"
#include "moefy/base/error.h"
#include "moefy/pipeline/open_model.h"

namespace moefy::pipeline {
namespace {

using model::TensorMap;

// An I64 tensor [batch, tokens] of the input file; undefined when it is not there.
at::Tensor ReadInput(const io::SafetensorsFile& file, const char* name) {
  const io::TensorInfo* info = file.Find(name);
  if (!info) return {};
  if (info->dtype != io::DType::kI64 || info->shape.size() != 2) {
    throw InputError(file.path(), ": ", Quoted(name), " is ", io::DTypeName(info->dtype), " ",
                     FormatShape(info->shape), "; expected I64 [batch, tokens]");
  }
  at::Tensor tensor =
      at::empty(std::vector<int64_t>(info->shape.begin(), info->shape.end()), at::kLong);
  if (tensor.numel() > 0) {
    std::memcpy(tensor.data_ptr(), file.Bytes(*info).data(), info->num_bytes());
  }
  return tensor;
}

model::ForwardInputs ReadInputs(const io::SafetensorsFile& file) {
  model::ForwardInputs inputs;
  inputs.input_ids = ReadInput(file, "input_ids");
  inputs.attention_mask = ReadInput(file, "attention_mask");
  inputs.token_type_ids = ReadInput(file, "token_type_ids");
  inputs.decoder_input_ids = ReadInput(file, "decoder_input_ids");
  inputs.decoder_attention_mask = ReadInput(file, "decoder_attention_mask");
  if (!inputs.input_ids.defined()) {
    std::vector<std::string> names;
    for (const io::TensorInfo& info : file.tensors()) names.push_back(info.name);
    throw InputError(file.path(), " has no tensor 'input_ids'; it holds ",
                     names.empty() ? "nothing" : Join(names));
  }
  return inputs;
}

// What happens inside the FFNs, from what enters them.
void AddNeurons(const io::Checkpoint& checkpoint, const std::vector<model::FfnSpec>& specs,
                TensorMap& results) {
  for (const model::FfnSpec& spec : specs) {
    if (spec.of_mixture) continue;  // what enters it are some tokens only
    const model::FfnWeights ffn = model::ReadFfnWeights(checkpoint, spec);
    for (const std::string& name : model::LayerNames(spec)) {
      const model::FfnSteps steps = model::RunFfnSteps(ffn, results.at(name + ".input"));
      results[name + ".act"] = steps.act;
      if (!spec.gated()) continue;
      results[name + ".up"] = steps.up;
      results[name + ".down_in"] = steps.down_in;
    }
  }
}

}  // namespace

RunTensorsResult RunTensors(const RunOptions& options, IfExists if_exists, Progress& progress) {
  if (options.out.empty()) throw UsageError("run needs --out: where should the results go?");
  const at::NoGradGuard no_grad;
  StagedFile staged(options.out, if_exists, {options.model, options.tensors});
  const io::SafetensorsFile file(options.tensors);
  const model::ForwardInputs inputs = ReadInputs(file);
  OpenedModel opened(options.model, options, progress);
  model::Transformer& transformer = opened.transformer();

  TensorMap results;
  const auto keep = [&](const std::string& name, const at::Tensor& states) {
    const bool is_tap =
        name.find("ffn.") != std::string::npos || name.find("moe.") != std::string::npos;
    if (is_tap ? options.ffn_taps : options.hidden_states) results[name] = states;
  };
  const Stopwatch stopwatch;
  progress.Begin("running", static_cast<uint64_t>(inputs.input_ids.size(0)), "examples");
  const bool observe = options.hidden_states || options.ffn_taps;
  const model::ForwardOutputs outputs =
      transformer.Forward(inputs, observe ? model::StateSink(keep) : nullptr);
  RunTensorsResult result;
  result.seconds = stopwatch.Seconds();
  if (options.ffn_taps) {
    AddNeurons(opened.checkpoint(), model::FfnSpecs(transformer.config()), results);
  }
  const std::pair<const char*, at::Tensor> heads[] = {
      {"logits", outputs.logits},
      {"start_logits", outputs.start_logits},
      {"end_logits", outputs.end_logits},
      {"last_hidden_state", outputs.last_hidden_state},
      {"pooler_output", outputs.pooler_output}};
  for (const auto& [name, tensor] : heads) {
    if (tensor.defined()) results[name] = tensor;
  }
  model::WriteTensors(results, staged.path());
  staged.Commit();
  for (const auto& [name, tensor] : results) {
    result.tensors.push_back(StrCat(name, " ", FormatShape(tensor.sizes().vec())));
  }
  progress.End(StrCat(results.size(), " tensors, ", FormatDuration(result.seconds)));
  return result;
}

}  // namespace moefy::pipeline
