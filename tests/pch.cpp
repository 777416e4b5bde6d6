// Only here to own the tests' precompiled header.
