# Every third-party package, in one place. Which room may use which is written in docs/rooms.json.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(nlohmann_json 3.10 REQUIRED)
find_package(ICU REQUIRED COMPONENTS uc i18n)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)

if(MOEFY_MPI)
  find_package(MPI REQUIRED COMPONENTS CXX)
endif()

if(MOEFY_TORCH)
  find_package(Eigen3 3.4 REQUIRED NO_MODULE)
  find_package(CLI11 2 REQUIRED)
  pkg_check_modules(hwy REQUIRED IMPORTED_TARGET libhwy)
  list(APPEND CMAKE_MODULE_PATH ${CMAKE_CURRENT_LIST_DIR})
  find_package(METIS REQUIRED)
  find_package(OpenMP REQUIRED COMPONENTS CXX)
  include(${CMAKE_CURRENT_LIST_DIR}/MoefyTorch.cmake)
  # What is installed finds a LibTorch that lies where no loader looks by itself. The first takes
  # all places but those in our own tree, where pip's may be.
  set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
  if(NOT MOEFY_TORCH_FOUND STREQUAL "system")
    set(CMAKE_INSTALL_RPATH ${MOEFY_TORCH_FOUND}/lib)
  endif()
endif()

# The example's generator trains its vocabulary with the SentencePiece library, and a test compares
# our segmentation with it where it is there. Nothing that uses it may link LibTorch:
# docs/decisions/0002-own-sentencepiece.md.
if(MOEFY_TORCH AND MOEFY_EXAMPLES)
  pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)
elseif(MOEFY_TESTS)
  pkg_check_modules(sentencepiece IMPORTED_TARGET sentencepiece)
endif()

if(MOEFY_TESTS)
  find_package(GTest REQUIRED)
endif()
