#pragma once

#include <cstddef>
#include <cstdint>

// System calls and a few loops over bytes, for code that runs before the C library is set up:
// no errno, no thread-local storage, none of libc's functions (in a static program they are
// reached through addresses that do not exist yet).
namespace cachify::quick {

// The result, or minus the errno.
inline long kernel(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0,
                   long f = 0) {
  long result;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(result)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return result;
}

template <typename T>
long address(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

inline size_t length(const char* text) {
  size_t n = 0;
  while (text[n] != '\0') ++n;
  return n;
}

inline bool same(const char* a, const char* b) {
  for (; *a == *b; ++a, ++b) {
    if (*a == '\0') return true;
  }
  return false;
}

// What stands behind `start` in `text`; nullptr when it does not start so.
inline const char* behind(const char* text, const char* start) {
  for (; *start != '\0'; ++text, ++start) {
    if (*text != *start) return nullptr;
  }
  return text;
}

// Text in a fixed buffer, always with a NUL. What does not fit makes it not ok().
template <size_t size>
class Text {
 public:
  void clear() {
    used_ = 0;
    ok_ = true;
    bytes_[0] = '\0';
  }
  Text& add(char c) {
    if (used_ + 1 < size) {
      bytes_[used_++] = c;
      bytes_[used_] = '\0';
    } else {
      ok_ = false;
    }
    return *this;
  }
  Text& add(const char* text) {
    for (; *text != '\0'; ++text) add(*text);
    return *this;
  }
  Text& add_number(uint64_t value, unsigned base) {
    char digits[20];
    size_t n = 0;
    do {
      digits[n++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (n > 0) add(digits[--n]);
    return *this;
  }
  bool ok() const { return ok_; }
  size_t used() const { return used_; }
  const char* c_str() const { return bytes_; }
  char* data() { return bytes_; }

 private:
  size_t used_;
  bool ok_;
  char bytes_[size];
};

}  // namespace cachify::quick
