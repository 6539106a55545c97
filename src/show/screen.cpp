#include "show/screen.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>

#include "util/output.h"

namespace cachify::show {

namespace {

volatile sig_atomic_t g_resized = 0;
volatile sig_atomic_t g_stopped = 0;

// The poke keeps the wait from missing a signal that came just before it.
void on_resize(int) {
  g_resized = 1;
  ::raise(run::kPokeSignal);
}

void on_stop(int) {
  g_stopped = 1;
  ::raise(run::kPokeSignal);
}

struct sigaction handler(void (*function)(int)) {
  struct sigaction action {};
  action.sa_handler = function;
  sigemptyset(&action.sa_mask);
  return action;
}

}  // namespace

Screen::Screen(run::Interrupts& interrupts) : interrupts_(interrupts) {
  interrupts_.wait_mask();  // makes its handlers: a poke must not be lost from here on
  g_resized = 0;
  g_stopped = 0;
  const struct sigaction resize = handler(on_resize);
  const struct sigaction stop = handler(on_stop);
  sigaction(SIGWINCH, &resize, &given_size_);
  sigaction(SIGTSTP, nullptr, &given_stop_);
  if (given_stop_.sa_handler != SIG_IGN) sigaction(SIGTSTP, &stop, nullptr);
  keys_.reset(::open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  take_keys();
}

Screen::~Screen() {
  give_keys_back();
  sigaction(SIGWINCH, &given_size_, nullptr);
  sigaction(SIGTSTP, &given_stop_, nullptr);
  try {
    if (!fresh_) util::write_output("\r\n");
  } catch (const std::exception&) {  // the terminal is gone, and with it the need
  }
}

Screen::Size Screen::size() noexcept {
  winsize size{};
  if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0)
    return {24, 80};
  return {size.ws_row, size.ws_col};
}

void Screen::draw(const std::vector<std::string>& lines) {
  std::string frame = "\x1b[?25l";
  if (fresh_) frame.append(size().rows, '\n');
  fresh_ = false;
  frame += "\x1b[H";
  for (size_t i = 0; i < lines.size(); ++i) {
    if (i > 0) frame += "\r\n";
    frame.append(lines[i]).append("\x1b[K");
  }
  frame += "\x1b[J\x1b[?25h";
  util::write_output(frame);
}

bool Screen::has_events() const noexcept {
  if (g_resized != 0 || g_stopped != 0) return true;
  pollfd keys{keys_.get(), POLLIN, 0};
  return given_ && ::poll(&keys, 1, 0) > 0;
}

bool Screen::take_events() {
  g_resized = 0;
  if (g_stopped != 0) stop();
  if (!given_) take_keys();  // we may have come to the foreground
  std::array<char, 64> typed;
  bool quit = false;
  while (given_) {
    const ssize_t count = ::read(keys_.get(), typed.data(), typed.size());
    if (count <= 0) break;
    for (ssize_t i = 0; i < count; ++i) {
      const char key = typed[static_cast<size_t>(i)];
      quit = quit || key == 'q' || key == 'Q';
    }
  }
  return quit;
}

void Screen::rest(util::Duration time) {
  const sigset_t& mask = interrupts_.wait_mask();
  pollfd keys{given_ ? keys_.get() : -1, POLLIN, 0};
  const timespec limit{time.count() / 1'000'000'000, time.count() % 1'000'000'000};
  ::ppoll(&keys, 1, &limit, &mask);
}

bool Screen::in_foreground() const noexcept {
  return keys_ && ::tcgetpgrp(keys_.get()) == ::getpgrp();
}

// SIGTTOU is blocked (Interrupts): without the look at the foreground we would change the terminal
// of the program that has it now.
void Screen::take_keys() noexcept {
  termios now{};
  if (!in_foreground() || ::tcgetattr(keys_.get(), &now) != 0) return;
  given_ = now;
  now.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
  now.c_cc[VMIN] = 1;
  now.c_cc[VTIME] = 0;
  ::tcsetattr(keys_.get(), TCSANOW, &now);
  ::fcntl(keys_.get(), F_SETOWN, ::getpid());
  ::fcntl(keys_.get(), F_SETSIG, run::kPokeSignal);
  ::fcntl(keys_.get(), F_SETFL, O_ASYNC | O_NONBLOCK);
}

void Screen::give_keys_back() noexcept {
  if (!given_) return;
  ::fcntl(keys_.get(), F_SETFL, O_NONBLOCK);
  if (in_foreground()) ::tcsetattr(keys_.get(), TCSANOW, &*given_);
  given_.reset();
}

void Screen::stop() {
  g_stopped = 0;
  give_keys_back();
  util::write_output("\r\n");
  const struct sigaction usual = handler(SIG_DFL);
  sigaction(SIGTSTP, &usual, nullptr);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, SIGTSTP);
  ::raise(SIGTSTP);  // blocked until the next line
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
  sigprocmask(SIG_BLOCK, &only, nullptr);
  const struct sigaction again = handler(on_stop);
  sigaction(SIGTSTP, &again, nullptr);
  take_keys();
  fresh_ = true;  // others have written meanwhile
}

}  // namespace cachify::show
