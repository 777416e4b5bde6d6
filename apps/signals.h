// How the process ends before its time: asked to by a signal, or because a mapped file is gone.
#pragma once

namespace moefy::apps {

// Call once, first thing in main: threads that start later inherit what it sets up.
//
// SIGINT, SIGTERM and SIGHUP (unless it is ignored, as under nohup) ask the work to stop, which it
// mostly does by itself within a fraction of a second. Where it does not, because it is inside a
// large product or a library's algorithm, or on a second signal, the process removes what it has
// staged and exits with 130. No output is ever half under its final name.
//
// A mapped file that became shorter while it is read ends the process with 4 and the file's name.
void WatchSignals();

// For threads that failed because the process is ending: waits for the end.
void WaitIfEnding();

}  // namespace moefy::apps
