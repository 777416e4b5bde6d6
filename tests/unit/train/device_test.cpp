// Training away from the CPU. Most machines have no other device, so one is made up: memory of the
// CPU under another name, computed on by the CPU's kernels, whose tensors mix with the CPU's as
// little as a GPU's do.
#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/native/CPUFallback.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <cstdlib>

#include "model/device.h"
#include "model/read_parameters.h"
#include "runtime/sparse_model.h"
#include "support/expect_error.h"
#include "support/memory_of_tests.h"
#include "support/split_fixtures.h"
#include "token_task.h"
#include "train/masked_ffn.h"
#include "train/trainer.h"
#include "train/training_state.h"

namespace moefy::train {
namespace {

// Of a kind that LibTorch only knows by name; from 2 on it asks of PrivateUse1 to have streams.
const at::Device kOther(c10::DeviceType::VE, 0);

class OtherMemory final : public tests::MemoryOfTests {
 public:
  c10::DeleterFnPtr raw_deleter() const override { return &std::free; }

 private:
  c10::DataPtr Take(size_t num_bytes) const override {
    void* data = std::malloc(std::max<size_t>(num_bytes, 1));
    return {data, data, &std::free, kOther};
  }
};

OtherMemory& Memory() {
  static OtherMemory memory;
  return memory;
}

constexpr c10::DispatchKeySet kKeys(c10::DispatchKey::VE);

at::Tensor Empty(at::IntArrayRef sizes, c10::optional<at::ScalarType> type,
                 c10::optional<at::Layout>, c10::optional<at::Device>, c10::optional<bool>,
                 c10::optional<at::MemoryFormat> format) {
  return at::detail::empty_generic(sizes, &Memory(), kKeys, type.value_or(at::kFloat), format);
}

at::Tensor EmptyStrided(at::IntArrayRef sizes, at::IntArrayRef strides,
                        c10::optional<at::ScalarType> type, c10::optional<at::Layout>,
                        c10::optional<at::Device>, c10::optional<bool>) {
  return at::detail::empty_strided_generic(sizes, strides, &Memory(), kKeys,
                                           type.value_or(at::kFloat));
}

// The same memory.
at::Tensor AsCpu(const at::Tensor& tensor) {
  return at::from_blob(tensor.data_ptr(), tensor.sizes(), tensor.strides(),
                       tensor.options().device(at::kCPU));
}

at::Tensor CopyFrom(const at::Tensor& from, const at::Tensor& to, bool) {
  AsCpu(to).copy_(AsCpu(from));
  return to;
}

at::Tensor CopyFromAndResize(const at::Tensor& from, const at::Tensor& to) {
  if (from.sizes() != to.sizes()) {
    const at::Tensor resized = at::empty(from.sizes(), to.options());
    to.unsafeGetTensorImpl()->shallow_copy_from(resized.getIntrusivePtr());
  }
  return CopyFrom(from, to, false);
}

// Everything else.
void Compute(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  for (const c10::IValue& value : torch::jit::last(*stack, op.schema().arguments().size())) {
    if (!value.isTensor() || !value.toTensor().defined() || value.toTensor().dim() == 0) continue;
    TORCH_CHECK(value.toTensor().device() == kOther, op.schema().name(), " of a tensor on ",
                value.toTensor().device());
  }
  at::native::cpu_fallback(op, stack);
}

TORCH_LIBRARY_IMPL(_, VE, m) { m.fallback(torch::CppFunction::makeFromBoxedFunction<&Compute>()); }

TORCH_LIBRARY_IMPL(aten, VE, m) {
  m.impl("empty.memory_format", &Empty);
  m.impl("empty_strided", &EmptyStrided);
  m.impl("_copy_from", &CopyFrom);
  m.impl("_copy_from_and_resize", &CopyFromAndResize);
  m.impl("as_strided", &at::native::as_strided_tensorimpl);
  m.impl("view", &at::native::view);
  m.impl("_reshape_alias", &at::native::_reshape_alias);
}

C10_REGISTER_GUARD_IMPL(VE, c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::VE>);

// A calibration, or fine-tuning where `selection` is empty.
class Lesson {
 public:
  Lesson(const std::string& pico, const std::string& selection, const std::string& optimizer,
         int64_t lora_rank)
      : selection_(selection), lora_rank_(lora_rank) {
    tests::SplitInto(tests::Pico(pico), dir_ / "moe", 4);
    moe_ = std::make_unique<split::MoeCheckpoint>(split::MoeCheckpoint::Open(dir_ / "moe"));
    for (int64_t i = 0; i < 40; ++i) dataset_.examples.push_back({{}, i % 2});
    sequences_ = TokenTask(dataset_, moe_->config()).RightSequences();
    options_.steps = 6;
    options_.batch_size = 8;
    options_.batch_tokens = 24;
    options_.learning_rate = 2e-3;
    options_.evaluate_every = 3;
    options_.optimizer = optimizer;
  }

  TrainableWeights Weights(at::Device device) const {
    const model::ModelConfig& config = moe_->config();
    return TrainableWeights(
        model::OnDevice(model::ReadParameters(moe_->weights(), config), device),
        lora_rank_ > 0 ? BlockMatrices(config) : SelectParameters(config, "all"), {lora_rank_, 16},
        1);
  }

  TrainingReport Learn(TrainableWeights& weights, Progress& progress = SilentProgress()) const {
    const at::Device device = weights.device();
    const TokenTask task(dataset_, moe_->config());
    TrainingSetup setup{moe_->config(), weights, 0,  sequences_, {task, spec_, dataset_},
                        {0.5},          {},      {}, {},         {}};
    model::Transformer teacher =
        model::LoadTransformer(moe_->weights(), nullptr, model::Parts::kAll, device);
    std::vector<route::RoutedFfn> routed;
    if (!selection_.empty()) {
      setup.distillation = {&teacher, {0.5, 2, 0.1}};
      routed = route::ReadRoutedFfns(*moe_, route::ParseSelection(selection_), 0.5, 1, device);
      setup.install = [&](model::Transformer& model, double) {
        for (size_t i = 0; i < model.num_ffns(); ++i) {
          const auto& dense = dynamic_cast<model::DenseFeedForward&>(model.feed_forward(i));
          const int64_t hidden = dense.weights().hidden();
          route::RoutedFfn ffn = routed[i];
          ffn.compensation = at::full({4, hidden}, 0.01, device);
          ffn.correction = {at::full({2, hidden}, 0.01, device),
                            at::full({hidden, 2}, 0.01, device), at::full({hidden}, 0.01, device)};
          model.ExchangeFeedForward(i,
                                    std::make_unique<MaskedFeedForward>(dense.weights(), 4, ffn));
        }
      };
    }
    TrainingReport report = Train(setup, options_, dir_ / "state", IfExists::kRefuse, progress);
    RemoveState(dir_ / "state");
    return report;
  }

 private:
  std::string selection_;
  int64_t lora_rank_;
  tests::TempDir dir_;
  std::unique_ptr<split::MoeCheckpoint> moe_;
  task::TaskSpec spec_;
  task::Dataset dataset_;
  std::vector<ask::Sequence> sequences_;
  TrainerOptions options_;
};

void ExpectAlike(const TrainingReport& a, const TrainingReport& b) {
  ASSERT_EQ(a.history.size(), b.history.size());
  for (size_t i = 0; i < a.history.size(); ++i) {
    EXPECT_NEAR(a.history[i].loss, b.history[i].loss, 1e-4);
    EXPECT_NEAR(a.history[i].held_out_loss, b.history[i].held_out_loss, 1e-4);
  }
}

void ExpectAlike(const TrainableWeights& a, const TrainableWeights& b) {
  for (const auto& [name, leaf] : a.leaves()) {
    if (name.ends_with("key.bias")) continue;  // no gradient but rounding, and AdamW scales it up
    EXPECT_TRUE(at::allclose(leaf.to(at::kCPU), b.leaves().at(name).to(at::kCPU), 1e-3, 1e-4))
        << name;
  }
}

TEST(TrainingDevice, OtherTensorsDoNotMix) {
  const at::Tensor here = at::ones({3}), there = here.to(kOther);
  EXPECT_TRUE(at::equal((there + there).to(at::kCPU), here + here));
  EXPECT_THROW(there + here, c10::Error);
}

TEST(TrainingDevice, IsWhereTheWeightsAre) {
  struct Row {
    const char* pico;
    const char* selection;
    const char* optimizer;
    int64_t lora_rank;
  };
  for (const Row& row :
       {Row{"bert-cls-gelu", "", "adamw", 0}, Row{"bert-cls-gelu", "", "muon", 0},
        Row{"bert-cls-gelu", "similarity", "adamw", 0}, Row{"bert-cls-gelu", "oracle", "adamw", 2},
        Row{"t5-relu-tied", "random", "adamw", 0}}) {
    SCOPED_TRACE(StrCat(row.pico, " ", row.selection, " ", row.optimizer, " ", row.lora_rank));
    const Lesson lesson(row.pico, row.selection, row.optimizer, row.lora_rank);
    TrainableWeights here = lesson.Weights(at::kCPU), there = lesson.Weights(kOther);
    const TrainingReport report = lesson.Learn(here);
    EXPECT_LT(report.history.back().held_out_loss, report.history.front().held_out_loss);
    ExpectAlike(lesson.Learn(there), report);
    ExpectAlike(there, here);
    for (const auto& [name, leaf] : there.leaves()) EXPECT_EQ(leaf.device(), kOther) << name;
  }
}

// Its state is of no device.
TEST(TrainingDevice, MayChangeOnTheWay) {
  const Lesson lesson("bert-cls-gelu", "similarity", "adamw", 0);
  TrainableWeights whole = lesson.Weights(at::kCPU);
  const TrainingReport report = lesson.Learn(whole);
  for (const at::Device first : {at::Device(at::kCPU), kOther}) {
    TrainableWeights begun = lesson.Weights(first);
    StopAfter stop(4);
    tests::ExpectError(ErrorKind::kInterrupted, {"step 4 of 6"},
                       [&] { lesson.Learn(begun, stop); });
    TrainableWeights gone_on = lesson.Weights(first.is_cpu() ? kOther : at::Device(at::kCPU));
    ExpectAlike(lesson.Learn(gone_on), report);
    ExpectAlike(gone_on, whole);
  }
}

}  // namespace
}  // namespace moefy::train
