// Answers a text with a split checkpoint, running a share of its experts:
//   embed MOE "sentiment: nobody enjoyed the music ."
#include <iostream>

#include "moefy/base/error.h"
#include "moefy/pipeline/open_model.h"

int main(int argc, char** argv) {
  if (argc != 3) {
    std::cerr << "usage: embed MOE TEXT\n";
    return 2;
  }
  try {
    // Without routers in the checkpoint, "similarity" chooses experts by their weights alone.
    moefy::pipeline::OpenedModel model(argv[1], {.selection = "similarity", .ffn_ratio = 0.5});
    std::cout << model.Generate(argv[2], /*max_new_tokens=*/1) << "\n";

    // Or the numbers: what the model says of its first word.
    const at::Tensor logits = model.Run(argv[2]).logits.flatten(0, 1)[0];  // [vocab]
    const auto likeliest = logits.argmax().item<int64_t>();
    std::cerr << "likeliest of " << logits.numel() << " tokens: " << likeliest << " ("
              << model.tokenizer().Decode({likeliest}) << "), " << 100 * model.FfnRatio()
              << " % of the neurons\n";
  } catch (const moefy::Error& error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
}
