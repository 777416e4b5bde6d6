# The program and what comes with it: manual pages, completions, tasks, recipes and the quickstart's
# model. `cmake --install` installs all of it, `cpack -G DEB` makes a Debian package of it alone.
set(MOEFY_SHARE_DIR ${PROJECT_BINARY_DIR}/share)
add_custom_command(
  OUTPUT ${MOEFY_SHARE_DIR}.stamp
  COMMAND moefy_cli --help-files ${MOEFY_SHARE_DIR}
  COMMAND ${CMAKE_COMMAND} -E touch ${MOEFY_SHARE_DIR}.stamp
  DEPENDS moefy_cli
  COMMENT "Writing manual pages and completions")
add_custom_target(moefy_share ALL DEPENDS ${MOEFY_SHARE_DIR}.stamp)

set(MOEFY_DATA_DIR ${CMAKE_INSTALL_DATADIR}/moefy)

install(TARGETS moefy_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(DIRECTORY ${MOEFY_SHARE_DIR}/man/ DESTINATION ${CMAKE_INSTALL_MANDIR} COMPONENT program)
install(DIRECTORY ${MOEFY_SHARE_DIR}/bash-completion ${MOEFY_SHARE_DIR}/fish
        DESTINATION ${CMAKE_INSTALL_DATADIR} COMPONENT program)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/configs DESTINATION ${MOEFY_DATA_DIR} COMPONENT program)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/examples/quickstart DESTINATION ${MOEFY_DATA_DIR}/examples
        COMPONENT program FILES_MATCHING PATTERN *.json PATTERN data/* PATTERN model/*)

# Debian's zsh looks in another place below /usr than below /usr/local.
set(zsh_completion ${MOEFY_SHARE_DIR}/zsh/site-functions/_moefy)
install(FILES ${zsh_completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/site-functions
        COMPONENT zsh)
install(FILES ${zsh_completion} DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions
        COMPONENT debian EXCLUDE_FROM_ALL)
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/moefy
        RENAME copyright COMPONENT debian EXCLUDE_FROM_ALL)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The moefy authors")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "turns dense Transformers into mixtures of experts")
set(CPACK_COMPONENTS_ALL program debian)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# LibTorch multiplies through whatever BLAS there is, and without this one slowly.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS libopenblas0-openmp)
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
    "moefy splits the feed-forward networks of a trained Transformer into experts,
trains routers for them, and runs the result computing only the neurons that
each token needs. It reads Hugging Face checkpoints and runs on CPUs.")
include(CPack)
