// The reply as its bytes come: HTTP/1.1 heads (RFC 9112), bodies and their ends, the verdict, and how to print what a hostile server may
// have written.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>

#include "json.h"

// How the end of a body is told (RFC 9112, section 6.3).
enum class Framing { Length, Chunked, UntilClose };

// The longest head that is taken, in bytes, and how many interim replies may come before the final one.
constexpr size_t MAX_HEAD = 8192;
constexpr size_t MAX_INTERIM = 8;

struct Head {
  uint16_t status = 0;
  Framing framing = Framing::UntilClose;
  uint64_t length = 0;

  bool isInterim() const { return status != 101 && status < 200; }

  // Whether a reply of this status ends with its head, whatever its fields say (RFC 9112, section 6.3).
  bool hasNoBody() const { return status < 200 || status == 204 || status == 304; }

  // Where the body starts, or 0 before the whole head has come. Each of the two returns a reason, or null.
  static const char *findEnd(const std::string &bytes, size_t &end);
  const char *read(const std::string &bytes);
};

// Follows a body to its end.
class Body {
 public:
  explicit Body(const Head &head);

  // Takes the next bytes, and appends the content in them to `content`. Returns a reason, or null; `taken` says how many belong to the
  // body: where it cannot be followed, those before the byte that is wrong.
  const char *take(const char *bytes, size_t length, std::string &content, size_t &taken);
  bool isDone() const { return state == State::Done; }
  // Whether the connection may end here.
  bool mayEnd() const { return state == State::Done || state == State::UntilClose; }

 private:
  enum class State { Data, UntilClose, Size, DataEnd, Trailer, Done };
  enum class SizePart { Digits, Padding, Extension };

  bool takeSizeByte(char byte);
  bool takeDataEnd(char byte);
  bool takeTrailerByte(char byte);
  void startSize();

  State state;
  bool chunked;
  uint64_t left = 0;      // bytes of data, or the size so far
  SizePart part = SizePart::Digits;
  unsigned digits = 0;     // of the size; zeros in front do not count
  unsigned lineBytes = 0;  // of a size's line, or of a trailer line
  bool cr = false;         // of a line end only CR has come
};

// Seeks the verdict in a body. The original rule sees the body as it came, and looks at no status.
class Judge {
 public:
  Judge(bool robust, uint16_t status);

  void lookAt(const std::string &bytes);
  bool decided() const { return verdict != Verdict::Open; }
  // Decides with what has been seen so far; it stays so.
  bool settle();
  // Under the robust rule, whether a success did not end as one JSON object with one state, or an object became malformed, or ended,
  // before it told its state. A failure is not doubted, and neither is a body that is not an object at all.
  bool isMalformed() const;

 private:
  enum class Verdict { Open, Success, Failure };

  void decide(bool success);
  void lookAtJson(char byte);
  void tell(bool success);

  const bool robust;
  const uint16_t status;
  Verdict verdict = Verdict::Open;
  size_t matched = 0;
  // Finding the member `state` of the JSON object that a body is.
  JsonReader reader;
  bool isObject = false;  // the body has begun as one
  bool atState = false;   // the value that comes is that of a member `state`
  bool told = false;      // the object has told its state, or that it has none
  uint32_t states = 0;
};

// Lines end in CRLF, other control characters come as `\xNN`, and so does an `@` at the start of a line, which would read as a machine line.
class Printer {
 public:
  std::string print(const std::string &bytes);
  // What to print behind the body, so that the next line starts at a line's start.
  std::string finish();

 private:
  bool atLineStart = true;
};
