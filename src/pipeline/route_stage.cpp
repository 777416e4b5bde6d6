#include "moefy/pipeline/route_stage.h"

#include "base/memory_limit.h"
#include "base/options.h"
#include "base/output.h"
#include "model/device.h"
#include "moefy/base/error.h"
#include "pipeline/ffn_parts.h"
#include "pipeline/route_presets.h"
#include "pipeline/stage_key.h"
#include "route/compensation.h"
#include "route/router_reader.h"
#include "route/router_report_json.h"
#include "route/router_store.h"
#include "route/target.h"
#include "split/calibration.h"

namespace moefy::pipeline {
namespace {

// The preset's value gives way to one that was given.
template <typename T>
void Take(const std::optional<T>& given, T& value) {
  if (given) value = *given;
}

// What a router is trained with: the preset's values, but for options that are given. This table
// alone says which option is which of the trainer's.
route::RouterTrainOptions TrainerOptions(const RouteTrainOptions& given) {
  route::RouterTrainOptions train = GetRoutePreset(given.preset).train;
  Take(given.router, train.router);
  Take(given.target, train.target);
  Take(given.epochs, train.epochs);
  Take(given.patience, train.patience);
  Take(given.fit_ratios, train.fit_ratios);
  Take(given.compensation, train.compensation);
  Take(given.output_fit, train.output_fit);
  Take(given.product, train.product);
  train.batch_size = given.batch_size;
  train.learning_rate = given.learning_rate;
  train.held_out = given.held_out;
  train.metric_ratio = given.metric_ratio;
  train.width = given.router_width;
  train.seed = static_cast<uint64_t>(given.seed);
  if (train.fit_ratios.empty()) train.fit_ratios = {train.metric_ratio};
  return train;
}

// The neuron shares that are tried for an FFN.
std::vector<double> NeuronShares(const RouteTrainOptions& options, bool gated) {
  if (options.neuron_shares) return *options.neuron_shares;
  return gated ? GetRoutePreset(options.preset).gated_shares : std::vector<double>{1.0};
}

// Whether two paths lead to one place.
bool IsSame(const std::string& a, const std::string& b) {
  std::error_code ignored;
  return a == b || std::filesystem::equivalent(a, b, ignored);
}

// Refuses --router-width for routers that have no width.
void CheckWidth(const route::RouterTrainOptions& train) {
  RequireOption(train.width >= 0, "router-width", train.width, "at least 0");
  if (train.width == 0 || route::HasWidth(route::GetRouterKind(train.router))) return;
  std::vector<std::string> wide;
  for (const route::RouterKind& kind : route::RouterKinds()) {
    if (route::HasWidth(kind)) wide.push_back(kind.name);
  }
  throw UsageError("--router-width is ", train.width, ", but the router ", Quoted(train.router),
                   " has no width to choose; these have: ", Join(wide));
}

void CheckShares(const std::vector<double>& shares, const char* option) {
  if (shares.empty()) throw UsageError("--", option, " is empty; expected at least one");
  for (const double share : shares) {
    RequireOption(share > 0 && share <= 1, option, share, "shares above 0 and at most 1");
  }
}

std::string Summary(const std::vector<route::RouterReport>& reports, double metric_ratio) {
  const auto count = static_cast<double>(reports.size());
  double mass = 0, error = 0;
  for (const route::RouterReport& report : reports) {
    mass += report.routed.mass / count;
    error += report.final_error / count;
  }
  return StrCat("held-out mass ", FormatFixed(100 * mass, 1), " %, output error ",
                FormatFixed(100 * error, 1), " % at ", FormatFixed(100 * metric_ratio, 0),
                " % of the work");
}

// Throws Error{kSystem} when the memory for an FFN in F32 and its recorded inputs is not allowed,
// or for the squares of all pairs of neurons in F32 and F64 where W_out is fitted.
void RequireRouteMemory(const model::FfnSpec& spec, int64_t tokens,
                        const route::RouterTrainOptions& train) {
  const auto neurons = static_cast<uint64_t>(spec.num_neurons);
  const auto hidden = static_cast<uint64_t>(spec.hidden);
  const auto held = static_cast<uint64_t>(std::min(tokens, train.max_tokens));
  uint64_t num_bytes = sizeof(float) * ((spec.gated() ? 3 : 2) * neurons * hidden + held * hidden);
  if (train.output_fit) num_bytes += neurons * neurons * (sizeof(float) + 2 * sizeof(double));
  RequireMemory(num_bytes, StrCat("training the router of ", Quoted(spec.name)));
}

// The name of a fitted W_out among the tensors of a part.
constexpr const char* kFittedOutput = "w_out";

FfnPart PartOfRouter(route::StoredRouter router) {
  if (router.w_out.defined()) router.tensors.emplace(kFittedOutput, router.w_out);
  return {std::move(router.tensors), route::ReportToJson(router.report)};
}

route::StoredRouter RouterOfPart(FfnPart part, const std::string& ffn) {
  route::StoredRouter router;
  router.report = route::ReportFromJson(part.values, ffn);
  if (auto w_out = part.tensors.extract(kFittedOutput)) router.w_out = std::move(w_out.mapped());
  router.tensors = std::move(part.tensors);
  return router;
}

}  // namespace

void CheckRouteOptions(const RouteTrainOptions& options) {
  CheckPartOptions(options);
  const route::RouterTrainOptions train = TrainerOptions(options);
  RequireOption(train.epochs >= 1, "epochs", train.epochs, "at least 1");
  RequireOption(train.patience >= 0, "patience", train.patience, "at least 0");
  RequireOption(train.batch_size >= 1, "batch-size", train.batch_size, "at least 1");
  RequireOption(train.learning_rate > 0, "learning-rate", train.learning_rate, "more than 0");
  RequireOption(train.held_out > 0 && train.held_out < 1, "held-out", train.held_out,
                "a share between 0 and 1");
  RequireOption(train.metric_ratio > 0 && train.metric_ratio <= 1, "metric-ratio",
                train.metric_ratio, "a share above 0 and at most 1");
  CheckWidth(train);
  if (options.fit_ratios) CheckShares(*options.fit_ratios, "fit-ratio");
  if (options.neuron_shares) CheckShares(*options.neuron_shares, "neuron-share");
  if (train.router == route::kFirstProduct && train.compensation != "none") {
    throw UsageError("--compensation ", train.compensation, " does not go with first-product ",
                     "routers: it would cost each neuron as much as the neuron itself; --preset ",
                     "first-product has none");
  }
  if (train.router == route::kFirstProduct && options.neuron_shares != std::nullopt &&
      *options.neuron_shares != std::vector<double>{1.0}) {
    throw UsageError("--neuron-share does not go with first-product routers, which choose single ",
                     "neurons by the ffn ratio");
  }
  if (train.product != route::kEitherProduct && train.product != route::kGateAlone) {
    throw UsageError("--product is ", Quoted(train.product), "; expected ", route::kEitherProduct,
                     " or ", route::kGateAlone);
  }
  if (options.product && train.router != route::kFirstProduct) {
    throw UsageError("--product is ", Quoted(train.product), ", but the router ",
                     Quoted(train.router), " computes no first product; ", route::kFirstProduct,
                     " does");
  }
  route::GetRouterKind(train.router);
  route::GetTarget(train.target);
  route::GetCompensation(train.compensation);
  model::ParseDevice(options.device);
}

std::string RouterKindOf(const RouteTrainOptions& options) {
  return TrainerOptions(options).router;
}

RouteTrainResult RouteTrain(const RouteTrainOptions& given, IfExists if_exists,
                            Progress& progress) {
  CheckRouteOptions(given);
  if (given.dump.empty()) throw UsageError("route-train needs --dump, made by `moefy record`");
  const bool in_place = given.out.empty() || IsSame(given.out, given.moe);
  // In place the target is renewed, which does not lock it; shards leave it as it is.
  const auto lock = in_place && given.MakesResult() ? LockOutput(given.moe) : nullptr;
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(given.moe);
  RouteTrainOptions options = given;
  if (!given.router) options.preset = SuitedPreset(given.preset, moe);
  CheckRouteOptions(options);  // again, because what was given may not go with another preset
  CheckGoesWith(options.preset, moe);
  route::RouterTrainOptions train = TrainerOptions(options);
  if (train.output_fit && split::IsCalibrated(moe)) {
    throw UsageError(options.moe,
                     " is calibrated already, so the original W_out is not known; start from "
                     "`moefy split` again");
  }
  const record::ActivationDump dump = record::ActivationDump::Open(options.dump);
  route::CheckDumpMatches(moe, dump);
  std::optional<StagedDirectory> staged;
  if (options.MakesResult()) {
    staged.emplace(in_place ? options.moe : options.out, in_place ? IfExists::kRenew : if_exists,
                   in_place ? InputPaths{options.dump} : InputPaths{options.moe, options.dump});
  }

  RouteTrainResult result;
  result.router = train.router;
  result.target = train.target;
  result.compensation = train.compensation;
  result.metric_ratio = train.metric_ratio;
  train.device = model::ResolveDevice(model::ParseDevice(options.device), &result.warnings);
  const auto find = [&](size_t i) {
    const split::MoeFfn& ffn = moe.ffns()[i];
    const size_t dump_idx = *dump.Find(ffn.spec);  // CheckDumpMatches has found it
    train.neuron_shares = NeuronShares(options, ffn.spec.gated());
    route::TrainedRouter trained =
        route::TrainRouter(model::ReadFfnWeights(moe.weights(), ffn.spec), ffn.plan.num_experts(),
                           dump, dump_idx, train, ffn.plan.num_shared());
    trained.report.ffn = ffn.spec.name;  // the dump may have another name for it
    return PartOfRouter(route::ToStore(trained));
  };
  PartsRequest request = {options,
                          "route-train",
                          OptionsToJson(options),
                          {{"moe", moe.source_fingerprint()},
                           {"split", moe.manifest().at("split")},
                           {"options", WithoutPaths(OptionsToJson(options))},
                           {"dump", DumpIdentity(dump)}},
                          {},
                          in_place ? options.moe : options.out,
                          "training routers"};
  for (const split::MoeFfn& ffn : moe.ffns()) request.names.push_back(ffn.spec.name);
  for (const split::MoeFfn& ffn : moe.ffns()) {
    RequireRouteMemory(ffn.spec, dump.ffns()[*dump.Find(ffn.spec)].tokens, train);
  }
  auto parts = FindParts(request, find, progress);
  if (!parts) {
    result.shard = CountParts(request);
    progress.End(StrCat(result.shard->found, " of ", result.shard->ffns, " parts are there"));
    return result;
  }
  std::vector<route::StoredRouter> routers;
  for (size_t i = 0; i < parts->size(); ++i) {
    routers.push_back(RouterOfPart(std::move((*parts)[i]), request.names[i]));
    result.reports.push_back(routers.back().report);
  }
  for (std::string& warning :
       route::WriteRouters(moe, routers, train, dump.info().corpus, staged->path())) {
    result.warnings.push_back(std::move(warning));
  }
  staged->Commit();
  progress.End(Summary(result.reports, options.metric_ratio));
  result.moe = in_place ? options.moe : options.out;
  return result;
}

}  // namespace moefy::pipeline
