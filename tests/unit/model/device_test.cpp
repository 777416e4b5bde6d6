#include "model/device.h"

#include <ATen/ExpandUtils.h>
#include <ATen/WrapDimUtils.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <filesystem>

#include "moefy/model/transformer.h"
#include "support/expect_error.h"
#include "support/shared_data.h"

namespace moefy::model {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(Device, NamesAreParsed) {
  EXPECT_EQ(ParseDevice("cpu"), at::Device(at::kCPU));
  EXPECT_EQ(ParseDevice("cuda"), at::Device(at::kCUDA, 0));
  EXPECT_EQ(ParseDevice("cuda:0"), at::Device(at::kCUDA, 0));
  EXPECT_EQ(ParseDevice("cuda:12"), at::Device(at::kCUDA, 12));
  for (const char* name : {"", "gpu", "CPU", "cpu:0", "cuda:", "cuda:x", "cuda:1x", "cuda:-1",
                           "cuda: 1", "cuda:128", "cuda:99999999999999999999"}) {
    tests::ExpectError(ErrorKind::kUsage,
                       {"unknown device '" + std::string(name) + "'",
                        "expected cpu, cuda or cuda:N, N from 0 to 127"},
                       [&] { ParseDevice(name); });
  }
}

TEST(Device, TheCpuIsAlwaysThere) {
  std::vector<std::string> warnings;
  EXPECT_EQ(ResolveDevice(at::kCPU, &warnings), at::Device(at::kCPU));
  EXPECT_THAT(warnings, IsEmpty());
}

// Refused where there are GPUs but not this one; else the CPU steps in, and says why.
TEST(Device, AGpuThatThereIsNot) {
  const size_t num_gpus = at::hasCUDA() ? at::getNumGPUs() : 0;
  const at::Device beyond(at::kCUDA, static_cast<c10::DeviceIndex>(num_gpus));
  if (num_gpus > 0) {
    tests::ExpectError(ErrorKind::kUsage, {"there is no device " + beyond.str()},
                       [&] { ResolveDevice(beyond); });
    return;
  }
  std::vector<std::string> warnings;
  EXPECT_EQ(ResolveDevice(beyond, &warnings), at::Device(at::kCPU));
  EXPECT_THAT(warnings, ElementsAre(testing::HasSubstr("; running on the CPU")));
}

// What LibTorch 1.13 does not have for the meta device; each insists on it, as a GPU's kernels do.
void RequireMeta(std::initializer_list<at::Tensor> tensors) {
  for (const at::Tensor& t : tensors) TORCH_CHECK(t.is_meta(), "a tensor is on ", t.device());
}

TORCH_LIBRARY_IMPL(aten, Meta, m) {
  m.impl("index_select", [](const at::Tensor& self, int64_t dim, const at::Tensor& index) {
    RequireMeta({self, index});
    std::vector<int64_t> sizes = self.sizes().vec();
    sizes[static_cast<size_t>(at::maybe_wrap_dim(dim, self.dim()))] = index.numel();
    return at::empty(sizes, self.options());
  });
  m.impl("where.self", [](const at::Tensor& condition, const at::Tensor& a, const at::Tensor& b) {
    RequireMeta({condition, a, b});
    return at::empty_like(a.expand(at::infer_size(a.sizes(), condition.sizes())));
  });
  m.impl("relu", [](const at::Tensor& self) { return at::empty_like(self); });
  m.impl("abs.out", [](const at::Tensor& self, at::Tensor& out) -> at::Tensor& {
    RequireMeta({self, out});
    out.resize_(self.sizes());
    return out;
  });
  m.impl("native_layer_norm",
         [](const at::Tensor& x, at::IntArrayRef, const c10::optional<at::Tensor>& weight,
            const c10::optional<at::Tensor>& bias, double) {
           RequireMeta({x, *weight, *bias});
           const at::Tensor row = at::empty({x.size(0), 1}, x.options());
           return std::make_tuple(at::empty_like(x), row, row);
         });
}

// Tensors on the meta device have shapes and no values, and mix with others as little as a GPU's
// do.
TEST(Device, AModelStaysOnItsOwn) {
  class Probe final : public FeedForward {
   public:
    explicit Probe(std::unique_ptr<FeedForward> inner, std::vector<at::Device>& seen)
        : inner_(std::move(inner)), seen_(seen) {}
    at::Tensor Forward(const at::Tensor& x) override {
      const at::Tensor y = inner_->Forward(x);
      seen_.push_back(y.device());
      return y;
    }

   private:
    std::unique_ptr<FeedForward> inner_;
    std::vector<at::Device>& seen_;
  };
  const at::NoGradGuard no_grad;
  const at::Device meta(at::kMeta);
  for (const auto& pico : std::filesystem::directory_iterator(tests::TestData() / "pico")) {
    SCOPED_TRACE(pico.path().filename().string());
    Transformer model =
        LoadTransformer(io::Checkpoint::Open(pico.path()), nullptr, Parts::kAll, meta);
    // Which experts of a mixture run depends on values, and meta tensors have none.
    if (model.config().mixture.num_experts > 0) continue;
    std::vector<at::Device> seen;
    for (size_t i = 0; i < model.num_ffns(); ++i) {
      model.ExchangeFeedForward(
          i, std::make_unique<Probe>(model.ExchangeFeedForward(i, nullptr), seen));
    }
    ForwardInputs inputs;
    inputs.input_ids = inputs.decoder_input_ids = at::full({2, 5}, 7, at::kLong);
    try {
      model.Forward(inputs);
      ADD_FAILURE() << "meta tensors were copied to the CPU";
    } catch (const c10::Error& error) {
      EXPECT_THAT(error.what_without_backtrace(),
                  testing::HasSubstr("Cannot copy out of meta tensor"));
    }
    EXPECT_EQ(seen, std::vector<at::Device>(model.num_ffns(), meta));
  }
}

}  // namespace
}  // namespace moefy::model
