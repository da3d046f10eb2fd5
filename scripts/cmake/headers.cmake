# What programs outside the tree include: <siglane/ROOM/FILE.h>, installed or by add_subdirectory().
# In the tree these headers lie in their rooms, beside those that are nobody else's business, and
# include each other from the root on. So each is copied to include/siglane of the build tree with
# its own includes turned around, and is installed from there.
set(public_headers
  core/association.h core/backoff.h core/balance.h core/buffer.h core/bytes.h core/config.h
  core/counters.h core/deadlines.h core/directory.h core/diversion.h core/drops.h core/facts.h
  core/histogram.h core/mailbox.h core/outbound.h core/peer_table.h core/protocol.h core/random.h
  core/result.h core/shard.h core/snapshot.h core/time.h core/transport.h
  transport/loop.h transport/peeloff_policy.h transport/traffic_meter.h transport/uv_handles.h
  protocols/diameter/answers.h protocols/diameter/application.h protocols/diameter/avp.h
  protocols/diameter/config.h protocols/diameter/dictionary.h protocols/diameter/message.h
  protocols/diameter/module.h protocols/diameter/parcels.h protocols/diameter/routing.h
  protocols/m3ua/asp_client.h protocols/m3ua/config.h protocols/m3ua/control.h
  protocols/m3ua/message.h protocols/m3ua/module.h protocols/m3ua/parameters.h
  protocols/m3ua/parcels.h protocols/m3ua/route_table.h
  apps/runtime/config.h apps/runtime/config_reader.h apps/runtime/daemon.h
  apps/runtime/diameter_config.h apps/runtime/fact_log.h apps/runtime/fact_text.h
  apps/runtime/json_document.h apps/runtime/m3ua_config.h apps/runtime/node.h
  apps/runtime/store_thread.h
)

set(siglane_include ${PROJECT_BINARY_DIR}/include)
set(copies)
function(siglane_public_header from)
  cmake_path(GET from FILENAME file)
  cmake_path(GET from PARENT_PATH room)
  cmake_path(GET room FILENAME room)
  set(copy ${siglane_include}/siglane/${room}/${file})
  set(script ${PROJECT_SOURCE_DIR}/scripts/cmake/copy_header.cmake)
  add_custom_command(OUTPUT ${copy}
    COMMAND ${CMAKE_COMMAND} -DFROM=${from} -DTO=${copy} -P ${script}
    DEPENDS ${from} ${script} ${ARGN} VERBATIM)
  set(copies ${copies} ${copy} PARENT_SCOPE)
endfunction()
foreach(header ${public_headers})
  siglane_public_header(${PROJECT_SOURCE_DIR}/${header})
endforeach()
siglane_public_header(${PROJECT_BINARY_DIR}/generated/protocols/diameter/constants.h
                      siglane_diameter_dictionary)

add_custom_target(siglane_headers ALL DEPENDS ${copies})
# Whoever links a room is compiled after they are there.
add_dependencies(siglane_core siglane_headers)
