# Makes ${redis_scripts}, a C++ source that holds the Lua scripts and their SHA1 sums.
set(scripts_folder ${PROJECT_SOURCE_DIR}/src/store/redis/scripts)
set(redis_script_definitions "")
set(redis_script_sums "")
file(READ ${scripts_folder}/common.lua common)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${scripts_folder}/common.lua)
foreach(name IN ITEMS Take Keep Free Settle Size Look Set Dismiss End Summary Rights Probe Catalogue
        Change Map)
  string(TOLOWER ${name} file)
  file(READ ${scripts_folder}/${file}.lua body)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${scripts_folder}/${file}.lua)
  set(before "${common}")
  if(name MATCHES "^(Size|Summary|Rights|Map)$")
    set(before "")
  endif()
  # Comments are for the reader of the source.
  string(REGEX REPLACE "(^|\n)--[^\n]*" "" text "\n${before}\n${body}")
  string(STRIP "${text}" text)
  string(SHA1 sum "${text}")
  string(APPEND redis_script_definitions
    "const Script k${name}{\"${sum}\", R\"lua(${text})lua\"};\n\n")
  if(name MATCHES "^(Take|Free)$")
    string(APPEND redis_script_sums "inline constexpr char k${name}Sum[] = \"${sum}\";\n")
  endif()
endforeach()
set(redis_scripts ${PROJECT_BINARY_DIR}/generated/redis_scripts.cpp)
configure_file(${PROJECT_SOURCE_DIR}/src/store/redis/scripts.cpp.in ${redis_scripts} @ONLY)
# For the quick start, which needs no more of them.
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/redis_script_sums.h @ONLY CONTENT
"// Made by CMake from src/store/redis/scripts/*.lua.
#pragma once

namespace cachify::store::redis {

@redis_script_sums@
}  // namespace cachify::store::redis
")
