# cmake -DFROM=HEADER -DTO=COPY -P copy_header.cmake: see headers.cmake.
file(READ ${FROM} text)
string(REGEX REPLACE "#include \"(apps|protocols)/([^\"]+)\"" "#include \"siglane/\\2\"" text "${text}")
string(REGEX REPLACE "#include \"(core|transport)/([^\"]+)\"" "#include \"siglane/\\1/\\2\"" text
       "${text}")
file(WRITE ${TO} "${text}")
