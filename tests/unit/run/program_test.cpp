#include "run/program.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/in_child.h"

using namespace cachify;
using run::Program;
using test::in_child;

namespace {

// A fresh directory, gone at the end of the test.
class Folder {
 public:
  Folder() {
    std::string name = "/tmp/cachify-unit-XXXXXX";
    path_ = mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string file(const std::string& name, const std::string& text, mode_t mode) const {
    const std::string path = path_ + "/" + name;
    std::ofstream(path) << text;
    chmod(path.c_str(), mode);
    return path;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// 0 when it ran as a command that ended so, else the errno of the attempt.
int execute(const std::vector<std::string>& argv, const char* search_path = nullptr) {
  return in_child([&] {
           if (search_path != nullptr) setenv("PATH", search_path, 1);
           return Program(argv).execute();
         })
      .code();
}

}  // namespace

TEST_CASE("a name is looked up in PATH, one with a slash is not") {
  const Folder folder;
  folder.file("tool", "#!/bin/sh\nexit 0\n", 0755);
  CHECK(execute({"tool"}, folder.path().c_str()) == 0);
  CHECK(execute({"tool"}, ("/nonexistent:" + folder.path()).c_str()) == 0);
  CHECK(execute({"tool"}, "/nonexistent") == ENOENT);
  CHECK(execute({"./tool"}, folder.path().c_str()) == ENOENT);
  CHECK(execute({folder.path() + "/tool"}, "/nonexistent") == 0);
}

TEST_CASE("an empty element of PATH is the working directory") {
  const Folder folder;
  folder.file("tool", "#!/bin/sh\nexit 0\n", 0755);
  for (const char* search_path : {"", ":/nonexistent", "/nonexistent:"}) {
    const auto done = in_child([&] {
      setenv("PATH", search_path, 1);
      if (chdir(folder.path().c_str()) != 0) return 98;
      return Program({"tool"}).execute();
    });
    CHECK(done.code() == 0);
  }
}

TEST_CASE("without PATH the system's own directories are searched") {
  const auto done = in_child([] {
    unsetenv("PATH");
    return Program({"true"}).execute();
  });
  CHECK(done.code() == 0);
}

TEST_CASE("what may not be executed is passed over, and told only when nothing else is found") {
  const Folder first, second;
  first.file("tool", "#!/bin/sh\nexit 0\n", 0644);
  CHECK(execute({"tool"}, first.path().c_str()) == EACCES);
  second.file("tool", "#!/bin/sh\nexit 0\n", 0755);
  CHECK(execute({"tool"}, (first.path() + ":" + second.path()).c_str()) == 0);
}

TEST_CASE("a script without #! is run by sh, as execvp does, with its arguments") {
  const Folder folder;
  const std::string script = folder.file("script", "echo \"$#:$1:$2\"\n", 0755);
  const auto done = in_child([&] { return Program({script, "a b", ""}).execute(); });
  CHECK(done.output == "2:a b:\n");
}

TEST_CASE("variables take the place of all of their name; others stay, also odd ones") {
  const auto done = in_child([] {
    clearenv();
    setenv("CACHIFY_SLOT", "outer", 1);
    setenv("CACHIFY_SLOTS", "kept", 1);
    setenv("EMPTY", "", 1);
    const std::vector<std::string> argv{"/usr/bin/env"};
    setenv("CACHIFY_FENCE", "outer", 1);
    return Program(argv, {"CACHIFY_SLOT=3", "CACHIFY_FENCE"}).execute();
  });
  CHECK(done.output == "CACHIFY_SLOTS=kept\nEMPTY=\nCACHIFY_SLOT=3\n");
}

TEST_CASE("127 is for what is not there, 126 for all else") {
  CHECK(run::exec_failure_code(ENOENT) == 127);
  for (const int error : {EACCES, ENOTDIR, E2BIG, ENOMEM, ELOOP, ENAMETOOLONG, ETXTBSY}) {
    CHECK(run::exec_failure_code(error) == 126);
  }
  CHECK(execute({""}) == ENOENT);
  CHECK(execute({"/etc/passwd/x"}) == ENOTDIR);
  CHECK(execute({"/"}) == EACCES);
  CHECK(execute({"x"}, "/etc/passwd") == ENOENT);
}

TEST_CASE("a missing interpreter is told apart from a missing command") {
  const Folder folder;
  const std::string script = folder.file("script", "#!/nonexistent/interpreter\n", 0755);
  CHECK(execute({script}) == ENOENT);
  CHECK(run::exec_failure_text(script, ENOENT) ==
        "cannot run '" + script + "': the interpreter it names does not exist");
  CHECK(run::exec_failure_text("nope", ENOENT) == "cannot run 'nope': command not found");
  CHECK(run::exec_failure_text("/nope", ENOENT) == "cannot run '/nope': No such file or directory");
}
