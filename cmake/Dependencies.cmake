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
  include(${CMAKE_CURRENT_LIST_DIR}/MoefyTorch.cmake)
endif()

if(MOEFY_TESTS)
  find_package(GTest REQUIRED)
  # Optional: a test compares our SentencePiece with the library. Never linked with LibTorch.
  pkg_check_modules(sentencepiece IMPORTED_TARGET sentencepiece)
endif()
