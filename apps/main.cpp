// The program: parses the command line, runs one command, prints its outcome, turns errors into
// exit codes. Nothing else in the project prints, exits or reads argv.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <new>

#include "base/heap.h"
#include "base/memory_limit.h"
#include "base/non_finite.h"
#include "base/ranks.h"
#include "bench/machine.h"
#include "command.h"
#include "completion.h"
#include "help_layout.h"
#include "man_page.h"
#include "model/blas_core.h"
#include "model/torch_error.h"
#include "moefy/base/error.h"
#include "moefy/base/version.h"
#include "pipeline/recipe_schema.h"
#include "pipeline/serve_stage.h"
#include "run_jobs.h"
#include "short_waits.h"
#include "signals.h"

namespace moefy::apps {

int ExitCode(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::kUsage:
      return kExitUsage;
    case ErrorKind::kInput:
      return kExitInput;
    case ErrorKind::kSystem:
      return kExitSystem;
    case ErrorKind::kInterrupted:
      return kExitInterrupted;
    case ErrorKind::kBug:
      break;
  }
  return kExitBug;
}

namespace {

constexpr const char* kDescription =
    "Turns a dense Transformer checkpoint into a mixture of experts of the same size and runs it\n"
    "evaluating only the experts each token needs.\n\n"
    "Examples:\n"
    "  moefy convert examples/quickstart/recipe.json --out out   # the whole job\n"
    "  moefy split CKPT --expert-size 32 --out MOE               # one stage of it";

std::vector<std::unique_ptr<Command>> MakeCommands(CLI::App& app) {
  std::vector<std::unique_ptr<Command>> commands;
  for (const auto make :
       {ConvertCommand, FamiliesCommand, InspectCommand,  RecordCommand,     SparsityCommand,
        SplitCommand,   FinetuneCommand, SparsifyCommand, RouteTrainCommand, CalibrateCommand,
        EvalCommand,    RunCommand,      BenchCommand,    PackCommand,       ExportCommand,
        VerifyCommand,  MergeCommand,    JoinCommand,     ReportCommand,     DoctorCommand}) {
    commands.push_back(make(app));
  }
  return commands;
}

// Writes what is installed beside the program: manual pages and the shells' completions.
void WriteHelpFiles(const std::vector<HelpPage>& pages, const std::string& directory) {
  StagedDirectory out(directory, IfExists::kReplace);
  const auto write = [&](const std::filesystem::path& file, const std::string& text) {
    std::filesystem::create_directories((out.path() / file).parent_path());
    WriteTextFile(out.path() / file, text, IfExists::kRefuse);
  };
  for (const HelpPage& page : pages) {
    write(StrCat("man/man1/", ManName(page), ".1"), ManPage(page, pages));
  }
  for (const Shell& shell : Shells()) write(shell.file, shell.completion(pages));
  out.Commit();
}

void RefuseUnknownCommand(const std::string& name,
                          const std::vector<std::unique_ptr<Command>>& commands) {
  std::vector<std::string> names;
  for (const auto& command : commands) names.push_back(command->app()->get_name());
  if (std::find(names.begin(), names.end(), name) != names.end()) return;
  throw UsageError("unknown command ", Quoted(name), DidYouMean(name, names), "; one of ",
                   Join(names));
}

// Lists what CLI11 could not place on a command's line, with the nearest option's name for each.
Error UnexpectedArguments(const CLI::App& command) {
  std::vector<std::string> options;
  for (const CLI::Option* option : command.get_options()) {
    for (const std::string& name : option->get_lnames()) options.push_back("--" + name);
  }
  std::vector<std::string> flags, others;
  for (const std::string& argument : command.remaining()) {
    const std::string flag = argument.substr(0, argument.find('='));
    if (flag.starts_with("-")) {
      flags.push_back(Quoted(flag) + DidYouMean(flag, options));
    } else {
      others.push_back(Quoted(argument));
    }
  }
  // The value behind an unknown option is not counted as a second mistake.
  return UsageError(
      flags.empty() ? "unexpected argument " + Join(others) : "unknown option " + Join(flags),
      "; see `moefy ", command.get_name(), " --help`");
}

void ApplyThreads(int64_t threads) {
  constexpr int64_t kMaxThreads = 1024;
  if (threads < 0 || threads > kMaxThreads) {
    throw UsageError("--threads is ", threads, "; expected 0 (all) to ", kMaxThreads);
  }
  bench::UseThreads(static_cast<int>(threads));  // LibTorch's own default may be one thread
}

// Throws when the output could not be printed; `consequence` says what that means for the user.
void FlushStdout(const char* consequence = "") {
  std::cout.flush();
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout) || !std::cout) {
    throw SystemError(errno, "stdout cannot be written", consequence);
  }
}

void ShowNotes() {
  for (const std::string& note : TakeOutputNotes()) Warn(note);
}

void Print(const Command& command, const Context& context, Outcome outcome) {
  if (context.common.json) {
    Json document = {{"schema", "moefy/" + command.app()->get_name() + "/1"},
                     {"moefy_version", kVersion}};
    document.update(outcome.json);
    std::vector<std::string> paths = NonFinitePaths(document);
    if (!paths.empty()) {
      constexpr size_t kMostPaths = 5;
      const std::string more =
          paths.size() > kMostPaths ? StrCat(" and ", paths.size() - kMostPaths, " more") : "";
      paths.resize(std::min(paths.size(), kMostPaths));
      Warn(StrCat("figures that are not finite are null: ", Join(paths), more));
    }
    std::fputs(FormatJson(document).c_str(), stdout);
  } else {
    std::fputs(outcome.text.c_str(), stdout);
  }
  FlushStdout("; the command has done its work all the same, and what it wrote is complete");
  constexpr size_t kMostErrors = 100;
  for (size_t i = 0; i < std::min(context.errors.size(), kMostErrors); ++i) {
    SayError(context.errors[i]);
  }
  if (context.errors.size() > kMostErrors) {
    SayError(StrCat(context.errors.size() - kMostErrors, " more inputs failed"));
  }
  for (const std::string& warning : context.warnings) Warn(warning);
  if (!context.common.quiet && !outcome.next.empty()) {
    std::fprintf(stderr, "next: %s\n", outcome.next.c_str());
  }
}

// The life of a rank but the first of an MPI run.
void ServeRanks() {
  while (const std::optional<std::string> announced = Ranks::Get().NextJob()) {
    const Json json = ParseJson(*announced);
    json.at("stage") == kJobsStage ? ServeJobs(json) : pipeline::ServeStage(json);
  }
}

int RunProgram(int argc, char** argv) {
  CLI::App app(kDescription, "moefy");
  app.formatter(std::make_shared<HelpLayout>());  // commands inherit it
  app.require_subcommand(0, 1);
  app.set_version_flag("--version", std::string("moefy ") + kVersion);
  bool markdown = false;
  std::string shell, help_files;
  app.add_flag("--help-markdown", markdown, "the help of every command as Markdown");
  bool schema = false;
  app.add_flag("--recipe-schema", schema, "the JSON Schema of recipes");
  app.add_option("--completion", shell, "what bash, zsh or fish needs to complete commands");
  app.add_option("--help-files", help_files,
                 "write manual pages and completions into a directory, laid out as in share/");
  const auto commands = MakeCommands(app);
  if (argc < 2) {
    std::fputs(app.help().c_str(), stdout);
    FlushStdout();
    return 0;
  }
  if (argv[1][0] != '-') RefuseUnknownCommand(argv[1], commands);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {  // the user asked for help or the version
      app.exit(error);
      FlushStdout();
      return 0;
    }
    const auto chosen = app.get_subcommands();
    if (!chosen.empty() && !chosen[0]->remaining().empty()) throw UnexpectedArguments(*chosen[0]);
    throw UsageError(error.what(), "; see `moefy ",
                     chosen.empty() ? "" : chosen[0]->get_name() + " ", "--help`");
  }
  if (markdown || !shell.empty() || !help_files.empty()) {
    const std::vector<HelpPage> pages = HelpPages(app);
    if (!help_files.empty()) WriteHelpFiles(pages, help_files);
    if (markdown) std::fputs(MarkdownPage(pages).c_str(), stdout);
    if (!shell.empty()) std::fputs(GetShell(shell).completion(pages).c_str(), stdout);
    FlushStdout();
    return 0;
  }
  if (schema) {
    std::fputs(FormatJson(pipeline::RecipeSchema()).c_str(), stdout);
    FlushStdout();
    return 0;
  }
  for (const auto& command : commands) {
    if (!command->app()->parsed()) continue;
    command->ReadConfig();
    Context context;
    context.common = command->common();
    if (const std::string& most = context.common.max_memory; !most.empty()) {
      LimitMemory(ParseMemory(most, "max-memory"));
    }
    ApplyThreads(context.common.threads);
    ConsoleProgress progress(context.common.quiet);
    context.progress = &progress;
    Ranks::CheckBuilt();
    if (!Ranks::Get().IsFirst()) {
      ServeRanks();
      return 0;
    }
    if (context.common.wait) WaitForOutputs(Warn);
    if (const std::string warning = bench::BlasWarning(); !warning.empty()) {
      context.warnings.push_back(warning);
    }
    Outcome outcome = command->Run(context);
    ShowNotes();
    const int exit_code = outcome.exit_code;
    Print(*command, context, std::move(outcome));
    return exit_code;
  }
  std::fputs(app.help().c_str(), stdout);
  FlushStdout();
  return 0;
}

// Hides an error that may have arisen only because the process is ending.
int Fail(int exit_code, const std::string& message) {
  WaitIfEnding();
  ShowNotes();
  SayError(message);
  Ranks::Get().Abort(exit_code);  // the others would wait for this one
  return exit_code;
}

int RunGuarded(int argc, char** argv) {
  try {
    const int exit_code = RunProgram(argc, argv);
    Ranks::Get().Finish();
    return exit_code;
  } catch (const Error& error) {
    return Fail(ExitCode(error.kind()), error.what());
  } catch (const c10::Error& error) {
    const Error ours = model::FromTorch(error);
    return Fail(ExitCode(ours.kind()), ours.what());
  } catch (const std::bad_alloc&) {
    return Fail(kExitSystem, "out of memory");
  } catch (const std::exception& error) {
    return Fail(kExitBug, StrCat("internal error, please report it: ", error.what()));
  }
}

// The loader calls this before it initialises any library: after that LibTorch's start-up, the
// largest part of it, would be done twice.
[[gnu::section(".preinit_array"), gnu::used]] void (*const start_anew)(int, char**, char**) =
    [](int, char** argv, char** envp) { RestartWithShortWaits(argv, envp); };

}  // namespace
}  // namespace moefy::apps

int main(int argc, char** argv) {
  moefy::SetHeapPolicy(moefy::kProgramHeap);
  // If stdin is closed, the first file that is opened would become stdin; this one cannot be read.
  if (fcntl(STDIN_FILENO, F_GETFD) == -1) open("/dev/null", O_WRONLY);
  moefy::apps::WatchSignals();
  moefy::model::AvoidSlowBlasCore();
  const int exit_code = moefy::apps::RunGuarded(argc, argv);
  std::fflush(nullptr);
  // Destructors of LibTorch's globals would take 50 ms of every command to release what the system
  // takes back at once.
  std::_Exit(exit_code);
}
