# cmake -DBUILD_DIR=... -DWORK_DIR=... -DCOMPONENTS=io -DGENERATOR=... -DCOMPILER=... -DFLAGS=...
#       -P run_consumer.cmake
# Installs the build to a prefix under WORK_DIR, then configures, builds and runs projects that find
# it there: the one beside this file and, with LibTorch, examples/embed.
cmake_minimum_required(VERSION 3.25)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

function(build source binary)
  run(${CMAKE_COMMAND} -S ${source} -B ${binary} -G ${GENERATOR}
      -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix -DCMAKE_CXX_COMPILER=${COMPILER}
      -DCMAKE_CXX_FLAGS=${FLAGS} ${ARGN})
  run(${CMAKE_COMMAND} --build ${binary})
endfunction()

# embed_says(<text> <word>): the example's answer to a text of the quickstart's task.
function(embed_says text word)
  execute_process(COMMAND ${WORK_DIR}/embed/embed ${WORK_DIR}/moe ${text} OUTPUT_VARIABLE answer
                  OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  if(NOT answer STREQUAL word)
    message(FATAL_ERROR "examples/embed answers '${answer}' to '${text}'; expected '${word}'")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK_DIR})
file(MAKE_DIRECTORY ${WORK_DIR}/data)
run(${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)
build(${CMAKE_CURRENT_LIST_DIR} ${WORK_DIR}/build -DCOMPONENTS=${COMPONENTS})
run(${WORK_DIR}/build/consumer ${WORK_DIR}/data)
if("moefy" IN_LIST COMPONENTS)
  set(examples ${CMAKE_CURRENT_LIST_DIR}/../../examples)
  build(${examples}/embed ${WORK_DIR}/embed)
  run(${WORK_DIR}/prefix/bin/moefy split ${examples}/quickstart/model --expert-size 32 --out
      ${WORK_DIR}/moe --quiet)
  embed_says("sentiment: nobody enjoyed the music ." "negative")
  embed_says("sentiment: nothing about the plot was dull ." "positive")
endif()
