# SPDX-License-Identifier: Apache-2.0
# What `cmake --install` puts where; the command's rule is in cli/. Included by the top list behind
# the targets. The prefix may be chosen at install time: nothing here names one.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(pinion_cmake_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pinion)
file(RELATIVE_PATH PINION_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/pinion.pc.in pinion.pc @ONLY)
configure_file(cmake/pinion-http.pc.in pinion-http.pc @ONLY)
configure_package_config_file(cmake/pinion-config.cmake.in pinion-config.cmake
	INSTALL_DESTINATION ${pinion_cmake_dir})
write_basic_package_version_file(pinion-config-version.cmake COMPATIBILITY SameMinorVersion)

install(TARGETS pinion pinion-http EXPORT pinion-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(TARGETS pinion-static)
install(EXPORT pinion-targets NAMESPACE pinion:: DESTINATION ${pinion_cmake_dir})
install(FILES ${PROJECT_BINARY_DIR}/pinion-config.cmake
	${PROJECT_BINARY_DIR}/pinion-config-version.cmake DESTINATION ${pinion_cmake_dir})
install(FILES ${PROJECT_BINARY_DIR}/pinion.pc ${PROJECT_BINARY_DIR}/pinion-http.pc
	DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
install(FILES docs/man/pinion.1 DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES core/pinion.h core/pinion_declare.h core/pinion_face.h ingress/http/pinion_http.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/pinion)
