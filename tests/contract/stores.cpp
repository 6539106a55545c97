#include "contract/stores.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>

#include "errors.h"
#include "store/registry.h"

namespace cachify::test {
namespace {

class FileFixture : public StoreFixture {
 public:
  FileFixture() {
    char pattern[] = "/tmp/cachify-contract-XXXXXX";
    directory_ = ::mkdtemp(pattern);
  }
  ~FileFixture() override { std::filesystem::remove_all(directory_); }
  FileFixture(const FileFixture&) = delete;
  FileFixture& operator=(const FileFixture&) = delete;

  const char* name() const override { return "file"; }
  std::unique_ptr<store::Store> open() const override {
    return store::open({.url = "file:" + directory_, .prefix = "test:"});
  }
  util::Duration until_crash_is_noticed() const override { return {}; }

 private:
  std::string directory_;
};

// A redis-server for this case alone, on a unix socket.
class RedisFixture : public StoreFixture {
 public:
  RedisFixture() {
    char pattern[] = "/tmp/cachify-contract-XXXXXX";
    directory_ = ::mkdtemp(pattern);
    server_ = ::fork();
    if (server_ == 0) {
      ::prctl(PR_SET_PDEATHSIG, SIGKILL);
      const int null = ::open("/dev/null", O_RDWR);
      for (const int fd : {0, 1, 2}) ::dup2(null, fd);
      const char* other = std::getenv("CACHIFY_TEST_REDIS_SERVER");
      const char* program = other != nullptr ? other : "redis-server";
      ::execlp(program, program, "--port", "0", "--unixsocket", socket().c_str(), "--dir",
               directory_.c_str(), "--save", "", nullptr);
      ::_exit(127);
    }
    for (int i = 0; i < 2000 && !answers(); ++i) {
      if (::waitpid(server_, nullptr, WNOHANG) == server_) {
        server_ = -1;
        break;
      }
      ::usleep(5000);
    }
  }
  ~RedisFixture() override {
    if (server_ > 0) {
      ::kill(server_, SIGKILL);
      while (::waitpid(server_, nullptr, 0) < 0 && errno == EINTR) {
      }
    }
    std::filesystem::remove_all(directory_);
  }
  RedisFixture(const RedisFixture&) = delete;
  RedisFixture& operator=(const RedisFixture&) = delete;

  const char* name() const override { return "redis"; }
  std::string unavailable() const override {
    return server_ > 0 ? "" : "redis-server cannot be started";
  }
  std::unique_ptr<store::Store> open() const override { return open("redis+unix", "lease=2s"); }
  util::Duration until_crash_is_noticed() const override { return std::chrono::seconds(2); }

 protected:
  std::unique_ptr<store::Store> open(const std::string& scheme, const std::string& options) const {
    return store::open({.url = scheme + "://" + socket() + "?" + options, .prefix = "test:"});
  }

 private:
  std::string socket() const { return directory_ + "/redis.sock"; }
  bool answers() const {
    try {
      open()->size(store::Kind::pool, "k");
      return true;
    } catch (const StoreError&) {
      return false;
    }
  }

  std::string directory_;
  pid_t server_ = -1;
};

class PyCachifyFixture : public RedisFixture {
 public:
  const char* name() const override { return "py-cachify"; }
  std::unique_ptr<store::Store> open() const override {
    return RedisFixture::open("py-cachify+redis+unix", "lease=1s&poll=10ms");
  }
  util::Duration until_crash_is_noticed() const override { return std::chrono::seconds(1); }
};

}  // namespace

std::unique_ptr<StoreFixture> py_cachify_fixture() {
  return std::make_unique<PyCachifyFixture>();
}

std::vector<std::unique_ptr<StoreFixture>> store_fixtures() {
  std::vector<std::unique_ptr<StoreFixture>> fixtures;
  // One store alone, while it is being worked on.
  const char* only = std::getenv("CACHIFY_TEST_STORE");
  const auto wanted = [only](const char* name) {
    return only == nullptr || name == std::string(only);
  };
  if (wanted("file")) fixtures.push_back(std::make_unique<FileFixture>());
  if (wanted("redis")) fixtures.push_back(std::make_unique<RedisFixture>());
  return fixtures;
}

}  // namespace cachify::test
