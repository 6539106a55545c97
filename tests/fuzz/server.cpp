// Whatever a server answers, whoever asks it gets something that can be shown, or "cannot tell".
// The input is all that one connection says; the first byte chooses what is asked.
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "errors.h"
#include "fuzz.h"
#include "run/interrupts.h"
#include "show/situation_json.h"
#include "show/situation_text.h"
#include "store/registry.h"
#include "util/unique_fd.h"

using namespace cachify;

namespace {

// Answers each connection with the same bytes, and then has nothing more to say.
class Server {
 public:
  explicit Server(const std::string& path) : listener_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    fuzz::require(
        ::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0 &&
            ::listen(listener_.get(), 8) == 0,
        "a socket can be had");
    std::thread([this] { serve(); }).detach();
  }

  // For the connections that are made from now on.
  void say(std::string_view words) {
    const std::lock_guard lock(mutex_);
    words_ = words;
  }

 private:
  std::string words() {
    const std::lock_guard lock(mutex_);
    return words_;
  }

  void serve() {
    for (;;) {
      const util::UniqueFd peer(::accept(listener_.get(), nullptr, nullptr));
      char request[65536];
      const std::string words = this->words();
      // What is asked first, so that no answer comes before its question.
      if (::recv(peer.get(), request, sizeof request, 0) <= 0) continue;
      ::send(peer.get(), words.data(), words.size(), MSG_NOSIGNAL);
      ::shutdown(peer.get(), SHUT_WR);
      while (::recv(peer.get(), request, sizeof request, 0) > 0) continue;
    }
  }

  const util::UniqueFd listener_;
  std::mutex mutex_;
  std::string words_;
};

struct World {
  fuzz::Scratch scratch;
  // Never destroyed: its thread goes on until the process ends.
  Server& server = *new Server(scratch.path() + "/s");
  std::unique_ptr<store::Store> store = store::open(
      {.url = "redis+unix://" + scratch.path() + "/s?connect-timeout=1ms", .prefix = "cachify:"});
};

void show(const store::Situation& now) {
  const show::Subject subject{store::Kind::pool, "k", "redis:"};
  const show::Look look{};
  show::json_line(show::situation_json(subject, now, 1));
  show::situation_lines(now, 1, look);
  show::headline(subject, now);
}

void acquire(store::Store& store, store::Kind kind) {
  run::Interrupts interrupts;
  store::WaitObserver observer;
  store::Claim claim;
  claim.kind = kind;
  claim.key = "k";
  claim.max = kind == store::Kind::lock ? 1 : 4;
  const store::Acquisition got = store.acquire(claim, {}, interrupts, observer);
  if (!got.lease) return;
  got.lease->command_started();
  got.lease->release();
}

void ask(store::Store& store, uint8_t what) {
  const store::Kind kind = (what & 0x80U) != 0 ? store::Kind::lock : store::Kind::pool;
  switch (what % 10) {
    case 0:
      return show(store.situation(kind, "k"));
    case 1:
      show::list_lines(kind, store.list(kind), {});
      return;
    case 2:
      return acquire(store, kind);
    case 3:
      store.size(kind, "k");
      return;
    case 4:
      store.terminate(kind, "k", std::nullopt, std::nullopt);
      return;
    case 5:
      store.give_back(kind, "k", "1");
      return;
    case 6:
      store.dismiss(kind, "k");
      return;
    case 7:
      return store.resize(kind, "k", 3);
    case 8:
      return show(store.summary(kind, "k"));
    default:
      store.examine();
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  static World world;
  world.server.say(fuzz::bytes(data + 1, size - 1));
  try {
    ask(*world.store, data[0]);
  } catch (const StoreError&) {
  }
  return 0;
}
