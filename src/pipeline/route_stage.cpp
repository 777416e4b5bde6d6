#include "moefy/pipeline/route_stage.h"

#include "base/options.h"
#include "model/device.h"
#include "moefy/base/error.h"
#include "route/compensation.h"
#include "route/router_store.h"
#include "route/target.h"

namespace moefy::pipeline {
namespace {

struct Preset {
  const char* name;
  const char* router;
  const char* target;
  int64_t epochs;
  int64_t patience;
  const char* compensation;
  bool least_squares;
  std::vector<double> fit_ratios;    // empty: the metric ratio
  std::vector<double> gated_shares;  // neuron shares of gated FFNs; others have 1
};

// paper: MoEfication's choices. fast: nothing is trained. best: what measures best in
// docs/results.md, and the default. It changes W_out, so the result is no permutation of the dense
// model any more.
const std::vector<Preset>& Presets() {
  static const std::vector<Preset> presets = {
      {"paper", "mlp", "mass", 30, 0, "none", false, {}, {1.0}},
      {"fast", "ridge", "output-norm", 1, 0, "none", false, {}, {1.0}},
      {"best",
       "mlp",
       "output-norm",
       30,
       5,
       "conditional",
       true,
       {0.1, 0.2, 0.3, 0.5, 1.0},
       {1.0, 0.7, 0.5}},
  };
  return presets;
}

const Preset& GetPreset(const std::string& name) {
  std::vector<std::string> names;
  for (const Preset& preset : Presets()) {
    if (name == preset.name) return preset;
    names.emplace_back(preset.name);
  }
  throw UsageError("--preset is ", Quoted(name), DidYouMean(name, names), "; one of ", Join(names));
}

// Whether two paths lead to one place.
bool IsSame(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return a == b || std::filesystem::equivalent(a, b, ignored);
}

route::RouterTrainOptions ToTrainOptions(const RouteTrainOptions& options) {
  route::RouterTrainOptions train;
  train.router = options.router;
  train.target = options.target;
  train.epochs = options.epochs;
  train.patience = options.patience;
  train.batch_size = options.batch_size;
  train.learning_rate = options.learning_rate;
  train.held_out = options.held_out;
  train.metric_ratio = options.metric_ratio;
  train.width = options.router_width;
  train.fit_ratios = options.fit_ratios;
  train.compensation = options.compensation;
  train.least_squares = options.least_squares;
  train.seed = static_cast<uint64_t>(options.seed);
  return train;
}

// Those that are tried for an FFN.
std::vector<double> NeuronShares(const RouteTrainOptions& options, bool gated) {
  if (!options.neuron_shares.empty()) return options.neuron_shares;
  return gated ? GetPreset(options.preset).gated_shares : std::vector<double>{1.0};
}

RouteTrainRow ToRow(const std::string& ffn, const route::TrainedRouter& trained) {
  const auto quality = [](const route::RouterQuality& q) {
    return RouteQuality{q.mass, q.recall, q.output_error};
  };
  RouteTrainRow row;
  row.ffn = ffn;
  row.train_tokens = trained.train_tokens;
  row.held_out_tokens = trained.routed.tokens;
  row.best_epoch = trained.best_epoch;
  row.routed = quality(trained.routed);
  row.similarity = quality(trained.similarity);
  row.random = quality(trained.random);
  row.oracle = quality(trained.oracle);
  row.oracle_output = quality(trained.oracle_output);
  row.neuron_oracle_error = trained.neuron_oracle_error;
  row.final_error = trained.final_error;
  row.neuron_share = trained.neuron_share;
  row.compensated = trained.substitute.compensation.defined();
  row.calibrated = trained.substitute.w_out.defined();
  row.corrected = trained.substitute.correction.defined();
  row.dead_experts = trained.DeadExperts();
  row.load_entropy = trained.LoadEntropy();
  const at::Tensor load = trained.load.to(at::kCPU).contiguous();
  row.load.assign(load.data_ptr<float>(), load.data_ptr<float>() + load.numel());
  row.fit_seconds = trained.fit_seconds;
  row.seconds = trained.seconds;
  return row;
}

// --router-width is for routers that have one.
void CheckWidth(const RouteTrainOptions& options) {
  RequireOption(options.router_width >= 0, "router-width", options.router_width, "at least 0");
  if (options.router_width == 0 || route::HasWidth(route::GetRouterKind(options.router))) return;
  std::vector<std::string> wide;
  for (const route::RouterKind& kind : route::RouterKinds()) {
    if (route::HasWidth(kind)) wide.push_back(kind.name);
  }
  throw UsageError("--router-width is ", options.router_width, ", but the router ",
                   Quoted(options.router), " has no width to choose; these have: ", Join(wide));
}

}  // namespace

RouteTrainOptions WithPreset(RouteTrainOptions options) {
  const Preset& preset = GetPreset(options.preset);
  if (options.router.empty()) options.router = preset.router;
  if (options.target.empty()) options.target = preset.target;
  if (options.epochs == 0) options.epochs = preset.epochs;
  if (options.patience == -1) options.patience = preset.patience;
  if (options.compensation.empty()) options.compensation = preset.compensation;
  options.least_squares = options.least_squares || preset.least_squares;
  if (options.fit_ratios.empty()) options.fit_ratios = preset.fit_ratios;
  if (options.fit_ratios.empty()) options.fit_ratios = {options.metric_ratio};
  return options;
}

void CheckRouteOptions(const RouteTrainOptions& options) {
  RequireOption(options.epochs >= 1, "epochs", options.epochs, "at least 1");
  RequireOption(options.patience >= 0, "patience", options.patience, "at least 0");
  RequireOption(options.batch_size >= 1, "batch-size", options.batch_size, "at least 1");
  RequireOption(options.learning_rate > 0, "learning-rate", options.learning_rate, "more than 0");
  RequireOption(options.held_out > 0 && options.held_out < 1, "held-out", options.held_out,
                "a share between 0 and 1");
  RequireOption(options.metric_ratio > 0 && options.metric_ratio <= 1, "metric-ratio",
                options.metric_ratio, "a share above 0 and at most 1");
  CheckWidth(options);
  for (const double ratio : options.fit_ratios) {
    RequireOption(ratio > 0 && ratio <= 1, "fit-ratio", ratio, "shares above 0 and at most 1");
  }
  for (const double share : options.neuron_shares) {
    RequireOption(share > 0 && share <= 1, "neuron-share", share, "shares above 0 and at most 1");
  }
  route::GetRouterKind(options.router);
  route::GetTarget(options.target);
  route::GetCompensation(options.compensation);
  model::ParseDevice(options.device);
}

RouteTrainResult RouteTrain(const RouteTrainOptions& given, IfExists if_exists,
                            Progress& progress) {
  const RouteTrainOptions options = WithPreset(given);
  CheckRouteOptions(options);
  if (options.dump.empty()) throw UsageError("route-train needs --dump, made by `moefy record`");
  const bool in_place = options.out.empty() || IsSame(options.out, options.moe);
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe);
  if (options.least_squares && route::IsCalibrated(moe)) {
    throw UsageError(options.moe,
                     " is calibrated already, so the original W_out is not known; start from "
                     "`moefy split` again");
  }
  const record::ActivationDump dump = record::ActivationDump::Open(options.dump);
  route::CheckDumpMatches(moe, dump);
  StagedDirectory staged(
      in_place ? options.moe : options.out, in_place ? IfExists::kRenew : if_exists,
      in_place ? InputPaths{options.dump} : InputPaths{options.moe, options.dump});

  RouteTrainResult result;
  result.options = options;
  route::RouterTrainOptions train = ToTrainOptions(options);
  train.device = model::ResolveDevice(model::ParseDevice(options.device), &result.warnings);
  std::vector<route::TrainedRouter> routers;
  progress.Begin("training routers", moe.ffns().size(), "FFNs");
  for (const split::MoeFfn& ffn : moe.ffns()) {
    ThrowIfInterrupted();
    const size_t dump_idx = *dump.Find(ffn.spec);  // CheckDumpMatches has looked
    train.neuron_shares = NeuronShares(options, ffn.spec.gated());
    routers.push_back(route::TrainRouter(model::ReadFfnWeights(moe.weights(), ffn.spec),
                                         ffn.plan.num_experts(), dump, dump_idx, train,
                                         ffn.plan.num_shared()));
    result.rows.push_back(ToRow(ffn.spec.name, routers.back()));
    progress.Advance(1);
  }
  route::WriteRouters(moe, routers, train, dump.info().corpus, staged.path());
  staged.Commit();
  double mass = 0, error = 0;
  for (const RouteTrainRow& row : result.rows) {
    mass += row.routed.mass / static_cast<double>(result.rows.size());
    error += row.final_error / static_cast<double>(result.rows.size());
  }
  progress.End(StrCat("held-out mass ", FormatFixed(100 * mass, 1), " %, output error ",
                      FormatFixed(100 * error, 1), " % at ",
                      FormatFixed(100 * options.metric_ratio, 0), " % of the work"));
  result.moe = in_place ? options.moe : options.out;
  return result;
}

}  // namespace moefy::pipeline
