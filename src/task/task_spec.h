// A downstream task, which is one JSON file; docs/tasks.md describes every key. Values,
// thread-safe.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace moefy::task {

enum class TaskKind {
  kClassification,           // of one text or a pair of them
  kMultipleChoice,           // which of a question's choices is right
  kExtractiveQa,             // the answer is a stretch of the context
  kGeneration,               // the answer is any text
  kCompletion,               // how likely the answer is after the prompt
  kLanguageModelling,        // there is only text, which is predicted from its beginning
  kMaskedLanguageModelling,  // there is only text, of which some tokens are hidden
};

// Whether the examples of this kind have a text and nothing else.
inline bool IsOnlyText(TaskKind kind) {
  return kind == TaskKind::kLanguageModelling || kind == TaskKind::kMaskedLanguageModelling;
}

enum class DataFormat { kTsv, kCsv, kJsonl, kParallel, kSquad, kRace, kDream, kMctest, kText };

struct DataSplit {
  std::string name;                            // "train", "eval", ...
  std::string file;                            // relative to the data directory
  std::map<std::string, std::string> columns;  // in tables: the task's field -> the file's column
  // The files that hold it, relative to the data directory: `file` or, of parallel text, one for
  // each field, "FILE.COLUMN".
  std::vector<std::filesystem::path> Files(DataFormat format) const;
};

struct Label {
  std::string value;  // as it stands in the label column
  std::string word;   // what a text-to-text model answers; "" if the task has no prompt
};

struct TaskSpec {
  std::string name;
  std::string description;
  TaskKind kind = TaskKind::kClassification;
  DataFormat format = DataFormat::kTsv;
  // In TSV and CSV: the names of the columns, if no line of the file tells them.
  std::vector<std::string> header;
  // In text: what stands between examples; "": the file is one example. In CSV: what stands between
  // cells; "": a comma.
  std::string separator;
  std::vector<DataSplit> splits;
  // For encoders with a classification head: one field, or two for a pair of segments.
  std::vector<std::string> inputs;
  // For text-to-text models: fields in braces, e.g. "sst2 sentence: {sentence}".
  std::string prompt;
  // Class i of a classification head is labels[i]. A text-to-text model answers with a label's
  // word: the logits of the words' first tokens at the first decoder step are their scores.
  std::vector<Label> labels;
  // For multiple choice in tables: the fields that hold the choices; labels[i] stands for
  // choices[i]. Empty if one column has them as a list.
  std::vector<std::string> choices;
  // For multiple choice whose prompt has {choice}: what follows the prompt, with fields in braces.
  std::string continuation;
  // For translation: codes of the model's tokenizer; "": as its configuration says.
  std::string source_language, target_language;
  int64_t max_tokens = 512;         // per example, special tokens included
  std::string metric = "accuracy";  // by which the kind of task is judged

  // Only some kinds have these keys; docs/tasks.md says which.
  bool answer_by_letter = false;   // multiple choice: "A" is said, not the text of the choice
  bool length_normalized = false;  // log likelihoods are compared per token
  int64_t max_new_tokens = 64;     // of a generated answer
  std::string stop;                // a generated answer ends before it; "": at the end token only
  int64_t stride = 0;              // tokens from one window to the next; 0: windows do not overlap
  bool no_answer = false;          // question answering: "" may be the answer
  int64_t mask_every = 0;          // so many tokens apart are hidden together; 0: each alone

  std::filesystem::path file;       // the task file
  std::filesystem::path directory;  // where the task file lies: the default data directory

  const DataSplit& GetSplit(const std::string& split_name) const;  // Error{kUsage} lists the splits
};

// The figures of the task: `metric` first, then the others of its kind.
std::vector<std::string> MetricNames(const TaskSpec& spec);

// Throws Error{kUsage} with the file, the key, what was found and what was wanted.
TaskSpec ReadTaskSpec(const std::filesystem::path& path);

}  // namespace moefy::task
