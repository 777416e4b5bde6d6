# LibTorch under one name, moefy_torch, whatever its version: used by this build and by
# moefyConfig.cmake. Imported, because its headers are not ours to warn about and its paths not ours
# to export. MOEFY_TORCH_FROM says where it is:
#   system  what find_package(Torch) finds: Debian's, or with CMAKE_PREFIX_PATH another one
#   pip     inside the torch package of the python3 that CMake finds
#   PATH    an unpacked archive (".../libtorch"), or a torch package (".../site-packages/torch")
#   auto    system if there is one, else pip
# Afterwards MOEFY_TORCH_FOUND is `system` or a PATH. Of pip's and a PATH's LibTorch the headers and
# the CPU's libraries are used; its own CMake config would insist on a CUDA toolkit that fits it.

# Sets `result` to the directory of python3's torch package, or to "".
function(moefy_find_pip_torch result)
  find_package(Python3 QUIET COMPONENTS Interpreter)
  set(directory "")
  if(Python3_Interpreter_FOUND)
    execute_process(
      COMMAND
        ${Python3_EXECUTABLE} -c
        "import importlib.util as u; t = u.find_spec('torch'); print(t.submodule_search_locations[0] if t else '')"
      OUTPUT_VARIABLE directory OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  set(${result} "${directory}" PARENT_SCOPE)
endfunction()

# Defines moefy_torch as the headers and the CPU's libraries in `directory`.
function(moefy_torch_in directory)
  find_library(torch_cpu torch_cpu PATHS ${directory}/lib NO_DEFAULT_PATH NO_CACHE)
  find_library(c10 c10 PATHS ${directory}/lib NO_DEFAULT_PATH NO_CACHE)
  if(NOT torch_cpu OR NOT c10 OR NOT EXISTS ${directory}/include/ATen/ATen.h)
    message(FATAL_ERROR "MOEFY_TORCH_FROM: no LibTorch in ${directory}; wanted lib/libtorch_cpu.so, "
                        "lib/libc10.so and include/ATen there, as in an unpacked archive (libtorch) "
                        "or in site-packages/torch")
  endif()
  set(old_abi "")
  if(EXISTS ${directory}/share/cmake/Torch/TorchConfig.cmake)
    file(STRINGS ${directory}/share/cmake/Torch/TorchConfig.cmake old_abi REGEX "CXX11_ABI=0")
  endif()
  if(old_abi)
    message(FATAL_ERROR "MOEFY_TORCH_FROM: the LibTorch in ${directory} was built with the C++ ABI "
                        "before GCC 5, and other libraries are not; use the archive whose name has "
                        "cxx11-abi, or torch 2.6 or later from pip")
  endif()
  set(api ${directory}/include/torch/csrc/api/include)
  set(version "")
  foreach(part MAJOR MINOR PATCH)
    foreach(file ${api}/torch/version.h ${directory}/include/torch/headeronly/version.h)
      if(EXISTS ${file})
        file(STRINGS ${file} line REGEX "^#define TORCH_VERSION_${part} +[0-9]+")
        string(REGEX MATCH "[0-9]+" number "${line}")
        list(APPEND version ${number})
      endif()
    endforeach()
  endforeach()
  list(JOIN version "." version)
  message(STATUS "LibTorch ${version}, for the CPU, from ${directory}")
  add_library(moefy_torch INTERFACE IMPORTED GLOBAL)
  target_link_libraries(moefy_torch INTERFACE ${torch_cpu} ${c10})
  target_include_directories(moefy_torch SYSTEM INTERFACE ${directory}/include ${api})
endfunction()

if(NOT DEFINED MOEFY_TORCH_FROM)
  set(MOEFY_TORCH_FROM auto)
endif()
set(MOEFY_TORCH_FOUND ${MOEFY_TORCH_FROM})
if(MOEFY_TORCH_FROM STREQUAL "auto")
  find_package(Torch QUIET)
  set(MOEFY_TORCH_FOUND system)
  if(NOT Torch_FOUND)
    moefy_find_pip_torch(directory)
    if(directory)
      set(MOEFY_TORCH_FOUND ${directory})
    endif()
  endif()
elseif(MOEFY_TORCH_FROM STREQUAL "pip")
  moefy_find_pip_torch(MOEFY_TORCH_FOUND)
  if(NOT MOEFY_TORCH_FOUND)
    message(FATAL_ERROR "MOEFY_TORCH_FROM is pip, but ${Python3_EXECUTABLE} has no torch package; "
                        "run pip install torch for it, or name another with -DPython3_EXECUTABLE=")
  endif()
endif()
if(NOT TARGET moefy_torch AND MOEFY_TORCH_FOUND STREQUAL "system")
  find_package(Torch REQUIRED)
  add_library(moefy_torch INTERFACE IMPORTED)
  target_link_libraries(moefy_torch INTERFACE ${TORCH_LIBRARIES})
  target_include_directories(moefy_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
  separate_arguments(moefy_torch_flags UNIX_COMMAND "${TORCH_CXX_FLAGS}")
  target_compile_options(moefy_torch INTERFACE ${moefy_torch_flags})
elseif(NOT TARGET moefy_torch)
  moefy_torch_in(${MOEFY_TORCH_FOUND})
endif()
