// How long OpenMP's threads spin before they sleep, when they wait for each other.
// docs/decisions/0017-ground.md says what was measured.
#pragma once

namespace moefy::apps {

// Starts the program anew with GOMP_SPINCOUNT in its environment; returns if the variable, or
// OMP_WAIT_POLICY, is there already, or if that cannot be done, which costs speed only. GNU's
// OpenMP reads its variables when it is loaded, and has no call to change this. To be called before
// anything is initialised, libc's environment included: `argv` and `envp` are the loader's.
void RestartWithShortWaits(char** argv, char** envp);

}  // namespace moefy::apps
