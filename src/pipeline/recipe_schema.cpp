#include "pipeline/recipe_schema.h"

#include <string>
#include <type_traits>
#include <vector>

#include "base/options.h"
#include "pipeline/recipe.h"

namespace moefy::pipeline {
namespace {

// Makes a property of each field of a command's options.
struct SchemaWriter {
  Json properties = Json::object();

  void Renamed(const char*, const char*) {}
  template <typename T>
  void Argument(const char* name, T& value, const char* help) {
    Field(name, value, help);
  }
  template <typename T>
  void Field(const char* name, T& value, const char* help) {
    Json property;
    if constexpr (internal::OptionalOf<T>::kIs) {
      property = Type<typename T::value_type>();
    } else {
      property = Type<T>();
      property["default"] = value;
    }
    property["description"] = help;
    properties[JsonKey(name)] = property;
  }

  template <typename T>
  static Json Type() {
    if constexpr (std::is_same_v<T, bool>) {
      return {{"type", "boolean"}};
    } else if constexpr (std::is_same_v<T, int64_t>) {
      return {{"type", "integer"}};
    } else if constexpr (std::is_same_v<T, double>) {
      return {{"type", "number"}};
    } else if constexpr (std::is_same_v<T, std::string>) {
      return {{"type", "string"}};
    } else {
      return {{"type", "array"}, {"items", Type<typename T::value_type>()}};
    }
  }
};

Json Object(const Json& properties) {
  return {{"type", "object"}, {"additionalProperties", false}, {"properties", properties}};
}

Json ListOf(const Json& items) { return {{"type", "array"}, {"minItems", 1}, {"items", items}}; }

Json Text(const char* description) { return {{"type", "string"}, {"description", description}}; }

Json Reference(const std::string& stage) { return {{"$ref", "#/$defs/" + stage}}; }

// The options that a recipe may give a stage; with a name where it may have several.
template <typename Options>
Json StageSchema(const std::string& stage, const char* name_help = nullptr) {
  SchemaWriter writer;
  Options options;
  options.Visit(writer);
  for (const std::string& own : SetByRecipe(stage)) writer.properties.erase(own);
  Json properties = Json::object();
  if (name_help) properties["name"] = Text(name_help);
  properties.update(writer.properties);
  return Object(properties);
}

// As StageSchema, and what a recipe says of routes besides.
Json RouteSchema() {
  Json schema = StageSchema<RouteTrainOptions>(
      "route", "of the routers, where there are several (default: the preset)");
  schema["properties"]["splits"] = {
      {"type", "array"},
      {"items", {{"type", "string"}}},
      {"description", "names of the splits it is for (default: all)"}};
  return schema;
}

Json StageSchemas() {
  return {{"sparsify", StageSchema<SparsifyOptions>("sparsify")},
          {"record", StageSchema<RecordOptions>("record")},
          {"split",
           StageSchema<SplitOptions>("split", "of the split (default: the preset, or the method)")},
          {"route", RouteSchema()},
          {"calibrate", StageSchema<CalibrateOptions>("calibrate")},
          {"eval", StageSchema<EvalOptions>("eval")}};
}

// "split.expert_size": [8, 16], for every option that is one value.
Json MatrixSchema(const Json& stages, const Json& max_loss) {
  Json properties = Json::object();
  for (const auto& [stage, schema] : stages.items()) {
    for (const auto& [option, property] : schema.at("properties").items()) {
      if (option == "name" || property.at("type") == "array") continue;
      Json value = property;
      value.erase("default");
      value.erase("description");
      properties[stage + "." + option] = ListOf(value);
    }
  }
  properties["max_loss"] = ListOf(max_loss);
  Json schema = Object(properties);
  schema["minProperties"] = 1;
  schema["description"] = "options with several values: one job for each combination";
  return schema;
}

}  // namespace

Json RecipeSchema() {
  const Json stages = StageSchemas();
  const Json max_loss = {{"type", "number"}, {"minimum", 0}, {"maximum", 1}};
  Json parts = {{"model", Text("directory of the dense checkpoint")},
                {"data", Text("directory of the tasks' data files (default: beside each)")},
                {"sparsify", Reference("sparsify")},
                {"record", Reference("record")},
                {"split", ListOf(Reference("split"))},
                {"route", {{"anyOf", {Reference("route"), ListOf(Reference("route"))}}}},
                {"calibrate", Reference("calibrate")},
                {"eval", Reference("eval")},
                {"max_loss", max_loss}};
  Json model = parts;
  model["name"] = Text("of the job (default: the last part of the model's path)");
  Json model_schema = Object(model);
  model_schema["required"] = {"model"};
  Json properties = {{"$schema", Text("where this schema is, for editors")}};
  properties.update(parts);
  properties["models"] = ListOf({{"anyOf", {{{"type", "string"}}, model_schema}}});
  properties["models"]["description"] =
      "checkpoints, each a job; an object may change what the recipe says for the others";
  properties["matrix"] = MatrixSchema(stages, max_loss);
  Json schema = {{"$schema", "https://json-schema.org/draft/2020-12/schema"},
                 {"title", "A recipe of moefy convert"}};
  schema.update(Object(properties));
  // What the recipe leaves out, each of its models has to say.
  schema["anyOf"] = Json::array({{{"required", {"models"}}}, {{"required", kRequiredStages}}});
  schema["$defs"] = stages;
  return schema;
}

}  // namespace moefy::pipeline
