#include "pipeline/serve_stage.h"

#include <functional>
#include <map>
#include <string>

#include "base/options.h"
#include "moefy/base/error.h"
#include "moefy/pipeline/record_stage.h"
#include "moefy/pipeline/route_stage.h"
#include "moefy/pipeline/split_stage.h"
#include "pipeline/train_stages.h"

namespace moefy::pipeline {
namespace {

template <typename Options>
Options AnnouncedOptions(const Json& announced) {
  Options options;
  const JsonObject object(announced.at("options"), "what rank 0 announced");
  ReadOptions(object, options);
  return options;
}

// A stage that finds parts.
template <typename Options>
Options PartsOptions(const Json& announced) {
  auto options = AnnouncedOptions<Options>(announced);
  options.parts = announced.at("parts");
  options.serves = announced.at("run");
  return options;
}

template <typename Options>
Options TrainOptions(const Json& announced) {
  auto options = AnnouncedOptions<Options>(announced);
  options.training.serves = true;
  return options;
}

constexpr IfExists kNothing = IfExists::kRefuse;  // is written

const std::map<std::string, std::function<void(const Json&)>> kServedStages = {
    {"split",
     [](const Json& json) { Split(PartsOptions<SplitOptions>(json), kNothing, SilentProgress()); }},
    {"route-train",
     [](const Json& json) {
       RouteTrain(PartsOptions<RouteTrainOptions>(json), kNothing, SilentProgress());
     }},
    {"record",
     [](const Json& json) {
       auto options = AnnouncedOptions<RecordOptions>(json);
       options.share.parts = json.at("parts");
       options.share.serves = json.at("run");
       Record(options, kNothing, SilentProgress());
     }},
    {kFinetuneStage,
     [](const Json& json) {
       Finetune(TrainOptions<FinetuneOptions>(json), kNothing, SilentProgress());
     }},
    {kCalibrateStage, [](const Json& json) {
       Calibrate(TrainOptions<CalibrateOptions>(json), kNothing, SilentProgress());
     }}};

}  // namespace

void ServeStage(const Json& announced) { kServedStages.at(announced.at("stage"))(announced); }

}  // namespace moefy::pipeline
