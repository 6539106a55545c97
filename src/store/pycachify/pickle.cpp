#include "store/pycachify/pickle.h"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cmath>

#include "util/text.h"

namespace cachify::store::pycachify {

namespace {

// Named as in Python's pickletools.
enum Opcode : uint8_t {
  kMark = 0x28,
  kEmptyTuple = 0x29,
  kStop = 0x2e,
  kFloat = 0x47,
  kInt4 = 0x4a,
  kInt1 = 0x4b,
  kInt2 = 0x4d,
  kNone = 0x4e,
  kLongText = 0x58,
  kBuild = 0x62,
  kGlobal = 0x63,
  kGet1 = 0x68,
  kGet4 = 0x6a,
  kPut1 = 0x71,
  kPut4 = 0x72,
  kSetItem = 0x73,
  kSetItems = 0x75,
  kEmptyDict = 0x7d,
  kProtocol = 0x80,
  kNewObject = 0x81,
  kTrue = 0x88,
  kFalse = 0x89,
  kShortText = 0x8c,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

constexpr std::string_view kModule = "py_cachify._backend._pool_state";
constexpr std::string_view kClass = "PoolState";
constexpr std::string_view kMember = "slots";
constexpr size_t kIdLength = 32;
constexpr uint8_t kOldestProtocol = 2;
constexpr uint8_t kNewestProtocol = 5;
constexpr uint8_t kWrittenProtocol = 4;

bool is_id(std::string_view text) noexcept {
  return text.size() == kIdLength && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

// Takes a pickle apart from its start. Frames are followed on the way: an opcode may not cross the
// end of one.
class Reader {
 public:
  explicit Reader(std::string_view bytes) : bytes_(bytes) {
    if (bytes.size() > kMostBytes) damaged("too long");
    if (byte() != kProtocol) damaged("no pickle");
    const uint8_t protocol = byte();
    if (protocol < kOldestProtocol || protocol > kNewestProtocol) damaged("another protocol");
  }

  [[noreturn]] void damaged(const char* what) const {
    throw Damaged(std::string(what) + " at byte " + std::to_string(at_));
  }

  // The next opcode, without taking it.
  uint8_t look() {
    while (!next_) {
      if (at_ == frame_end_) frame_end_ = kNoFrame;
      const uint8_t opcode = byte();
      if (opcode == kFrame) {
        begin_frame();
      } else {
        next_ = opcode;
      }
    }
    return *next_;
  }
  uint8_t opcode() {
    const uint8_t opcode = look();
    next_.reset();
    return opcode;
  }
  void expect(Opcode wanted) {
    if (opcode() != wanted) damaged("an unexpected opcode");
  }

  // What an opcode leaves on the stack may be remembered; `text` where it is one.
  void remember(std::string_view text = {}) {
    size_t index = memo_.size();
    switch (look()) {
      case kMemoize:
        next_.reset();
        break;
      case kPut1:
        next_.reset();
        index = number<uint8_t>();
        break;
      case kPut4:
        next_.reset();
        index = number<uint32_t>();
        break;
      default:
        return;
    }
    // Who writes a state remembers a few things, and one for each slot, of 34 bytes at least.
    if (index > bytes_.size() / 32 + 64) damaged("too much to remember");
    if (index >= memo_.size()) memo_.resize(index + 1);
    memo_[index] = text;
  }

  bool at_text() {
    const uint8_t opcode = look();
    return opcode == kShortText || opcode == kLongText || opcode == kGet1 || opcode == kGet4;
  }
  std::string_view text() {
    size_t size = 0;
    switch (opcode()) {
      case kShortText:
        size = number<uint8_t>();
        break;
      case kLongText:
        size = number<uint32_t>();
        break;
      case kGet1:
        return remembered(number<uint8_t>());
      case kGet4:
        return remembered(number<uint32_t>());
      default:
        damaged("no text");
    }
    const std::string_view text = take(size);
    remember(text);
    return text;
  }

  bool at_number() {
    const uint8_t opcode = look();
    return opcode == kFloat || opcode == kInt1 || opcode == kInt2 || opcode == kInt4;
  }
  double number_value() {
    switch (opcode()) {
      case kFloat: {
        uint64_t bits = 0;
        for (const char c : take(sizeof bits)) bits = bits << 8U | static_cast<uint8_t>(c);
        const auto value = std::bit_cast<double>(bits);
        if (std::isnan(value)) damaged("no number");
        return value;
      }
      case kInt1:
        return number<uint8_t>();
      case kInt2:
        return number<uint16_t>();
      case kInt4:
        return static_cast<int32_t>(number<uint32_t>());
      default:
        damaged("no number");
    }
  }

  // As text and as an opcode of its own, up to the end of a line.
  std::string_view line() {
    const size_t size = bytes_.substr(at_, 256).find('\n');
    if (size == std::string_view::npos) damaged("no line");
    const std::string_view line = take(size);
    take(1);
    return line;
  }

  void finish() {
    expect(kStop);
    if (at_ != bytes_.size()) damaged("more behind the end");
    if (frame_end_ != kNoFrame && frame_end_ != at_) damaged("a frame that does not end");
  }

 private:
  static constexpr size_t kNoFrame = SIZE_MAX;

  std::string_view take(size_t size) {
    const size_t end = frame_end_ == kNoFrame ? bytes_.size() : frame_end_;
    if (size > end - at_) damaged("cut short");
    const std::string_view part = bytes_.substr(at_, size);
    at_ += size;
    return part;
  }
  uint8_t byte() { return static_cast<uint8_t>(take(1).front()); }
  // Little-endian.
  template <class Unsigned>
  Unsigned number() {
    Unsigned value = 0;
    const std::string_view part = take(sizeof value);
    for (size_t i = part.size(); i-- > 0;) {
      value =
          static_cast<Unsigned>(static_cast<uint64_t>(value) << 8U | static_cast<uint8_t>(part[i]));
    }
    return value;
  }
  void begin_frame() {
    if (frame_end_ != kNoFrame) damaged("a frame inside a frame");
    const auto size = number<uint64_t>();
    if (size > bytes_.size() - at_) damaged("a frame that is cut short");
    frame_end_ = at_ + static_cast<size_t>(size);
  }
  std::string_view remembered(size_t index) const {
    if (index >= memo_.size() || memo_[index].data() == nullptr) damaged("nothing remembered");
    return memo_[index];
  }

  std::string_view bytes_;
  size_t at_ = 0;
  size_t frame_end_ = kNoFrame;
  std::optional<uint8_t> next_;
  std::vector<std::string_view> memo_;
};

void read_class(Reader& reader) {
  std::string_view module;
  std::string_view name;
  if (reader.look() == kGlobal) {
    reader.opcode();
    module = reader.line();
    name = reader.line();
  } else {
    module = reader.text();
    name = reader.text();
    reader.expect(kStackGlobal);
  }
  if (module != kModule || name != kClass) reader.damaged("no PoolState");
  reader.remember();
}

void read_slot(Reader& reader, PoolState& state) {
  const std::string_view id = reader.text();
  if (!is_id(id)) reader.damaged("no slot id");
  state.push_back({std::string(id), reader.number_value()});
}

void read_slots(Reader& reader, PoolState& state) {
  while (true) {
    if (reader.look() == kMark) {
      reader.opcode();
      while (reader.look() != kSetItems) read_slot(reader, state);
      reader.expect(kSetItems);
    } else if (reader.at_text()) {
      read_slot(reader, state);
      reader.expect(kSetItem);
    } else {
      return;
    }
  }
}

void check_unique(const PoolState& state) {
  std::vector<std::string_view> ids;
  ids.reserve(state.size());
  for (const Slot& slot : state) ids.push_back(slot.id);
  std::sort(ids.begin(), ids.end());
  if (std::adjacent_find(ids.begin(), ids.end()) != ids.end()) throw Damaged("a slot twice");
}

// Writes like the pickler of CPython: what has been written is closed as a frame as soon as the
// next object begins and 64 KiB have come together; a frame of fewer than four bytes has no head.
class Writer {
 public:
  explicit Writer(size_t expected) {
    bytes_.reserve(expected);
    bytes_ += static_cast<char>(kProtocol);
    bytes_ += static_cast<char>(kWrittenProtocol);
  }

  Writer& opcode(Opcode opcode) {
    open_frame();
    bytes_ += static_cast<char>(opcode);
    return *this;
  }
  Writer& text(std::string_view text) {
    next_object();
    opcode(kShortText);
    bytes_ += static_cast<char>(text.size());
    bytes_ += text;
    return opcode(kMemoize);
  }
  Writer& number(double value) {
    next_object();
    opcode(kFloat);
    const auto bits = std::bit_cast<uint64_t>(value);
    for (int shift = 56; shift >= 0; shift -= 8) bytes_ += static_cast<char>(bits >> shift & 0xffU);
    return *this;
  }
  void next_object() {
    if (frame_ != kNoFrame && bytes_.size() - frame_ - kHead >= kFrameSize) close_frame();
  }
  std::string finish() {
    opcode(kStop);
    close_frame();
    return std::move(bytes_);
  }

 private:
  static constexpr size_t kNoFrame = SIZE_MAX;
  static constexpr size_t kHead = 9;
  static constexpr size_t kFrameSize = 64UL * 1024;
  static constexpr size_t kLeastFrame = 4;

  void open_frame() {
    if (frame_ != kNoFrame) return;
    frame_ = bytes_.size();
    bytes_.append(kHead, static_cast<char>(kFrame));
  }
  void close_frame() {
    uint64_t size = bytes_.size() - frame_ - kHead;
    if (size < kLeastFrame) {
      bytes_.erase(frame_, kHead);
    } else {
      for (size_t i = 1; i < kHead; ++i, size >>= 8U) {
        bytes_[frame_ + i] = static_cast<char>(size & 0xffU);
      }
    }
    frame_ = kNoFrame;
  }

  std::string bytes_;
  size_t frame_ = kNoFrame;
};

void write_slots(Writer& writer, const PoolState& state) {
  constexpr size_t kBatch = 1000;
  const auto write = [&](const Slot& slot) { writer.text(slot.id).number(slot.ends); };
  if (state.empty()) return;
  if (state.size() == 1) {
    write(state.front());
    writer.opcode(kSetItem);
    return;
  }
  // A full batch is followed by another one, were it empty.
  for (size_t begin = 0; begin <= state.size(); begin += kBatch) {
    const size_t end = std::min(begin + kBatch, state.size());
    writer.opcode(kMark);
    for (size_t i = begin; i < end; ++i) write(state[i]);
    writer.opcode(kSetItems);
    if (end - begin < kBatch) break;
  }
}

// --- locks ---------------------------------------------------------------------------------------

// cachify:renewed:ID:PID:NAMESPACE:HOST, or cachify:ends:...
constexpr std::string_view kRenewed = "cachify:renewed:";
constexpr std::string_view kEnds = "cachify:ends:";
constexpr size_t kLongestHost = 64;

std::string_view next_part(std::string_view& text) {
  const size_t end = text.find(':');
  if (end == std::string_view::npos) return {};
  const std::string_view part = text.substr(0, end);
  text.remove_prefix(end + 1);
  return part;
}

template <class Number>
bool read_number(std::string_view digits, Number& number) {
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  return error == std::errc() && stop == end;
}

// nullopt: not one of ours.
std::optional<Owner> parse_owner(std::string_view text) {
  Owner owner;
  owner.has_end = text.starts_with(kEnds);
  if (!owner.has_end && !text.starts_with(kRenewed)) return std::nullopt;
  text.remove_prefix(owner.has_end ? kEnds.size() : kRenewed.size());
  owner.id = next_part(text);
  if (!is_id(owner.id)) return std::nullopt;
  if (!read_number(next_part(text), owner.who.pid)) return std::nullopt;
  if (!read_number(next_part(text), owner.pid_namespace)) return std::nullopt;
  owner.who.host = text;
  return owner;
}

// Python decodes it as UTF-8, and would fail over anything else.
std::string host_text(std::string_view host) {
  std::string text(host.substr(0, kLongestHost));
  for (char& c : text) {
    if (c <= ' ' || c > '~') c = '?';
  }
  return text;
}

}  // namespace

PoolState parse_pool(std::string_view bytes) {
  Reader reader(bytes);
  PoolState state;
  read_class(reader);
  reader.expect(kEmptyTuple);
  reader.expect(kNewObject);
  reader.remember();
  reader.expect(kEmptyDict);
  reader.remember();
  if (reader.text() != kMember) reader.damaged("another member than slots");
  reader.expect(kEmptyDict);
  reader.remember();
  read_slots(reader, state);
  reader.expect(kSetItem);
  reader.expect(kBuild);
  reader.finish();
  check_unique(state);
  return state;
}

std::string pickled(const PoolState& state) {
  constexpr size_t kFixed = 128;
  constexpr size_t kEntry = 44;
  Writer writer(kFixed + state.size() * (kEntry + 1));
  writer.text(kModule).text(kClass).opcode(kStackGlobal).opcode(kMemoize);
  writer.opcode(kEmptyTuple).opcode(kNewObject).opcode(kMemoize);
  writer.opcode(kEmptyDict).opcode(kMemoize).text(kMember);
  writer.opcode(kEmptyDict).opcode(kMemoize);
  write_slots(writer, state);
  writer.opcode(kSetItem).opcode(kBuild);
  return writer.finish();
}

LockValue parse_lock(std::string_view bytes) {
  Reader reader(bytes);
  LockValue value;
  if (reader.at_text()) {
    const std::string_view text = reader.text();
    value.held = !text.empty();
    value.owner = parse_owner(text);
  } else if (reader.at_number()) {
    value.held = reader.number_value() != 0;
  } else {
    const uint8_t opcode = reader.opcode();
    if (opcode != kTrue && opcode != kFalse && opcode != kNone) reader.damaged("no value");
    value.held = opcode == kTrue;
  }
  reader.finish();
  return value;
}

std::string pickled(const Owner& owner) {
  std::string text(owner.has_end ? kEnds : kRenewed);
  text += owner.id;
  text += ':';
  text += std::to_string(owner.who.pid);
  text += ':';
  text += std::to_string(owner.pid_namespace);
  text += ':';
  text += host_text(owner.who.host);
  std::string bytes;
  for (const uint8_t byte : {uint8_t{kProtocol}, kWrittenProtocol, uint8_t{kShortText},
                             static_cast<uint8_t>(text.size())}) {
    bytes += static_cast<char>(byte);
  }
  bytes += text;
  bytes += static_cast<char>(kStop);
  return bytes;
}

}  // namespace cachify::store::pycachify
