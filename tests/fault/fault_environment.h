#pragma once

// Reads what is to fail from the environment (see fault_injection.cpp) and counts calls anew.
void ReadFaultEnvironment();
