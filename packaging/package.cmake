# cpack: a Debian package, and a tarball for other Linux systems. The version is that of project().
set(CACHIFY_MAINTAINER "The cachify developers <cachify@localhost>" CACHE STRING
  "who answers for the Debian package: NAME <ADDRESS>")

set(CPACK_PACKAGE_VENDOR "The cachify developers")
set(CPACK_PACKAGE_CONTACT "${CACHIFY_MAINTAINER}")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "run commands under locks and in counted slots")
set(CPACK_PACKAGE_DESCRIPTION
"Runs a command only when it is its turn: alone, or as one of at most N.
For cron jobs that must not overlap, builds and downloads that must not
all run at once, and scripts that share a device.
.
Slots are given first come, first served, and stay right when anything is
killed. They are kept on this machine without a daemon, or on a Redis
server for many machines.")
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGE_FILE_NAME
  "cachify-${PROJECT_VERSION}-linux-${CMAKE_SYSTEM_PROCESSOR}")

set(CPACK_GENERATOR TGZ)
find_program(DPKG_SHLIBDEPS dpkg-shlibdeps)
find_program(GZIP gzip)
if(DPKG_SHLIBDEPS AND GZIP)
  list(APPEND CPACK_GENERATOR DEB)
endif()
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SECTION utils)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
# Those of cachify-tls: libc6 and libssl3. cachify itself needs nothing. Not mere Recommends, as
# rediss:// would then end in a message of the dynamic loader's.
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "redis-server")
set(CPACK_PRE_BUILD_SCRIPTS ${CMAKE_CURRENT_LIST_DIR}/debian.cmake)
set(CPACK_PROJECT_CONFIG_FILE ${CMAKE_CURRENT_LIST_DIR}/per_generator.cmake)
set(CPACK_CACHIFY_SOURCE ${PROJECT_SOURCE_DIR})
set(CPACK_CACHIFY_GZIP ${GZIP})
set(CPACK_CACHIFY_MAINTAINER "${CACHIFY_MAINTAINER}")
include(CPack)
