#include "shell.h"

#include "client.h"

namespace {

constexpr size_t MAX_LINE = 1024;
constexpr size_t MAX_TAG = 16;
// The console's version: a harness refuses one that it does not know. Version 2 marks where a reply begins and ends.
constexpr uint32_t CONSOLE_VERSION = 2;

// Well-formed UTF-8 (RFC 3629): no overlong forms, no surrogates.
bool isUtf8(const std::string &text) {
  for (size_t at = 0; at < text.size();) {
    const uint8_t first = static_cast<uint8_t>(text[at++]);
    if (first < 0x80) continue;
    const int more = first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : 0;
    if (more == 0) return false;
    for (int index = 0; index < more; index++, at++) {
      if (at == text.size()) return false;
      const uint8_t next = static_cast<uint8_t>(text[at]);
      const uint8_t least = index > 0 ? 0x80 : first == 0xe0 ? 0xa0 : first == 0xf0 ? 0x90 : 0x80;
      const uint8_t most = index > 0 ? 0xbf : first == 0xed ? 0x9f : first == 0xf4 ? 0x8f : 0xbf;
      if (next < least || next > most) return false;
    }
  }
  return true;
}

// The tag of a line, or of its beginning; `-` where it has none.
std::string tagOf(const std::string &line) {
  if (line.empty() || line[0] != '#') return "-";
  const size_t space = line.find(' ');
  const std::string tag = line.substr(1, space == std::string::npos ? space : space - 1);
  for (char character : tag) {
    if ((character < '0' || character > '9') && (character < 'a' || character > 'z')) return "-";
  }
  return tag.empty() || tag.size() > MAX_TAG ? "-" : tag;
}

}  // namespace

void Shell::begin() {
  Answer ready = Answer::event("ready");
  identify(ready);
  answer(ready);
}

void Shell::take(char byte) {
  if (byte == '\n') {
    const std::string whole = std::move(line);
    line.clear();
    if (tooLong) {
      refuse(tagOf(whole), {"line", "too-long", "a line has at most 1024 bytes"});
    } else {
      takeLine(whole);
    }
    tooLong = false;
  } else if (byte != '\r' && !tooLong) {
    if (line.size() == MAX_LINE) {
      tooLong = true;
      // A tag, with what stands around it.
      line.resize(1 + MAX_TAG + 1);
    } else {
      line += byte;
    }
  }
}

void Shell::takeLine(const std::string &text) {
  if (text.empty()) return;
  const std::string tag = tagOf(text);
  if (!isUtf8(text)) return refuse(tag, {"line", "not-utf8", "send UTF-8"});
  if (text[0] != '#') return carryOut(tag, text);
  if (tag == "-") return refuse(tag, {"line", "bad-tag", "a tag is 1-16 of 0-9 and a-z"});
  const size_t space = text.find(' ');
  carryOut(tag, space == std::string::npos ? "" : text.substr(space + 1));
}

void Shell::carryOut(const std::string &tag, const std::string &command) {
  const size_t space = command.find(' ');
  const std::string word = command.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : command.substr(space + 1);

  if (word == "set") {
    if (const auto error = settings.set(rest, platform.now())) return refuse(tag, *error);
    return answer(Answer::ok(tag, "set"));
  }
  if (word == "clear") {
    if (rest != "password") return refuse(tag, {"clear", "unknown-setting", "use: clear password"});
    settings.password.reset();
    return answer(Answer::ok(tag, "clear"));
  }
  if (word == "test") {
    if (rest == "panic") {
      const char said[] = "@- panic message=\"asked for by the command `test panic`\" location=\"shell.cpp\"\r\n";
      platform.write(said, sizeof said - 1);
      return platform.restart();
    }
    if (rest != "hang") return refuse(tag, {"test", "unknown-test", "use: test panic|hang"});
    answer(Answer::ok(tag, "test"));
    return platform.hang();
  }
  for (const char *bare : {"hello", "show", "run", "status", "reboot"}) {
    if (word == bare && space != std::string::npos) {
      return refuse(tag, {bare, "unexpected-argument", "this command takes none"});
    }
  }
  if (word == "hello") {
    Answer hello = Answer::ok(tag, "hello");
    identify(hello);
    answer(hello);
  } else if (word == "show") {
    Answer shown = Answer::ok(tag, "show");
    settings.describeTo(shown);
    answer(shown);
  } else if (word == "run") {
    Client client(platform, settings, tag);
    if (const char *missing = client.missing()) return answer(Answer::error(tag, "run", "not-configured", missing));
    Answer result = Answer::ok(tag, "run");
    client.run(result);
    answer(result);
  } else if (word == "status") {
    const Usage usage = platform.usage();
    answer(Answer::ok(tag, "status")
               .field("heap-size", usage.heapSize)
               .field("heap-used", usage.heapUsed)
               .field("heap-peak", usage.heapPeak)
               .field("stack-size", usage.stackSize)
               .field("stack-peak", usage.stackPeak)
               .field("uptime-ms", platform.now()));
  } else if (word == "reboot") {
    answer(Answer::ok(tag, "reboot"));
    platform.restart();
  } else {
    refuse(tag, {"line", "unknown-command", "use hello, set, clear, show, run, status or reboot"});
  }
}

void Shell::identify(Answer &answer) {
  const Identity identity = platform.identity();
  answer.field("firmware", "pinrig-esp8266")
      .field("version", "0.1.0")
      .field("image", identity.image)
      .field("board", identity.board)
      .field("console", CONSOLE_VERSION)
      .field("reset", identity.reset);
}

void Shell::answer(const Answer &answer) {
  const std::string text = answer.finish();
  platform.write(text.data(), text.size());
}

void Shell::refuse(const std::string &tag, const CommandError &error) {
  answer(Answer::error(tag, error.command, error.code, error.detail));
}
