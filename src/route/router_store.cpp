#include "route/router_store.h"

#include "base/json.h"
#include "moefy/base/error.h"
#include "moefy/model/tensor_io.h"
#include "record/recorded_inputs.h"
#include "route/router_format.h"
#include "route/router_report_json.h"
#include "split/moe_writer.h"

namespace moefy::route {
namespace {

Json OptionsToJson(const RouterTrainOptions& options, const std::string& corpus) {
  return {{"epochs", options.epochs},
          {"patience", options.patience},
          {"batch_size", options.batch_size},
          {"learning_rate", options.learning_rate},
          {"held_out", options.held_out},
          {"metric_ratio", options.metric_ratio},
          {"width", options.width},
          {"product", options.product},
          {"fit_ratios", options.fit_ratios},
          {"compensation", options.compensation},
          {"output_fit", options.output_fit},
          {"seed", options.seed},
          {"corpus", corpus}};
}

// The figures of a report that moefy.json keeps for each FFN, in its order.
constexpr const char* kKeptFigures[] = {"dump_tokens",
                                        "train_tokens",
                                        "held_out_tokens",
                                        "best_epoch",
                                        "routed",
                                        "similarity",
                                        "random",
                                        "oracle",
                                        "oracle_output",
                                        "neuron_oracle_output_error",
                                        "final_output_error",
                                        "neuron_share",
                                        "dead_experts",
                                        "load_entropy",
                                        "compensated",
                                        "corrected"};

Json RouterManifest(const split::MoeCheckpoint& moe, const std::vector<StoredRouter>& routers,
                    const RouterTrainOptions& options, const std::string& corpus) {
  Json ffns = Json::array();
  for (size_t i = 0; i < routers.size(); ++i) {
    const Json figures = ReportToJson(routers[i].report);
    Json kept = {{"name", moe.ffns()[i].spec.name}};
    for (const char* figure : kKeptFigures) kept[figure] = figures.at(figure);
    ffns.push_back(std::move(kept));
  }
  return {{"kind", options.router},
          {"target", options.target},
          {"options", OptionsToJson(options, corpus)},
          {"ffns", ffns}};
}

}  // namespace

void CheckDumpMatches(const split::MoeCheckpoint& moe, const record::ActivationDump& dump) {
  std::vector<model::FfnSpec> specs;
  for (const split::MoeFfn& ffn : moe.ffns()) specs.push_back(ffn.spec);
  record::CheckDumpMatches(dump, moe.directory().string(), moe.source_fingerprint(), specs);
  std::vector<std::string> empty;
  for (const model::FfnSpec& spec : specs) {
    if (dump.ffns()[*dump.Find(spec)].tokens == 0) empty.push_back(Quoted(spec.name));
  }
  if (empty.empty()) return;
  throw InputError(moe.directory(), ": the activation dump holds no token of ", Join(empty),
                   moe.config().mixture.num_experts > 0
                       ? ", because the model's own routers gave them none; record more text"
                       : "; record again");
}

StoredRouter ToStore(const TrainedRouter& trained) {
  const std::vector<std::string>& names = GetRouterKind(trained.router->name()).tensors;
  const std::vector<at::Tensor> parameters = trained.router->Parameters();
  MOEFY_CHECK(names.size() == parameters.size());
  StoredRouter stored;
  for (size_t i = 0; i < names.size(); ++i) stored.tensors.emplace(names[i], parameters[i]);
  stored.tensors.emplace(kThresholds, trained.thresholds);
  stored.tensors.emplace(kSharesOfBest, trained.shares_of_best);
  stored.tensors.emplace(kNeuronThresholds, trained.neuron_thresholds.tables);
  stored.tensors.emplace(kNeuronNorms, trained.neuron_thresholds.norms);
  stored.tensors.emplace(kErrors, trained.errors);
  const Substitute& substitute = trained.substitute;
  if (substitute.compensation.defined()) {
    stored.tensors.emplace(kCompensation, substitute.compensation);
  }
  if (substitute.correction.defined()) {
    stored.tensors.emplace(kCorrectionDown, substitute.correction.down);
    stored.tensors.emplace(kCorrectionUp, substitute.correction.up);
    stored.tensors.emplace(kCorrectionBias, substitute.correction.bias);
  }
  stored.w_out = substitute.w_out;
  stored.report = trained.report;
  return stored;
}

std::vector<std::string> WriteRouters(const split::MoeCheckpoint& moe,
                                      const std::vector<StoredRouter>& routers,
                                      const RouterTrainOptions& options, const std::string& corpus,
                                      const std::filesystem::path& directory) {
  MOEFY_CHECK(routers.size() == moe.ffns().size());
  split::MoeChanges changes;
  changes.routers.emplace().manifest = RouterManifest(moe, routers, options, corpus);
  std::vector<std::string> fitted;  // tensors, in the order of the FFNs
  for (size_t i = 0; i < routers.size(); ++i) {
    for (const auto& [name, tensor] : routers[i].tensors) {
      changes.routers->tensors.emplace(NameOf(moe.ffns()[i], name), tensor);
    }
    const at::Tensor& w_out = routers[i].w_out;
    if (!w_out.defined()) continue;
    const model::FfnSpec& spec = moe.ffns()[i].spec;
    changes.weights[spec.w_out] = spec.transposed ? w_out : w_out.t();
    fitted.push_back(spec.w_out);
  }
  if (!fitted.empty()) {
    changes.calibration = {"output-fit", options.fit_ratios, "", "", std::move(fitted)};
  }
  return split::WriteChangedMoe(moe, changes, directory);
}

}  // namespace moefy::route
