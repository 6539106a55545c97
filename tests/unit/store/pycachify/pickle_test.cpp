#include "store/pycachify/pickle.h"

#include <doctest/doctest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <string>

using namespace cachify::store::pycachify;

namespace {

constexpr double kNever = std::numeric_limits<double>::infinity();

// Written by Python's pickle.
std::string recorded(const std::string& name) {
  std::ifstream file(CACHIFY_TEST_SEEDS "/py_cachify/" + name, std::ios::binary);
  REQUIRE_MESSAGE(file.good(), name);
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_damaged(const std::string& bytes) {
  try {
    parse_pool(bytes);
    return false;
  } catch (const Damaged&) {
    return true;
  }
}

bool is_damaged_lock(const std::string& bytes) {
  try {
    parse_lock(bytes);
    return false;
  } catch (const Damaged&) {
    return true;
  }
}

// The bytes with one part replaced, which has to be there.
std::string with(std::string bytes, const std::string& part, const std::string& other) {
  const size_t at = bytes.find(part);
  REQUIRE(at != std::string::npos);
  return bytes.replace(at, part.size(), other);
}

std::string id_of(int number) {
  std::string digits = std::to_string(number);
  return std::string(32 - digits.size(), '0') + digits;
}

PoolState state_of(int count) {
  PoolState state;
  for (int i = 0; i < count; ++i) state.push_back({id_of(i), 1000.5 + i});
  return state;
}

// Without frames and memory, which a writer may leave out.
std::string bare(const std::string& entries) {
  std::string bytes = "\x80\x04\x8c\x1fpy_cachify._backend._pool_state\x8c\tPoolState\x93)\x81}";
  bytes += "\x8c\x05slots}" + entries;
  return bytes + "sb.";
}

std::string entry(const std::string& id, const std::string& value) {
  return "\x8c " + id + value;
}

const std::string kOne = std::string("K\x01", 2);

}  // namespace

TEST_CASE("the bytes that Python wrote are read, and written again the same") {
  struct Row {
    const char* name;
    size_t entries, size;
  };
  for (const Row& row : {Row{"state-0", 0, 77}, Row{"state-1", 1, 122}, Row{"state-3", 3, 211},
                         Row{"state-2000", 2000, 88'092}}) {
    CAPTURE(row.name);
    const std::string bytes = recorded(row.name);
    CHECK(bytes.size() == row.size);
    const PoolState state = parse_pool(bytes);
    CHECK(state.size() == row.entries);
    CHECK(pickled(state) == bytes);
  }
}

TEST_CASE("ids and ends are those that Python meant") {
  const PoolState state = parse_pool(recorded("state-1"));
  REQUIRE(state.size() == 1);
  CHECK(state[0].id == "f2a752e6b4384269b0c5c7fda6a3a450");
  CHECK(state[0].ends > 1763000000.0);
  CHECK(state[0].ends < 1763016000.0);
  CHECK(parse_pool(recorded("state-2000"))[9].ends == kNever);
}

TEST_CASE("other writers of the same are understood") {
  const PoolState state = parse_pool(recorded("state-3-protocol-5"));
  CHECK(state.size() == 3);
  for (const char* name :
       {"state-3-protocol-2", "state-3-protocol-3", "state-3-optimized", "state-3-in-python"}) {
    CAPTURE(name);
    CHECK(parse_pool(recorded(name)) == state);
  }
  const PoolState ints = parse_pool(recorded("state-4-of-ints"));
  REQUIRE(ints.size() == 4);
  CHECK(ints[0].ends == 5);
  CHECK(ints[1].ends == 1000);
  CHECK(ints[2].ends == 1763000000);
  CHECK(ints[3].ends == -1);
  CHECK(parse_pool(bare("")).empty());
  CHECK(parse_pool(bare(entry(id_of(1), kOne) + "s")).size() == 1);
  CHECK(parse_pool(bare("(" + entry(id_of(1), kOne) + entry(id_of(2), kOne) + "u")).size() == 2);
}

TEST_CASE("what was written is read again as the same, around every batch and frame") {
  for (const int count :
       {0, 1, 2, 999, 1000, 1001, 1488, 1489, 1490, 1491, 1999, 2001, 2979, 9000}) {
    CAPTURE(count);
    const PoolState state = state_of(count);
    CHECK(parse_pool(pickled(state)) == state);
  }
  const PoolState endless{{id_of(1), kNever}};
  CHECK(parse_pool(pickled(endless)) == endless);
}

TEST_CASE("whatever is cut short or goes on is damaged") {
  for (const char* name : {"state-0", "state-1", "state-3", "state-3-protocol-2"}) {
    const std::string bytes = recorded(name);
    for (size_t size = 0; size < bytes.size(); ++size) {
      CAPTURE(size);
      CHECK(is_damaged(bytes.substr(0, size)));
    }
    CHECK(is_damaged(bytes + "."));
    CHECK(is_damaged(bytes + std::string(1, '\0')));
  }
}

TEST_CASE("a changed byte makes another id or another time, or is damage, or makes no difference") {
  const std::string bytes = recorded("state-1");
  const PoolState state = parse_pool(bytes);
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      CAPTURE(at);
      CAPTURE(bit);
      std::string changed = bytes;
      changed[at] = static_cast<char>(changed[at] ^ (1 << bit));
      const bool in_id = at >= 76 && at < 108;
      const bool in_end = at >= 110 && at < 118;
      if (is_damaged(changed)) {
        CHECK(!in_end);
        continue;
      }
      const PoolState read = parse_pool(changed);
      REQUIRE(read.size() == 1);
      CHECK((read[0].id == state[0].id) == !in_id);
      CHECK((read[0].ends == state[0].ends) == !in_end);
    }
  }
}

TEST_CASE("what Python would execute is not even looked at") {
  CHECK(is_damaged("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."));
  CHECK(is_damaged(std::string("\x80\x02") + "cposix\nsystem\nX\x04" + std::string(3, '\0') +
                   "true\x85R."));
  CHECK(is_damaged("cposix\nsystem\n(S'true'\ntR."));
  CHECK(is_damaged(with(recorded("state-1"), "PoolState", "PoolStats")));
  CHECK(is_damaged(with(recorded("state-1"), "slots", "slotz")));
}

TEST_CASE("ids and numbers of other forms are damaged") {
  const std::string id = id_of(1);
  CHECK(!is_damaged(bare(entry(id, kOne) + "s")));
  CHECK(is_damaged(bare(entry("A" + id.substr(1), kOne) + "s")));
  CHECK(is_damaged(bare(entry("g" + id.substr(1), kOne) + "s")));
  CHECK(is_damaged(bare("\x8c\x1f" + id.substr(1) + kOne + "s")));
  CHECK(is_damaged(bare(entry(id, "N") + "s")));
  CHECK(is_damaged(bare(entry(id, "\x88") + "s")));
  CHECK(is_damaged(bare(entry(id, std::string("G\x7f\xf8\0\0\0\0\0\0", 9)) + "s")));
  CHECK(is_damaged(bare(entry(id, kOne))));
  CHECK(is_damaged(bare("(" + entry(id, kOne) + "s")));
  CHECK(is_damaged(bare("(" + entry(id, kOne) + entry(id, kOne) + "u")));
}

TEST_CASE("frames and what is remembered have to fit") {
  const std::string bytes = recorded("state-1");
  for (const char other : {'\x10', '\x70', '\xff'}) {
    std::string changed = bytes;
    changed[3] = other;
    CHECK(is_damaged(changed));
  }
  std::string huge = bytes;
  for (size_t i = 3; i < 11; ++i) huge[i] = '\xff';
  CHECK(is_damaged(huge));
  const std::string id = id_of(1);
  CHECK(is_damaged(bare("h" + std::string(1, '\0') + kOne + "s")));
  CHECK(is_damaged(bare("\x8c " + id + "r\xff\xff\xff\xff" + kOne + "s")));
  CHECK(is_damaged(bare("X" + std::string("\xff\xff\xff\x7f") + id + kOne + "s")));
  // The same id again, from memory, is still the same id.
  const std::string again =
      entry(id, "q" + std::string(1, '\x09') + kOne) + "s" + "h\x09" + kOne + "s";
  CHECK(is_damaged(bare(again)));
}

TEST_CASE("a state that is too long is not read at all") {
  CHECK(is_damaged(pickled(state_of(24'000))));
}

TEST_CASE("a lock is held when its value is true for Python") {
  for (const char* name : {"lock-one", "lock-true", "lock-text", "lock-float", "lock-big"}) {
    CAPTURE(name);
    CHECK(parse_lock(recorded(name)).held);
    CHECK(!parse_lock(recorded(name)).owner);
  }
  for (const char* name : {"lock-zero", "lock-false", "lock-none", "lock-empty"}) {
    CAPTURE(name);
    CHECK(!parse_lock(recorded(name)).held);
  }
  CHECK(is_damaged_lock(""));
  CHECK(is_damaged_lock("1"));
  CHECK(is_damaged_lock(recorded("lock-one") + "x"));
  CHECK(is_damaged_lock(recorded("state-0")));
}

TEST_CASE("our own lock tells whose it is, in a text that Python takes for true") {
  Owner owner;
  owner.id = "0123456789abcdef0123456789abcdef";
  owner.who.pid = 4711;
  owner.who.host = "host";
  owner.pid_namespace = 4026531836;
  CHECK(pickled(owner) == recorded("lock-ours"));
  CHECK(parse_lock(pickled(owner)).held);
  CHECK(parse_lock(pickled(owner)).owner == owner);
  owner.has_end = true;
  CHECK(parse_lock(pickled(owner)).owner == owner);
}

TEST_CASE("a host that is no UTF-8, or very long, does not make the lock unreadable for Python") {
  Owner owner;
  owner.id = id_of(7);
  owner.who.host = "h\xff\xfe" + std::string(300, 'x');
  const LockValue read = parse_lock(pickled(owner));
  REQUIRE(read.owner);
  CHECK(read.owner->who.host == "h??" + std::string(61, 'x'));
}
