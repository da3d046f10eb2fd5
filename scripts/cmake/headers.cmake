# What programs outside the tree include: <siglane/ROOM/FILE.h>, installed or by add_subdirectory().
# A room has the name of its folder below apps/ and protocols/, and may have folders of its own.
# In the tree these headers lie in their rooms, beside those that are nobody else's business, and
# include each other from the root on. So each is copied to include/siglane of the build tree with
# its own includes turned around, and is installed from there.
#
# These are the ones to include; with them go those that they need, and no others.
set(todo
  core/buffer.h core/bytes.h core/framing.h core/histogram.h core/module.h core/parcel.h
  core/random.h core/result.h core/session.h core/shard.h core/time.h
  transport/loop/loop.h
  protocols/diameter/answers.h protocols/diameter/application.h protocols/diameter/avp.h
  protocols/diameter/config.h protocols/diameter/dictionary.h protocols/diameter/door.h
  protocols/diameter/message.h
  protocols/diameter/module.h
  protocols/m3ua/asp_client.h protocols/m3ua/config.h protocols/m3ua/control.h
  protocols/m3ua/message.h protocols/m3ua/module.h
  apps/runtime/config.h apps/runtime/daemon.h apps/runtime/diameter_config.h
  apps/runtime/diameter_daemon.h
  apps/runtime/fact_log.h apps/runtime/m3ua_config.h apps/runtime/node.h
)
set(public_headers)
while(todo)
  list(POP_FRONT todo header)
  if(header IN_LIST public_headers OR NOT EXISTS ${PROJECT_SOURCE_DIR}/${header})
    continue()  # seen already, or generated
  endif()
  list(APPEND public_headers ${header})
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} included REGEX "^#include \"")
  list(TRANSFORM included REPLACE "^#include \"([^\"]+)\".*" "\\1")
  list(APPEND todo ${included})
endwhile()
# One that comes to need another.
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${public_headers})

set(siglane_include ${PROJECT_BINARY_DIR}/include)
set(copies)
function(siglane_public_header top header)
  set(from ${top}/${header})
  string(REGEX REPLACE "^(apps|protocols)/" "" copy ${header})
  set(copy ${siglane_include}/siglane/${copy})
  set(script ${PROJECT_SOURCE_DIR}/scripts/cmake/copy_header.cmake)
  add_custom_command(OUTPUT ${copy}
    COMMAND ${CMAKE_COMMAND} -DFROM=${from} -DTO=${copy} -P ${script}
    DEPENDS ${from} ${script} ${ARGN} VERBATIM)
  set(copies ${copies} ${copy} PARENT_SCOPE)
endfunction()
foreach(header ${public_headers})
  siglane_public_header(${PROJECT_SOURCE_DIR} ${header})
endforeach()
siglane_public_header(${PROJECT_BINARY_DIR}/generated protocols/diameter/constants.h
                      siglane_diameter_dictionary)

add_custom_target(siglane_headers ALL DEPENDS ${copies})
# Whoever links a room is compiled after they are there.
add_dependencies(siglane_core siglane_headers)
