# moefy_flags carries what every target of ours is compiled with. It is linked as
# $<BUILD_INTERFACE:moefy_flags>, so that it is never exported to users of the library.
add_library(moefy_flags INTERFACE)
target_compile_options(moefy_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion
                                             -Wno-sign-conversion -Wnon-virtual-dtor -Woverloaded-virtual)
if(MOEFY_UNITY)
  # Types of an anonymous namespace are private to a file though files are compiled in groups.
  target_compile_options(moefy_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-subobject-linkage>)
endif()
if(MOEFY_WERROR)
  target_compile_options(moefy_flags INTERFACE -Werror)
endif()
if(MOEFY_SANITIZE)
  target_compile_options(moefy_flags INTERFACE -fsanitize=${MOEFY_SANITIZE} -fno-omit-frame-pointer
                                               -fno-sanitize-recover=all
                                               # g++ 12 cries wolf in the standard library's own
                                               # code (std::function, std::regex) when it sanitizes.
                                               $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)
  target_link_options(moefy_flags INTERFACE -fsanitize=${MOEFY_SANITIZE})
endif()
