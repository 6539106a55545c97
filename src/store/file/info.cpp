#include "store/file/info.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace cachify::store::file {

namespace {

template <size_t size>
void copy_text(char (&to)[size], const std::string& text) {
  const size_t length = std::min(size - 1, text.size());
  std::memcpy(to, text.data(), length);
}

}  // namespace

Info info_of(const Who& who, uint64_t pid_namespace, int64_t since_us) {
  Info info{};
  info.pid = static_cast<uint32_t>(who.pid);
  info.process = static_cast<uint32_t>(::getpid());
  info.uid = who.uid;
  info.pid_namespace = pid_namespace;
  info.since_us = since_us;
  copy_text(info.host, who.host);
  copy_text(info.command, who.command);
  return info;
}

Who who_of(const Info& info) {
  Who who;
  who.pid = static_cast<int32_t>(info.pid);
  who.uid = info.uid;
  who.host = info.host;
  who.command = info.command;
  return who;
}

void close_texts(Info& info) {
  info.host[sizeof info.host - 1] = '\0';
  info.command[sizeof info.command - 1] = '\0';
}

}  // namespace cachify::store::file
