# What users get: the headers, the libraries as moefy::<name>, the package config, and the program.
# Two export sets, so that the layers without LibTorch can be used without it.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(MOEFY_CONFIG_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/moefy)

foreach(layer base io text task readers)
  set_target_properties(moefy_${layer} PROPERTIES EXPORT_NAME ${layer})
  install(TARGETS moefy_${layer} EXPORT moefyCoreTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
endforeach()
install(EXPORT moefyCoreTargets NAMESPACE moefy:: DESTINATION ${MOEFY_CONFIG_DIR})
if(MOEFY_TORCH)
  install(TARGETS moefy EXPORT moefyTorchTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(EXPORT moefyTorchTargets NAMESPACE moefy:: DESTINATION ${MOEFY_CONFIG_DIR})
  install(FILES ${PROJECT_SOURCE_DIR}/cmake/MoefyTorch.cmake ${PROJECT_SOURCE_DIR}/cmake/FindMETIS.cmake
          DESTINATION ${MOEFY_CONFIG_DIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/moefy DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
if(TARGET moefy_cli)
  include(${CMAKE_CURRENT_LIST_DIR}/InstallProgram.cmake)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/moefyConfig.cmake.in
                              ${PROJECT_BINARY_DIR}/moefyConfig.cmake
                              INSTALL_DESTINATION ${MOEFY_CONFIG_DIR})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/moefyConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/moefyConfig.cmake ${PROJECT_BINARY_DIR}/moefyConfigVersion.cmake
        DESTINATION ${MOEFY_CONFIG_DIR})
