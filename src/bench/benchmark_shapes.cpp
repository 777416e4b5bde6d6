#include "bench/benchmark_shapes.h"

#include "moefy/base/error.h"

namespace moefy::bench {

using model::Activation;

const std::vector<BenchmarkShape>& BenchmarkShapes() {
  static const std::vector<BenchmarkShape> shapes = {
      {"t5-small", 512, 2048, 64},
      {"t5-base", 768, 3072, 96},
      {"t5-large", 1024, 4096, 128},
      {"t5-3b", 1024, 16384, 512},
      {"t5-v1.1-base", 768, 2048, 64, Activation::kGeluTanh, true},
      {"t5-v1.1-large", 1024, 2816, 88, Activation::kGeluTanh, true},
      {"bert-base", 768, 3072, 96, Activation::kGelu, false, true},
      {"bert-large", 1024, 4096, 128, Activation::kGelu, false, true},
      {"opt-1.3b", 2048, 8192, 256, Activation::kRelu, false, true},
      {"llama-2-7b", 4096, 11008, 344, Activation::kSilu, true},
  };
  return shapes;
}

const BenchmarkShape& GetBenchmarkShape(const std::string& name) {
  std::vector<std::string> names;
  for (const BenchmarkShape& shape : BenchmarkShapes()) {
    if (shape.name == name) return shape;
    names.push_back(shape.name);
  }
  throw UsageError("unknown shape ", Quoted(name), DidYouMean(name, names),
                   "; known: ", Join(names));
}

}  // namespace moefy::bench
