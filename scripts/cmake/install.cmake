# What `cmake --install` puts where. A program outside the tree says find_package(siglane CONFIG),
# links siglane::runtime and siglane::diameter (or siglane::m3ua), and includes as we do:
# "core/shard.h". docs/examples/charging is one.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(headers ${CMAKE_INSTALL_INCLUDEDIR}/siglane)
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/siglane)

foreach(room core transport protocols/diameter protocols/m3ua apps/runtime)
  cmake_path(GET room FILENAME name)
  set_target_properties(siglane_${name} PROPERTIES EXPORT_NAME ${name})
  install(TARGETS siglane_${name} EXPORT siglane INCLUDES DESTINATION ${headers})
  install(DIRECTORY ${room}/ DESTINATION ${headers}/${room} FILES_MATCHING PATTERN "*.h")
endforeach()
install(FILES ${CMAKE_BINARY_DIR}/generated/protocols/diameter/constants.h
        DESTINATION ${headers}/protocols/diameter)

set_target_properties(siglane_proto PROPERTIES EXPORT_NAME proto)
install(TARGETS siglane_proto EXPORT siglane INCLUDES DESTINATION ${headers})
install(DIRECTORY ${CMAKE_BINARY_DIR}/generated/proto DESTINATION ${headers}
        FILES_MATCHING PATTERN "*.h")

install(EXPORT siglane NAMESPACE siglane:: FILE siglaneTargets.cmake DESTINATION ${package})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/siglaneConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/siglaneConfig.cmake
        ${CMAKE_BINARY_DIR}/siglaneConfigVersion.cmake DESTINATION ${package})

install(TARGETS siglane-hss siglane-stp siglane-load siglanectl)
# Example configs, their JSON Schema, the Diameter dictionaries; the admin API's schema.
install(DIRECTORY config/ DESTINATION ${CMAKE_INSTALL_DATADIR}/siglane)
install(DIRECTORY proto DESTINATION ${CMAKE_INSTALL_DATADIR}/siglane
        FILES_MATCHING PATTERN "*.proto")
