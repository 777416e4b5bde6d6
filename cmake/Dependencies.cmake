# Every third-party package, in one place. Which layer may use which is written in docs/architecture.md.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

if(MOEFY_TORCH)
  find_package(Eigen3 3.4 REQUIRED NO_MODULE)
  find_package(CLI11 2 REQUIRED)
  find_package(spdlog REQUIRED)
  pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  find_package(Torch REQUIRED)
  # One name for LibTorch whatever its version; its headers are not ours to warn about.
  add_library(moefy_torch INTERFACE)
  target_link_libraries(moefy_torch INTERFACE ${TORCH_LIBRARIES})
  target_include_directories(moefy_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  separate_arguments(moefy_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(moefy_torch INTERFACE ${moefy_torch_flags})
endif()

if(MOEFY_TESTS)
  find_package(GTest REQUIRED)
  # Optional: a test compares our SentencePiece with the library. Never linked with LibTorch.
  pkg_check_modules(sentencepiece IMPORTED_TARGET sentencepiece)
endif()
