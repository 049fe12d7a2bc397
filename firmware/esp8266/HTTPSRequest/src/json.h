// Checks a JSON text (RFC 8259) byte by byte, and tells what it is made of. firmware/app/src/json.rs is the same in Rust, and says more.
//
// Nothing is kept of the text but the start of its last string, so a text of any length can be read in the memory of a chip.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <string>

class JsonReader {
 public:
  // What a byte has completed or begun.
  enum class Event {
    None,
    Object,     // an object has begun
    Array,      // an array has begun
    End,        // the innermost object or array has ended
    Key,        // a member's key is complete
    Text,       // a string that is a value is complete
    Scalar,     // a number, true, false or null has begun
    Malformed,  // this is not the start of a JSON text, or it is nested too deep; all that follows is malformed too
  };

  Event take(char byte);
  // Whether the bytes so far are a whole JSON text.
  bool isComplete() const;
  // How many arrays and objects are open: behind an event, including one that it began and without one that it ended.
  size_t depth() const { return open; }
  // The first bytes of the last string, without escapes: enough to compare it with a word of less than 16 bytes in ASCII.
  const std::string &text() const { return kept; }

 private:
  // How deep arrays and objects may be nested.
  static constexpr size_t MAX_DEPTH = 512;

  enum class State { Value, FirstItem, FirstKey, Key, Colon, Comma, String, Number, Literal, Complete, Malformed };
  enum class InString { Character, Escape, Unicode, Utf8 };
  enum class InNumber { Minus, Zero, Integer, Point, Fraction, E, ExponentSign, Exponent };

  Event refuse();
  Event beginValue(char byte);
  Event beginString(bool asKey);
  Event beginNumber(InNumber at);
  Event beginLiteral(const char *rest);
  Event openContainer(bool isObject);
  Event closeContainer();
  Event takeInString(char byte);
  bool takeInNumber(char byte);
  bool beginCharacter(uint8_t byte);
  bool mayEndNumber() const;
  bool inObject() const;
  void valueEnded() { state = open == 0 ? State::Complete : State::Comma; }
  void keep(char byte);

  State state = State::Value;
  uint8_t objects[MAX_DEPTH / 8] = {};  // a bit for each open container, the outermost first: whether it is an object
  size_t open = 0;
  std::string kept;
  bool isKey = false;
  InString inString = InString::Character;
  InNumber inNumber = InNumber::Minus;
  const char *literal = "";     // what is to come of true, false or null
  uint16_t unicode = 0;         // of \uXXXX
  unsigned left = 0;            // digits of it, or bytes of a character, that are to come
  uint8_t least = 0, most = 0;  // what the next byte of a character must be between
};
