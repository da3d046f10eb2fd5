# What `cmake --install` puts where. A program outside the tree says find_package(siglane CONFIG) and
# links siglane::runtime and siglane::diameter (or siglane::m3ua), or asks pkg-config for
# siglane-runtime and siglane-diameter. docs/examples/charging is one.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/siglane)
set(rooms core transport diameter m3ua runtime)
foreach(room ${rooms})
  set_target_properties(siglane_${room} PROPERTIES EXPORT_NAME ${room})
  install(TARGETS siglane_${room} EXPORT siglane
          INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
endforeach()
set_target_properties(siglane_proto PROPERTIES EXPORT_NAME proto)
install(TARGETS siglane_proto EXPORT siglane)
foreach(header ${copies})  # not the directory: it may hold some that were public once
  cmake_path(GET header PARENT_PATH room)
  cmake_path(RELATIVE_PATH room BASE_DIRECTORY ${siglane_include})
  install(FILES ${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/${room})
endforeach()

install(EXPORT siglane NAMESPACE siglane:: FILE siglaneTargets.cmake DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/siglaneConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_LIST_DIR}/siglaneConfig.cmake
        ${PROJECT_BINARY_DIR}/siglaneConfigVersion.cmake DESTINATION ${package})

# The libraries are static: whoever links one needs all that it needs.
function(siglane_pc room description)
  cmake_parse_arguments(arg "" "LIBS" "REQUIRES" ${ARGN})
  set(name siglane-${room})
  list(JOIN arg_REQUIRES " " requires)
  set(libs "-L\${libdir} -lsiglane_${room} ${arg_LIBS}")
  file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
  configure_file(${PROJECT_SOURCE_DIR}/scripts/cmake/siglane.pc.in
                 ${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/pkgconfig/${name}.pc
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endfunction()
siglane_pc(core "Signaling nodes: sessions, shards, routing")
siglane_pc(diameter "Diameter (RFC 6733) for Siglane" REQUIRES siglane-core)
siglane_pc(m3ua "M3UA (RFC 4666) for Siglane" REQUIRES siglane-core)
siglane_pc(transport "SCTP with peel-off, TCP and TLS for Siglane"
           REQUIRES siglane-core libuv usrsctp openssl LIBS "-lsctp")
siglane_pc(runtime "Daemons on Siglane: config, shards, logs, administration"
           REQUIRES siglane-transport siglane-diameter siglane-m3ua protobuf fmt spdlog
                    libmicrohttpd libsystemd
           LIBS "-lsiglane_proto -pthread")

install(TARGETS siglane-hss siglane-stp siglane-load siglanectl)
# Example configs, their JSON Schema, the Diameter dictionaries; the admin API's schema.
install(DIRECTORY config/ DESTINATION ${CMAKE_INSTALL_DATADIR}/siglane PATTERN systemd EXCLUDE)
foreach(daemon siglane-hss siglane-stp)
  configure_file(config/systemd/${daemon}.service.in ${PROJECT_BINARY_DIR}/systemd/${daemon}.service @ONLY)
  install(FILES ${PROJECT_BINARY_DIR}/systemd/${daemon}.service DESTINATION lib/systemd/system)
endforeach()
install(DIRECTORY proto DESTINATION ${CMAKE_INSTALL_DATADIR}/siglane
        FILES_MATCHING PATTERN "*.proto")
install(FILES apps/ctl/completion.bash RENAME siglanectl
        DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/siglane)
install(DIRECTORY docs/examples DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/siglane)
