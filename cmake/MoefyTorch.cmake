# LibTorch under one name, whatever its version: used by this build and by moefyConfig.cmake.
# Imported, because its headers are not ours to warn about and its paths not ours to export.
find_package(Torch REQUIRED)
if(NOT TARGET moefy_torch)
  add_library(moefy_torch INTERFACE IMPORTED)
  target_link_libraries(moefy_torch INTERFACE ${TORCH_LIBRARIES})
  target_include_directories(moefy_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  separate_arguments(moefy_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(moefy_torch INTERFACE ${moefy_torch_flags})
endif()
