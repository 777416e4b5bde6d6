#include "pipeline/report_stage.h"

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "base/json.h"
#include "eval/html.h"
#include "eval/line_chart.h"
#include "moefy/base/error.h"
#include "moefy/base/version.h"
#include "pipeline/convert_output.h"
#include "pipeline/shown_rows.h"
#include "split/moe_checkpoint.h"

namespace moefy::pipeline {
namespace {

namespace fs = std::filesystem;

void AddTask(const ShownTask& task, eval::HtmlPage& page) {
  page.Heading(StrCat("Task ", task.name));
  const double scale = task.in_percent ? 100 : 1;
  const std::string unit = task.in_percent ? task.metric + ", %" : task.metric;
  const ShownRow& base = SpeedBase(task);
  eval::LineChart quality{StrCat(unit, " against the share of the FFNs' FLOPs that is done"),
                          "FLOPs of experts and routers, % of the dense FFNs'",
                          unit,
                          {},
                          scale * task.rows.front().value,
                          "dense"};
  eval::LineChart speed{"speed of the FFNs against the share of their work",
                        "FFN ratio, %",
                        StrCat("times as fast as ", base.Name()),
                        {},
                        1.0,
                        "dense"};
  for (const auto& [name, rows] : SparseRows(task)) {
    eval::ChartLine of_quality{name, {}, rows.front()->is_bound()}, of_speed{name, {}, false};
    for (const ShownRow* row : rows) {
      of_quality.points.emplace_back(100 * row->flops, scale * row->value);
      if (row->ffn_seconds && *row->ffn_seconds > 0) {
        of_speed.points.emplace_back(100 * row->ffn_ratio,
                                     base.ffn_seconds.value_or(0) / *row->ffn_seconds);
      }
    }
    quality.lines.push_back(std::move(of_quality));
    if (!of_speed.points.empty()) speed.lines.push_back(std::move(of_speed));
  }
  page.Picture(eval::DrawLineChart(quality),
               "Quality. Dashed lines are bounds: what a router that knew the answer would keep "
               "(oracle), or one that guesses (random); their routers cost nothing.");
  if (!speed.lines.empty()) {
    page.Picture(eval::DrawLineChart(speed),
                 "Speed of the FFNs, routers included, on the machine of the conversion.");
  }
  std::vector<std::vector<std::string>> cells;
  for (const ShownRow& row : task.rows) {
    const bool faster = !row.is_dense() && row.ffn_seconds && *row.ffn_seconds > 0;
    cells.push_back(
        {row.Name(), InPercent(row.ffn_ratio, 0), row.is_bound() ? "-" : InPercent(row.flops),
         task.Show(row.value) + (row.error ? " ± " + task.Show(*row.error) : ""), row.difference,
         row.agreement,
         faster ? FormatFixed(base.ffn_seconds.value_or(0) / *row.ffn_seconds, 2) + "x" : ""});
  }
  page.Table(StrCat(task.name, ", split ", task.split, ", ",
                    FormatCount(static_cast<uint64_t>(task.num_examples)), " examples"),
             {"model", "FFN ratio", "FLOPs", unit, "to dense, 95 %", "agrees", "FFN speed"}, cells);
}

// What is lost where, on held-out tokens: shares of an FFN's output, mean over FFNs.
struct LostWhere {
  int64_t expert_size = 1;
  double neurons = 0, oracle = 0, routed = 0, kept = 0;
};

// The routers of one model, FFN by FFN; nothing if they were not trained here.
std::optional<LostWhere> AddRouters(const fs::path& moe, eval::HtmlPage& page) {
  const Json manifest = ReadJsonFile(moe / split::kMoeManifest);
  const JsonObject json(manifest, (moe / split::kMoeManifest).string());
  if (!json.Has("router")) return std::nullopt;
  if (json.Has("calibration")) {
    for (const JsonObject& calibration : json.GetObjects("calibration")) {
      // What is known of the routers was measured before such a training.
      if (calibration.GetString("kind") == "gradient") return std::nullopt;
    }
  }
  const JsonObject router = json.GetObject("router");
  constexpr double kMost = 1e300;
  LostWhere sum;
  std::vector<std::vector<std::string>> cells;
  for (const JsonObject& ffn : router.GetObjects("ffns")) {
    const auto error = [&](const char* key) {
      return ffn.GetObject(key).GetNumber("output_error", 0, kMost);
    };
    const LostWhere lost{1, ffn.GetNumber("neuron_oracle_output_error", 0, kMost),
                         error("oracle_output"), error("routed"),
                         ffn.GetNumber("final_output_error", 0, kMost)};
    cells.push_back({ffn.GetString("name"), InPercent(lost.neurons), InPercent(lost.oracle),
                     InPercent(lost.routed), InPercent(lost.kept),
                     std::to_string(ffn.GetInt("dead_experts", 0, INT64_MAX)),
                     FormatFixed(ffn.GetNumber("load_entropy", 0, kMost), 3)});
    sum.neurons += lost.neurons;
    sum.oracle += lost.oracle;
    sum.routed += lost.routed;
    sum.kept += lost.kept;
  }
  if (cells.empty()) return std::nullopt;
  const double ratio = router.GetObject("options").GetNumber("metric_ratio", 0, 1);
  page.Heading(StrCat("Routers of ", moe.filename().string()));
  page.Table(StrCat(router.GetString("kind"), " routers at ratio ", InPercent(ratio, 0),
                    ": share of the output's energy that is lost on held-out tokens"),
             {"FFN", "best neurons", "best experts", "as routed", "with stand-ins and fit",
              "dead experts", "evenness of load"},
             cells);
  const auto num = static_cast<double>(cells.size());
  const auto size = json.GetObject("split").GetInt("neurons_per_expert", 1, INT64_MAX, 1);
  return LostWhere{size, sum.neurons / num, sum.oracle / num, sum.routed / num, sum.kept / num};
}

// Which of grain and router loses more, and what to try.
std::string Diagnose(const std::string& model, const LostWhere& lost) {
  const double grain = lost.oracle - lost.neurons, router = lost.routed - lost.oracle;
  std::string out =
      StrCat(model, ": of the FFNs' output, routing loses ", InPercent(lost.routed),
             " (with fit and stand-ins ", InPercent(lost.kept), "). The best experts would lose ",
             InPercent(lost.oracle), ", the best single neurons ", InPercent(lost.neurons), ". ");
  if (lost.kept < 0.02) return out + "That is little.";
  if (grain > router && lost.expert_size > 1) {
    return out +
           "Most is lost by the grain of the split: try a smaller --expert-size, or a "
           "sparser model (`moefy sparsify`).";
  }
  return out + "Most is lost by the router: try another --preset, or more recorded tokens.";
}

// What a task keeps at the least work, and at how much work it keeps all.
std::vector<std::string> Findings(const ShownTask& task) {
  std::vector<std::string> findings;
  for (const auto& [name, rows] : SparseRows(task)) {
    if (rows.front()->is_bound()) continue;
    std::vector<std::string> at;
    for (const ShownRow* row : rows) {
      if (row->ffn_ratio >= 1) continue;
      at.push_back(StrCat(task.Show(row->value), " at ", InPercent(row->ffn_ratio, 0), " (",
                          InPercent(row->flops, 0), " of the FLOPs, routers counted)"));
    }
    if (at.empty()) continue;
    findings.push_back(StrCat(task.name, ", ", task.metric, task.in_percent ? " in %" : "",
                              ": dense ", task.Show(task.rows.front().value), "; ", name, " ",
                              Join(at)));
  }
  return findings;
}

bool WasMadeSparse(const Json& stages) {
  return stages.contains("sparsify") && stages.contains("record") &&
         stages.at("record").contains("model") && stages.at("record").at("model").is_object();
}

// Whether a stage had part in these models; there may be records of earlier recipes too.
bool HadPart(const std::string& stage, const Json& stages, const std::set<std::string>& models) {
  if (stage == "sparsify") return WasMadeSparse(stages);
  const auto is_of = [&](std::string_view prefix, const auto& matches) {
    if (!stage.starts_with(prefix)) return true;
    const std::string name = stage.substr(prefix.size());
    return std::ranges::any_of(models, [&](const std::string& model) {
      return matches(model.substr(model.find('-') + 1), name);
    });
  };
  const auto same = [](const std::string& model, const std::string& name) { return model == name; };
  const auto begins = [](const std::string& model, const std::string& name) {
    return model == name || model.starts_with(name + "-");
  };
  return is_of("split ", begins) && is_of("route-train ", same) && is_of("calibrate ", same);
}

// The ratio that a recipe's max_loss led to; "" if these models were not tried for one.
std::string DescribeChosen(const fs::path& directory, const Json& stages) {
  const Json none;
  const Json& tried = stages.value("choose a ratio", none);
  if (!tried.is_object() || tried.value("models", none) != stages["eval"].value("models", none) ||
      !fs::exists(directory / kChoiceFile)) {
    return "";
  }
  const Json json = ReadJsonFile(directory / kChoiceFile);
  const JsonObject choice(json, (directory / kChoiceFile).string());
  const std::string most = InPercent(choice.GetNumber("max_loss", 0, 1), 2);
  if (!choice.Has("choice")) return StrCat("No ratio loses at most ", most, " on the split train.");
  const JsonObject chosen = choice.GetObject("choice");
  return StrCat("Chosen for a loss of at most ", most, " on the split train: ratio ",
                InPercent(chosen.GetNumber("ffn_ratio", 0, 1), 0), " of ",
                chosen.GetString("model"), ", ", chosen.GetString("selection"), ".");
}

// Whatever the stages were given, for people.
void AddStages(const Json& stages, const std::set<std::string>& models, eval::HtmlPage& page) {
  page.Heading("What was run");
  for (const auto& [name, inputs] : stages.items()) {
    if (!HadPart(name, stages, models)) continue;
    std::string options;
    for (const char* part : {kPaths, "options"}) {
      if (!inputs.is_object() || !inputs.contains(part)) continue;
      for (const auto& [key, value] : inputs.at(part).items()) {
        const bool empty = value.is_null() || value == "" || value == false || value == 0 ||
                           ((value.is_array() || value.is_object()) && value.empty());
        if (!empty) options += StrCat(options.empty() ? "" : "; ", key, " ", value.dump());
      }
    }
    page.Code(options.empty() ? name : StrCat(name, ": ", options));
  }
}

}  // namespace

ReportResult Report(const ReportOptions& options, IfExists if_exists) {
  const fs::path directory = options.directory;
  if (options.directory.empty()) {
    throw UsageError("report needs the directory of a conversion: which?");
  }
  if (!fs::exists(directory / kStages) || !fs::exists(directory / kEvalFile)) {
    throw InputError(directory, " holds no finished conversion (no ", kStages, " and ", kEvalFile,
                     "); `moefy convert` makes one");
  }
  const Json stages = ReadJsonFile(directory / kStages);
  if (!stages.is_object() || !stages.contains("eval")) {
    throw InputError(directory,
                     " holds a conversion that is not finished; the same `moefy convert` ",
                     "goes on with it");
  }
  const Json inspection = ReadJsonFile(directory / kInspectFile);
  const JsonObject model(inspection, (directory / kInspectFile).string());
  const Json reports = ReadReports(directory / kEvalFile);
  std::vector<ShownTask> tasks;
  std::vector<std::string> warnings;
  std::set<std::string> models;
  for (const Json& json : reports) {
    const JsonObject report(json, (directory / kEvalFile).string());
    tasks.push_back(ReadShownTask(report));
    for (std::string& warning : report.GetStrings("warnings"))
      warnings.push_back(std::move(warning));
    for (const ShownRow& row : tasks.back().rows) {
      if (!row.is_dense()) models.insert(row.model);
    }
  }
  ReportResult result;
  if (std::string chosen = DescribeChosen(directory, stages); !chosen.empty()) {
    result.findings.push_back(std::move(chosen));
  }
  for (const ShownTask& task : tasks) {
    for (std::string& finding : Findings(task)) result.findings.push_back(std::move(finding));
  }

  eval::HtmlPage page(
      StrCat("Conversion of ", fs::path(model.GetString("path")).filename().string()));
  page.Paragraph(StrCat(
      "A ", model.GetString("family"), " model with ",
      FormatCount(static_cast<uint64_t>(model.GetInt("parameters", 0, INT64_MAX))),
      " parameters, its FFNs with ", model.GetString("activation"),
      model.GetBool("gated") ? " and a gate" : "", ", ", model.GetInt("neurons", 0, INT64_MAX),
      " neurons each, turned into mixtures of experts by moefy ", kVersion, "."));
  if (WasMadeSparse(stages)) {
    page.Paragraph(
        "Before that the model was made sparse (`moefy sparsify`, see below); dense rows are the "
        "original's.");
  }
  page.Heading("In short");
  page.List(result.findings);
  for (const ShownTask& task : tasks) AddTask(task, page);
  for (const std::string& name : models) {
    if (!fs::exists(directory / name / split::kMoeManifest)) continue;
    const auto where = AddRouters(directory / name, page);
    if (!where) continue;
    result.findings.push_back(Diagnose(name, *where));
    page.Paragraph(result.findings.back());
  }
  if (!warnings.empty()) {
    page.Heading("Warnings");
    page.List(warnings);
  }
  AddStages(stages, models, page);
  page.Paragraph(
      "Run a stage again by the command of its name with these options, or all of them "
      "by `moefy convert` with the recipe and the same --out.");
  result.page = options.out.empty() ? directory / "report.html" : fs::path(options.out);
  WriteTextFile(result.page, std::move(page).Finish(),
                options.out.empty() ? IfExists::kRenew : if_exists);
  return result;
}

}  // namespace moefy::pipeline
