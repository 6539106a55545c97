# Run by cpack when everything is installed in its scratch directory: what Debian wants otherwise.
if(NOT CPACK_GENERATOR STREQUAL DEB)
  return()
endif()
set(usr ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr)
set(doc ${usr}/share/doc/cachify)

function(run)
  execute_process(COMMAND ${ARGN} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

# Debian's zsh looks elsewhere than zsh itself.
file(MAKE_DIRECTORY ${usr}/share/zsh/vendor-completions)
file(RENAME ${usr}/share/zsh/site-functions/_cachify ${usr}/share/zsh/vendor-completions/_cachify)
file(REMOVE_RECURSE ${usr}/share/zsh/site-functions)

# The day of this version.
file(STRINGS ${CPACK_CACHIFY_SOURCE}/CHANGELOG.md entry LIMIT_COUNT 1
  REGEX "^## ${CPACK_PACKAGE_VERSION} - [0-9-]+$")
string(REGEX MATCH "[0-9-]+$" day "${entry}")
if(NOT day)
  message(FATAL_ERROR "CHANGELOG.md has no \"## ${CPACK_PACKAGE_VERSION} - YYYY-MM-DD\"")
endif()
string(SUBSTRING ${day} 0 4 year)

file(READ ${CPACK_CACHIFY_SOURCE}/LICENSE license)
string(REGEX REPLACE "^MIT License\n\n(Copyright[^\n]*)\n\n" "" terms "${license}")
string(REGEX MATCH "Copyright \\(c\\) ([^\n]*)" holder "${license}")
set(holder ${CMAKE_MATCH_1})
string(REGEX REPLACE "\n\n" "\n.\n" terms "${terms}")
string(REGEX REPLACE "\n([^\n])" "\n \\1" terms "${terms}")
file(WRITE ${doc}/copyright
"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: cachify

Files: *
Copyright: ${year} ${holder}
License: Expat

License: Expat
 ${terms}")
file(REMOVE ${doc}/LICENSE)

execute_process(COMMAND date -u -R -d ${day} OUTPUT_VARIABLE date OUTPUT_STRIP_TRAILING_WHITESPACE
  COMMAND_ERROR_IS_FATAL ANY)
file(WRITE ${doc}/changelog.Debian
"cachify (${CPACK_PACKAGE_VERSION}-1) unstable; urgency=medium

  * Version ${CPACK_PACKAGE_VERSION}: see changelog.gz.

 -- ${CPACK_CACHIFY_MAINTAINER}  ${date}
")
file(RENAME ${doc}/CHANGELOG.md ${doc}/changelog)
file(GLOB pages ${usr}/share/man/man*/*)
run(${CPACK_CACHIFY_GZIP} -9n ${pages} ${doc}/changelog ${doc}/changelog.Debian)

file(COPY_FILE ${CPACK_CACHIFY_SOURCE}/packaging/lintian-overrides ${doc}/overrides)
file(MAKE_DIRECTORY ${usr}/share/lintian/overrides)
file(RENAME ${doc}/overrides ${usr}/share/lintian/overrides/cachify)
