#include "store/file/directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <utility>

#include "errors.h"
#include "util/errno_text.h"
#include "util/files.h"

namespace cachify::store::file {

namespace {

constexpr int kOpenFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr std::array<const char*, 2> kDefaultPlaces = {"/run/lock", "/tmp"};

std::string default_name() {
  return "/cachify-" + std::to_string(::geteuid());
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw ConfigError("the store's directory " + path + " " + why +
                    "; remove it, or name another one with --store file:DIR");
}

[[noreturn]] void unusable(const std::string& path, int error_number) {
  throw StoreError("cannot use the store's directory " + path + ": " +
                   util::errno_text(error_number) +
                   "; put that right, or name another one with --store file:DIR");
}

// Opens a default directory, making it first when it is missing. An empty result: this place is
// not to be had (no /run/lock, or no right to write there), try the next one.
util::UniqueFd open_private(const std::string& path) {
  util::UniqueFd fd = util::open_above_stdio(AT_FDCWD, path.c_str(), kOpenFlags | O_NOFOLLOW);
  if (!fd && errno == ENOENT) {
    if (::mkdir(path.c_str(), 0700) != 0 && errno != EEXIST) return {};
    fd = util::open_above_stdio(AT_FDCWD, path.c_str(), kOpenFlags | O_NOFOLLOW);
  }
  if (!fd) {
    const int error_number = errno;
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) unusable(path, error_number);
    if (S_ISLNK(status.st_mode)) refuse(path, "is a symbolic link");
    if (!S_ISDIR(status.st_mode)) refuse(path, "is not a directory");
    if (status.st_uid != ::geteuid()) refuse(path, "belongs to somebody else");
    unusable(path, error_number);
  }
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) unusable(path, errno);
  if (status.st_uid != ::geteuid()) refuse(path, "belongs to somebody else");
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) != 0) refuse(path, "can be written to by others");
  return fd;
}

}  // namespace

Directory Directory::adopt(util::UniqueFd fd, std::string path) {
  Directory directory;
  directory.fd_ = std::move(fd);
  directory.path_ = path.empty() ? kDefaultPlaces[0] + default_name() : std::move(path);
  return directory;
}

Directory Directory::open(const std::string& path) {
  Directory directory;
  if (path.empty()) {
    directory.file_mode_ = 0600;
    for (const char* place : kDefaultPlaces) {
      directory.path_ = place + default_name();
      directory.fd_ = open_private(directory.path_);
      if (directory.fd_) return directory;
    }
    unusable(directory.path_, errno);
  }
  directory.path_ = path;
  directory.fd_ = util::open_above_stdio(AT_FDCWD, path.c_str(), kOpenFlags);
  if (!directory.fd_ && errno == ENOENT) {
    if (::mkdir(path.c_str(), 0777) != 0 && errno != EEXIST) unusable(path, errno);
    directory.fd_ = util::open_above_stdio(AT_FDCWD, path.c_str(), kOpenFlags);
  }
  if (!directory.fd_) unusable(path, errno);
  return directory;
}

namespace {

std::string_view start_of_names(Kind kind) {
  switch (kind) {
    case Kind::lock:
      return "lock.";
    case Kind::resource:
      return "resource.";
    case Kind::pool:
      break;
  }
  return "pool.";
}

constexpr size_t kLongestName = 200;  // leaves room for the shard's suffix below NAME_MAX

bool stands_for_itself(unsigned char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

void append_hex(std::string& out, unsigned value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789ABCDEF"[(value >> static_cast<unsigned>(shift)) & 15U];
  }
}

// FNV-1a, 128 bits.
std::string hash_of(const std::string& text) {
  __extension__ using Wide = unsigned __int128;
  Wide hash = (Wide{0x6c62272e07bb0142ULL} << 64U) | 0x62b821756295c58dULL;
  const Wide prime = (Wide{0x0000000001000000ULL} << 64U) | 0x000000000000013bULL;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * prime;
  std::string out;
  for (int i = 3; i >= 0; --i)
    append_hex(out, static_cast<unsigned>(hash >> (32U * static_cast<unsigned>(i))), 8);
  return out;
}

}  // namespace

FileName file_name(Kind kind, const std::string& prefixed_key) {
  FileName result;
  result.name = start_of_names(kind);
  size_t fits_at = result.name.size();  // where a cut does not split a %XX
  for (const char c : prefixed_key) {
    const auto byte = static_cast<unsigned char>(c);
    if (stands_for_itself(byte)) {
      result.name += c;
    } else {
      result.name += '%';
      append_hex(result.name, byte, 2);
    }
    if (result.name.size() <= kLongestName - 40) fits_at = result.name.size();
  }
  if (result.name.size() > kLongestName) {
    result.name.resize(fits_at);
    result.name += "~h" + hash_of(prefixed_key);
    result.hashed = true;
  }
  return result;
}

bool is_state_file(Kind kind, std::string_view name) {
  if (!name.starts_with(start_of_names(kind))) return false;
  const size_t tilde = name.find('~');
  return tilde == std::string_view::npos ||
         (name.substr(tilde, 2) == "~h" && name.find('~', tilde + 1) == std::string_view::npos);
}

bool is_state_file(std::string_view name) {
  return is_state_file(Kind::pool, name) || is_state_file(Kind::lock, name) ||
         is_state_file(Kind::resource, name);
}

std::optional<std::string> key_in_name(std::string_view name) {
  if (name.find('~') != std::string_view::npos) return std::nullopt;
  name.remove_prefix(std::min(name.size(), name.find('.') + 1));
  const auto digit = [](char c) {
    const size_t value = std::string_view("0123456789ABCDEF").find(c);
    return value == std::string_view::npos ? 0U : static_cast<unsigned>(value);
  };
  std::string key;
  for (size_t i = 0; i < name.size(); ++i) {
    if (name[i] == '%' && i + 2 < name.size()) {
      key += static_cast<char>(digit(name[i + 1]) << 4U | digit(name[i + 2]));
      i += 2;
    } else {
      key += name[i];
    }
  }
  return key;
}

std::vector<std::string> names_in(const Directory& directory) {
  struct Close {
    void operator()(DIR* stream) const { ::closedir(stream); }
  };
  // A description of its own, since reading moves it on.
  util::UniqueFd fd(::openat(directory.fd(), ".", kOpenFlags));
  const std::unique_ptr<DIR, Close> stream(fd ? ::fdopendir(fd.get()) : nullptr);
  if (stream == nullptr) unusable(directory.path(), errno);
  fd.release();  // the stream's now
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream.get())) names.emplace_back(entry->d_name);
  return names;
}

}  // namespace cachify::store::file
