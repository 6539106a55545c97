#include "quick/first_grant.h"

#include <asm/socket.h>
#include <asm/stat.h>
#include <asm/unistd_64.h>
#include <linux/fcntl.h>
#include <linux/in.h>
#include <linux/net.h>
#include <linux/poll.h>
#include <linux/socket.h>
#include <linux/tcp.h>
#include <linux/time.h>
#include <linux/un.h>
#include <linux/utsname.h>

#include <initializer_list>

#include "quick/first_command.h"
#include "quick/first_end.h"
#include "quick/handover.h"
#include "quick/kernel.h"
#include "quick/signals.h"
#include "redis_script_sums.h"
#include "store/redis/id_letters.h"

namespace cachify::quick {

namespace {

using namespace store::redis;

constexpr int kSoonMs = 20;  // as kSoon in store/redis/limit.cpp: signals are blocked meanwhile
constexpr int kFirstMomentMs = 200;     // as kFirstMoment in store/redis/lease.cpp
constexpr int kUnconfirmedMs = 10'000;  // as in store/redis/socket.cpp
constexpr size_t kLongestCommand = 160;
constexpr size_t kLongestHost = 64;
constexpr size_t kLongestPath = 100;
// The kernel's headers leave these to the C library's.
constexpr uint16_t kUnix = 1, kInternet = 2;
constexpr long kStreamSocket = 1;
constexpr long kNotBlocking = 04000, kCloseOnExec = 02000000;
constexpr long kNoSignal = 0x4000;  // MSG_NOSIGNAL
constexpr long kBootTime = 7;

constexpr const char kDefaultLeaseUs[] = "30000000";

union Address {
  struct sockaddr_in v4;
  struct sockaddr_un local;
};
Address server;
size_t server_size;

Text<4096> request;
char answer[4096];

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// A decimal number up to `most` without zeros before it; false when there is none.
bool read_number(const char*& text, uint32_t most, uint32_t& value) {
  if (!is_digit(*text)) return false;
  if (*text == '0' && is_digit(text[1])) return false;
  value = 0;
  for (; is_digit(*text); ++text) {
    value = value * 10 + static_cast<uint32_t>(*text - '0');
    if (value > most) return false;
  }
  return true;
}

constexpr uint16_t swapped(uint32_t value) {
  return static_cast<uint16_t>((value & 255U) << 8U | value >> 8U);
}

bool read_host(const char* text) {
  uint32_t host = 0;
  uint32_t port = 6379;
  for (unsigned part = 0; part < 4; ++part) {
    uint32_t number = 0;
    if (part > 0 && *text++ != '.') return false;
    if (!read_number(text, 255, number)) return false;
    host |= number << (8 * part);
  }
  if (*text == ':') {
    ++text;
    if (!read_number(text, 65535, port) || port == 0) return false;
  }
  if (*text != '\0') return false;
  server.v4.sin_family = kInternet;
  server.v4.sin_port = swapped(port);
  server.v4.sin_addr.s_addr = host;
  server_size = sizeof server.v4;
  return true;
}

bool read_path(const char* path) {
  size_t n = 0;
  for (; path[n] != '\0'; ++n) {
    const char c = path[n];
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
    if (n == kLongestPath || (!letter && c != '/' && c != '.' && c != '-' && c != '_'))
      return false;
    server.local.sun_path[n] = c;
  }
  if (n < 2 || path[0] != '/') return false;
  server.local.sun_path[n] = '\0';
  server.local.sun_family = kUnix;
  server_size = sizeof server.local;
  return true;
}

void set_option(int fd, int level, int name, int value) {
  kernel(__NR_setsockopt, fd, level, name, address(&value), sizeof value);
}

bool wait_for(int fd, short events, int milliseconds) {
  struct pollfd entry;
  entry.fd = fd;
  entry.events = events;
  entry.revents = 0;
  return kernel(__NR_poll, address(&entry), 1, milliseconds) == 1;
}

// As connect_to() in store/redis/socket.cpp. -1 for any reason: nothing has been done then.
int connect_to_server() {
  constexpr long kInProgress = -115;
  const int family = server.v4.sin_family;
  const int fd =
      static_cast<int>(kernel(__NR_socket, family, kStreamSocket | kNotBlocking | kCloseOnExec, 0));
  if (fd < 0) return -1;
  if (fd > 2) {
    if (family == kInternet) {
      set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUnconfirmedMs);
      set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
      set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, 10);
      set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, 5);
    }
    const long result = kernel(__NR_connect, fd, address(&server), static_cast<long>(server_size));
    if (result == 0) return fd;
    if (result == kInProgress && wait_for(fd, POLLOUT, kSoonMs)) {
      int error = 0;
      int size = sizeof error;
      kernel(__NR_getsockopt, fd, SOL_SOCKET, SO_ERROR, address(&error), address(&size));
      if (error == 0) return fd;
    }
  }
  kernel(__NR_close, fd);
  return -1;
}

// One word of a request.
void add(const char* text) {
  request.add('$').add_number(length(text), 10).add("\r\n").add(text).add("\r\n");
}

void begin_request(unsigned words) {
  request.add('*').add_number(words, 10).add("\r\n");
}

// As Keys in store/redis/keys.cpp; the key has no braces.
const char* name_of(const PlainCall& call, const char* part, const char* id = "") {
  static Text<256> name;
  name.clear();
  name.add("cachify:").add(call.lock ? "lock" : "pool").add(":{");
  for (const char* c = call.key; *c != '\0'; ++c) {
    if (*c == '%') {
      name.add("%25");
    } else {
      name.add(*c);
    }
  }
  name.add("}:").add(part).add(id);
  return name.c_str();
}

void begin_script(const PlainCall& call, const char* sum, unsigned arguments) {
  begin_request(3 + 7 + arguments);
  add("EVALSHA");
  add(sum);
  add("7");
  for (const char* part : {"h", "q", "a", "p", "i", "m", "b"}) add(name_of(call, part));
  add(call.lock ? "lock" : "pool");
  add(handover.id);
}

bool is_visible(char c) {
  return c > ' ' && c <= '~';
}

// As text_of() in store/redis/record.cpp. Nullptr when it would have to be cut or escaped.
const char* who_we_are(const PlainCall& call) {
  static Text<512> who;
  static struct new_utsname names;
  who.clear();
  who.add_number(static_cast<uint64_t>(kernel(__NR_getpid)), 10).add(' ');
  who.add_number(static_cast<uint64_t>(kernel(__NR_geteuid)), 10).add(' ');
  struct stat space;
  const bool known = kernel(__NR_stat, address("/proc/self/ns/pid"), address(&space)) == 0;
  who.add_number(known ? space.st_ino : 0, 10).add(" - ");
  if (kernel(__NR_uname, address(&names)) != 0) return nullptr;
  const char* host = names.nodename;
  if (*host == '\0' || length(host) > kLongestHost) return nullptr;
  for (const char* c = host; *c != '\0'; ++c) {
    if (!is_visible(*c) || *c == '%') return nullptr;
  }
  who.add(host).add(' ');
  const size_t before = who.used();
  for (char** word = call.command; *word != nullptr; ++word) {
    if (word != call.command) who.add(' ');
    for (const char* c = *word; *c != '\0'; ++c) {
      if (!is_visible(*c) && *c != ' ') return nullptr;
    }
    who.add(*word);
  }
  return who.ok() && who.used() - before <= kLongestCommand ? who.c_str() : nullptr;
}

// As Books::take() and, with `wait`, the name of the connection and BLPOP behind.
bool prepare_request(const PlainCall& call) {
  const char* who = who_we_are(call);
  if (who == nullptr) return false;
  request.clear();
  if (call.waits) {
    static Text<32> name;
    name.clear();
    begin_request(3);
    add("CLIENT");
    add("SETNAME");
    add(name.add("cachify:").add(handover.id).c_str());
  }
  static Text<16> max;
  max.clear();
  begin_script(call, kTakeSum, 18);
  add("");   // known epoch
  add("0");  // place
  add(call.waits ? "1" : "0");
  add(call.waits ? "1" : "0");  // BLPOP follows
  add(kDefaultLeaseUs);
  add("0");  // priority
  add("1");  // weight
  add("0");  // shared
  add(max.add_number(call.max, 10).c_str());
  add("0");   // expiry
  add("-1");  // shedding: slots, percent
  add("-1");
  add("-1");  // queue-max
  add("");    // replace, and how long before KILL
  add("0");
  add(who);
  if (call.waits) {
    begin_request(4);
    add("BLPOP");
    add(name_of(call, "g:", handover.id));
    add(name_of(call, "n:", handover.id));
    add("0");
  }
  return request.ok();
}

bool send_request() {
  const auto size = static_cast<long>(request.used());
  return kernel(__NR_sendto, handover.socket, address(request.c_str()), size, kNoSignal) == size;
}

// Reads an answer from left to right.
class Reader {
 public:
  enum class State { good, unfinished, different };

  explicit Reader(const char* from, size_t size) : at_(from), end_(from + size) {}
  State state() const { return state_; }
  bool at_end() const { return at_ == end_; }

  void word(const char* text) {
    for (; *text != '\0' && more(); ++text) {
      if (*at_++ != *text) state_ = State::different;
    }
  }
  uint64_t number() {
    uint64_t value = 0;
    bool any = false;
    while (more()) {
      if (!is_digit(*at_)) {
        if (!any) state_ = State::different;
        word("\r\n");
        return value;
      }
      value = value * 10 + static_cast<uint64_t>(*at_++ - '0');
      any = true;
      if (value > kLargest) state_ = State::different;
    }
    return 0;
  }
  void text() {
    word("$");
    for (uint64_t left = number() + 2; left > 0 && more(); --left) ++at_;
  }

 private:
  static constexpr uint64_t kLargest = 1ULL << 60U;

  bool more() {
    if (state_ == State::good && at_ == end_) state_ = State::unfinished;
    return state_ == State::good;
  }

  const char* at_;
  const char* end_;
  State state_ = State::good;
};

// The plain yes: admitted, and no grants of others to look after.
Reader::State read_yes(const PlainCall& call) {
  Reader reader(answer, handover.answer_size);
  if (call.waits) reader.word("+OK\r\n");
  reader.word("*3\r\n$2\r\nOK\r\n*5\r\n:");
  handover.fence = reader.number();
  reader.word(":");
  handover.slot = static_cast<uint32_t>(reader.number());
  reader.word(":");
  handover.cap = static_cast<uint32_t>(reader.number());
  reader.text();  // epoch
  reader.text();  // record
  reader.word("*0\r\n");
  if (call.waits) {
    reader.word("*2\r\n");
    reader.text();
    reader.text();
  }
  if (reader.state() == Reader::State::good && !reader.at_end()) return Reader::State::different;
  return reader.state();
}

Reader::State read_freed(const PlainCall& /*call*/, size_t size) {
  Reader reader(answer + handover.answer_size, size);
  reader.word("*3\r\n$5\r\nFREED\r\n:1\r\n*0\r\n");
  if (reader.state() == Reader::State::good && !reader.at_end()) return Reader::State::different;
  return reader.state();
}

// More of an answer, behind `used` bytes; how many. 0: not soon, or never.
size_t receive(size_t used) {
  if (!wait_for(handover.socket, POLLIN, kSoonMs)) return 0;
  const long size = kernel(__NR_recvfrom, handover.socket, address(answer + used),
                           static_cast<long>(sizeof answer - used), 0);
  return size > 0 ? static_cast<size_t>(size) : 0;
}

int64_t boottime_ns() {
  struct timespec now;
  kernel(__NR_clock_gettime, kBootTime, address(&now));
  return now.tv_sec * 1'000'000'000 + now.tv_nsec;
}

bool draw_id() {
  uint64_t number = 0;
  if (kernel(__NR_getrandom, address(&number), sizeof number, 0) != sizeof number) return false;
  write_id(number, handover.id);
  handover.id[kIdLetters] = '\0';
  return true;
}

}  // namespace

bool is_for_redis(const PlainCall& call) {
  if (call.store == nullptr) return false;
  const char* host = behind(call.store, "redis://");
  const char* path = behind(call.store, "redis+unix://");
  return (host != nullptr && read_host(host)) || (path != nullptr && read_path(path));
}

bool take_first_grant(const PlainCall& call) {
  if (!draw_id() || !prepare_request(call)) return false;
  handover.socket = connect_to_server();
  if (handover.socket < 0) return false;
  block_signals();
  handover.asked_at_ns = boottime_ns();
  if (!send_request()) {
    // Not all of it: the server does nothing.
    kernel(__NR_close, handover.socket);
    unblock_signals();
    return false;
  }
  default_child_signal();
  handover.asked = true;
  handover.answer = answer;
  handover.answer_size = 0;
  while (handover.answer_size < sizeof answer) {
    const size_t size = receive(handover.answer_size);
    if (size == 0) return false;
    handover.answer_size += static_cast<uint32_t>(size);
    const Reader::State state = read_yes(call);
    if (state == Reader::State::good) return true;
    if (state == Reader::State::different) return false;
  }
  return false;
}

void see_grant_to_its_end(const PlainCall& call) {
  if (!wait_for_signal(kFirstMomentMs)) return;
  const int code = plain_exit_code();
  if (code < 0) return;
  request.clear();
  begin_script(call, kFreeSum, 3);
  add("");  // why
  if (request.ok() && send_request()) {
    size_t size = 0;
    Reader::State state = Reader::State::unfinished;
    while (state == Reader::State::unfinished) {
      const size_t more = receive(handover.answer_size + size);
      if (more == 0) break;
      size += more;
      state = read_freed(call, size);
    }
    if (state == Reader::State::good) {
      kernel(__NR_wait4, handover.pid);
      kernel(__NR_exit_group, code);
    }
  }
  // The full program gives it back again, on another connection; that does no harm.
  kernel(__NR_shutdown, handover.socket, 2);
}

}  // namespace cachify::quick
