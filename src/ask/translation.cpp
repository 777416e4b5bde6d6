#include "ask/translation.h"

namespace moefy::ask {

text::Languages LanguagesOf(const task::TaskSpec& spec) {
  return {spec.source_language, spec.target_language};
}

model::GenerationOptions ReadGeneration(const std::filesystem::path& directory,
                                        const std::string& config_text,
                                        const model::ModelConfig& config,
                                        const text::Tokenizer& tokenizer,
                                        std::vector<std::string>* warnings) {
  model::GenerationOptions options =
      model::ReadGenerationOptions(directory, config_text, config, warnings);
  const bool generates = config.head == model::Head::kLanguageModel &&
                         config.architecture == model::Architecture::kEncoderDecoder;
  if (generates) {
    text::TargetStart start{options.decoder_start_id, options.forced_bos_id};
    tokenizer.BeginTarget(start);
    options.decoder_start_id = start.decoder_start_id;
    options.forced_bos_id = start.forced_first_id;
  }
  return options;
}

}  // namespace moefy::ask
