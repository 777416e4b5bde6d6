#include "moefy/pipeline/route_stage.h"
#include "moefy/base/error.h"
#include "moefy/route/router_trainer.h"

namespace moefy::pipeline {
namespace {

void CheckOptions(const RouteTrainOptions& options) {
  const auto require = [](bool ok, const char* name, auto value, const char* expected) {
    if (!ok) throw UsageError("--", name, " is ", value, "; expected ", expected);
  };
  require(options.epochs >= 1, "epochs", options.epochs, "at least 1");
  require(options.batch_size >= 1, "batch-size", options.batch_size, "at least 1");
  require(options.learning_rate > 0, "learning-rate", options.learning_rate, "more than 0");
  require(options.held_out > 0 && options.held_out < 1, "held-out", options.held_out,
          "a share between 0 and 1");
  require(options.metric_ratio > 0 && options.metric_ratio <= 1, "metric-ratio",
          options.metric_ratio, "a share above 0 and at most 1");
  if (options.dump.empty()) throw UsageError("route-train needs --dump, made by `moefy record`");
}

}  // namespace

RouteTrainResult RouteTrain(const RouteTrainOptions& options, IfExists if_exists,
                            Progress& progress) {
  CheckOptions(options);
  const bool in_place = options.out.empty() || options.out == options.moe;
  const split::MoeCheckpoint moe = split::MoeCheckpoint::Open(options.moe);
  const record::ActivationDump dump = record::ActivationDump::Open(options.dump);
  route::CheckDumpMatches(moe, dump);
  StagedDirectory staged(in_place ? options.moe : options.out,
                         in_place ? IfExists::kReplace : if_exists);

  route::TrainOptions train;
  train.epochs = options.epochs;
  train.batch_size = options.batch_size;
  train.learning_rate = options.learning_rate;
  train.held_out = options.held_out;
  train.metric_ratio = options.metric_ratio;
  train.seed = static_cast<uint64_t>(options.seed);
  const Json recorded = {{"kind", "mlp"},
                         {"epochs", options.epochs},
                         {"batch_size", options.batch_size},
                         {"learning_rate", options.learning_rate},
                         {"held_out", options.held_out},
                         {"metric_ratio", options.metric_ratio},
                         {"seed", options.seed},
                         {"corpus", dump.info().corpus}};

  RouteTrainResult result;
  std::vector<route::TrainedRouter> routers;
  progress.Begin("training routers", moe.ffns().size(), "FFNs");
  for (const split::MoeFfn& ffn : moe.ffns()) {
    ThrowIfInterrupted();
    const size_t dump_idx = *dump.Find(ffn.spec);  // CheckDumpMatches has looked
    routers.push_back(route::TrainMlpRouter(model::ReadFfnWeights(moe.weights(), ffn.spec),
                                            ffn.plan.num_experts(), dump, dump_idx, train));
    const route::TrainedRouter& trained = routers.back();
    RouteTrainRow row;
    row.ffn = ffn.spec.name;
    row.train_tokens = trained.train_tokens;
    row.held_out_tokens = trained.mlp.tokens;
    row.best_epoch = trained.best_epoch;
    row.mlp_mass = trained.mlp.mass;
    row.mlp_recall = trained.mlp.recall;
    row.similarity_mass = trained.similarity.mass;
    row.random_mass = trained.random.mass;
    row.oracle_mass = trained.oracle.mass;
    row.seconds = trained.seconds;
    result.rows.push_back(row);
    progress.Advance(1);
  }
  route::WriteRouters(moe, routers, recorded, staged.path());
  staged.Commit();
  double mass = 0;
  for (const RouteTrainRow& row : result.rows) {
    mass += row.mlp_mass / static_cast<double>(result.rows.size());
  }
  progress.End(StrCat("held-out mass ", FormatFixed(100 * mass, 1), " % at ",
                      FormatFixed(100 * options.metric_ratio, 0), " % of the neurons"));
  result.moe = in_place ? options.moe : options.out;
  return result;
}

}  // namespace moefy::pipeline
