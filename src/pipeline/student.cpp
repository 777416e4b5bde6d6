#include "pipeline/student.h"

#include "base/output.h"
#include "model/expected_tensors.h"
#include "model/family.h"
#include "model/new_head.h"
#include "model/open_checkpoint.h"
#include "model/read_parameters.h"
#include "moefy/base/error.h"
#include "moefy/model/transformer.h"
#include "moefy/text/tokenizer.h"
#include "split/moe_checkpoint.h"
#include "split/side_files.h"
#include "train/weights.h"

namespace moefy::pipeline {
namespace {

namespace fs = std::filesystem;

// The head with which an encoder answers a task.
std::optional<model::Head> HeadFor(task::TaskKind kind) {
  if (kind == task::TaskKind::kClassification) return model::Head::kSequenceClassification;
  if (kind == task::TaskKind::kExtractiveQa) return model::Head::kQuestionAnswering;
  return std::nullopt;
}

std::vector<std::string> LabelNames(const task::TaskSpec& spec) {
  std::vector<std::string> names;
  for (const task::Label& label : spec.labels) {
    names.push_back(label.word.empty() ? label.value : label.word);
  }
  return names;
}

void RequireLabels(const task::TaskSpec& spec, const model::ModelConfig& config) {
  const auto wanted = static_cast<int64_t>(spec.labels.size());
  if (config.head != model::Head::kSequenceClassification || config.num_labels == wanted) return;
  throw InputError("task ", Quoted(spec.name), " has ", wanted, " labels; the model's head has ",
                   config.num_labels, "; --new-head makes one with ", wanted);
}

// How the first FFN is stored. One that is missing is an error of ReadParameters, which says more.
io::DType StoredType(const io::Checkpoint& checkpoint, const model::ModelConfig& config) {
  for (const model::FfnSpec& spec : model::FfnSpecs(config)) {
    if (const io::TensorInfo* info = checkpoint.Find(spec.w_in)) return info->dtype;
  }
  return io::DType::kF32;
}

// Gives config and parameters the names of the family.
void UseFamilyNames(model::ModelConfig& config, model::TensorMap& parameters) {
  const std::vector<model::ExpectedTensor> stored = model::ExpectedTensors(config);
  config.missing_prefix.clear();
  config.gamma_beta = false;
  const std::vector<model::ExpectedTensor> named = model::ExpectedTensors(config);
  MOEFY_CHECK(stored.size() == named.size());
  model::TensorMap renamed;
  for (size_t i = 0; i < stored.size(); ++i) {
    const auto found = parameters.find(stored[i].name);
    if (found != parameters.end()) renamed.emplace(named[i].name, found->second);
  }
  parameters = std::move(renamed);
}

}  // namespace

Student OpenStudent(const FinetuneOptions& options, const task::TaskSpec& spec,
                    std::vector<std::string>& warnings) {
  Student student;
  if (!options.from_scratch) student.checkpoint = model::OpenCheckpoint(options.checkpoint);
  student.directory =
      student.checkpoint ? student.checkpoint->directory() : fs::path(options.checkpoint);
  if (split::MoeCheckpoint::IsMoe(student.directory)) {
    throw UsageError(student.directory, " is split; `moefy calibrate` trains it");
  }
  const fs::path file = student.directory / "config.json";
  if (student.checkpoint) student.config_text = student.checkpoint->ConfigText();
  if (student.config_text.empty()) student.config_text = ReadTextFile(file);
  Json json = ParseJsonFile(file, student.config_text);
  const std::optional<model::Head> head = HeadFor(spec.kind);
  const bool possible = head && model::CanHaveNewHead(json);
  if (options.new_head && !possible) {
    throw UsageError(
        "--new-head makes heads of encoders (BERT and its kin) for classification and "
        "question answering; ",
        file, " and the task ", Quoted(spec.name), " are not of these");
  }
  const bool wanted = options.new_head || options.from_scratch;
  if (possible && (wanted || !model::HasHead(*student.checkpoint, json, *head))) {
    json = model::WithHead(std::move(json), *head, LabelNames(spec));
    student.new_config = json;
  }
  student.config = student.checkpoint ? model::ReadModelConfig(*student.checkpoint, json, &warnings)
                                      : model::ParseModelConfig(json, file.string());
  if (student.checkpoint) student.stored_type = StoredType(*student.checkpoint, student.config);
  if (possible) RequireLabels(spec, student.config);
  return student;
}

model::TensorMap ReadParameters(Student& student, uint64_t seed, std::set<std::string>& fresh,
                                std::vector<std::string>& warnings) {
  if (!student.checkpoint) return train::InitialParameters(student.config, seed);
  if (!student.new_config) {
    return model::ReadParameters(*student.checkpoint, student.config, &warnings);
  }
  model::TensorMap parameters =
      model::ReadParameters(*student.checkpoint, student.config, &warnings, model::Parts::kAll,
                            model::NewHeadTensors(*student.checkpoint, student.config));
  UseFamilyNames(student.config, parameters);
  fresh = train::AddInitialParameters(student.config, seed, parameters);
  warnings.push_back(
      StrCat("the head is new: ", Join(std::vector<std::string>(fresh.begin(), fresh.end())),
             " begin with random weights"));
  return parameters;
}

void WriteStudent(const Student& student, const model::TensorMap& changed,
                  const model::TensorMap& parameters, const fs::path& directory,
                  std::vector<std::string>& warnings) {
  split::WriteConfigText(
      directory, student.new_config ? FormatJson(*student.new_config) : student.config_text);
  const fs::path weights = directory / "model.safetensors";
  if (!student.checkpoint) {
    for (const std::string& name : text::TokenizerFileNames()) {
      std::error_code absent;
      fs::copy_file(student.directory / name, directory / name, absent);
    }
    model::WriteTensors(parameters, weights);
    return;
  }
  for (std::string& warning : split::CopySideFiles(*student.checkpoint, directory)) {
    warnings.push_back(std::move(warning));
  }
  if (student.new_config) {
    model::WriteTensors(parameters, weights, student.stored_type);
  } else {
    model::RewriteTensors(*student.checkpoint, changed, directory);
  }
}

}  // namespace moefy::pipeline
