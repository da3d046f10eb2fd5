# How everything is compiled, and programs are linked, so that a mistake in them is hard to make use
# of: tests/component/install/hardening_test.py looks at the programs. Not with sanitizers, which
# have checks of their own in the same places.
option(SIGLANE_HARDENING "Position-independent programs, RELRO, stack protector, checked copies" ON)

add_library(siglane_hardening INTERFACE)  # of what is compiled
add_library(siglane_program INTERFACE)    # of the programs that are installed
if(SIGLANE_SANITIZE OR SIGLANE_FUZZ OR NOT SIGLANE_HARDENING)
  return()
endif()

include(CheckCXXCompilerFlag)
target_compile_options(siglane_hardening INTERFACE -fPIE -fstack-protector-strong)
# glibc's checked copies need optimisation, and warn without.
set(optimised "$<CONFIG:Release,RelWithDebInfo,MinSizeRel>")
if(CMAKE_CXX_FLAGS MATCHES "-O[1-9sfz]")
  set(optimised 1)
endif()
target_compile_options(siglane_hardening INTERFACE
  "$<${optimised}:-U_FORTIFY_SOURCE;-D_FORTIFY_SOURCE=2>")
check_cxx_compiler_flag(-fcf-protection SIGLANE_CF_PROTECTION)  # x86
if(SIGLANE_CF_PROTECTION)
  target_compile_options(siglane_hardening INTERFACE -fcf-protection)
endif()
target_link_options(siglane_program INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack)
