// The names of activations in config files, in moefy.json and in reports. Pure functions,
// thread-safe. Source: Hugging Face transformers, activations.py (ACT2FN); fatrelu: ProSparse.
#pragma once

#include <string>

#include "moefy/model/config.h"

namespace moefy::model {

// "relu", "gelu_tanh", "fatrelu(0.01)", "relu_both": ParseActivation() reads them back.
std::string ActivationName(const Activation& activation);

// The activation that config files call `name` ("relu", "gelu", "gelu_new", "silu", ...), or that
// ActivationName() does. Throws Error{kInput} for any other name; the message begins with `where`
// and lists the names.
Activation ParseActivation(const std::string& name, const std::string& where);

}  // namespace moefy::model
