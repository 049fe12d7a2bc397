// Reads requests from the console and carries them out, one at a time: `[#<tag> ]<command>[ <arguments>]`, answered by one line. A line that is
// wrong in any way becomes an error that changes nothing.
#pragma once

#include <string>

#include "answer.h"
#include "platform.h"
#include "settings.h"

class Shell {
 public:
  explicit Shell(Platform &platform) : platform(platform) {}

  // Prints the ready line.
  void begin();
  // Takes one byte of the console. LF ends a line, CR is ignored, and a line that is too long is swallowed to its end and reported once,
  // with the tag that it began with.
  void take(char byte);

 private:
  void takeLine(const std::string &line);
  void carryOut(const std::string &tag, const std::string &command);
  void identify(Answer &answer);
  void answer(const Answer &answer);
  void refuse(const std::string &tag, const CommandError &error);

  Platform &platform;
  Settings settings;
  std::string line;
  bool tooLong = false;
};
