// The process may end before its work does: a signal asks it to, or a mapped file is gone.
#pragma once

namespace moefy::apps {

// Must be called once, first thing in main, because threads that start later inherit what it sets
// up.
//
// SIGINT, SIGTERM and SIGHUP (unless it is ignored, as under nohup) ask the work to stop, which it
// mostly does by itself within a fraction of a second. Where it does not, because it is inside a
// large product or a library's algorithm, or on a second signal, the process removes what it has
// staged and exits with 130. No output is ever half under its final name.
//
// A mapped file that became shorter while it is read ends the process with 4 and the file's name.
void WatchSignals();

// Waits for the end of a process that is ending; for threads that failed because of it.
void WaitIfEnding();

}  // namespace moefy::apps
