// One run: join the network, connect, handshake, check the certificate, ask, read the reply, judge it.
//
// The body of a reply is the server's text among the client's. `@<tag> reply begin` and `@<tag> reply end` stand around it: the server does
// not know the tag, and Printer lets no line of the body begin with `@`.
#pragma once

#include <optional>
#include <string>

#include "answer.h"
#include "platform.h"
#include "settings.h"
#include "tls.h"

class Client {
 public:
  // The tag is that of the command.
  Client(Platform &platform, const Settings &settings, const std::string &tag) : platform(platform), settings(settings), tag(tag) {}

  // What must be set first, or null.
  const char *missing() const;
  // Runs once, with the transcript on the console, and adds what came of it to `answer`.
  void run(Answer &answer);

 private:
  // Each is false where it failed, and then the outcome and the reason are known.
  bool join(const Deadline &total);
  bool connect(const Deadline &total);
  bool exchange(Tls &tls, const Deadline &total);
  bool receiveHead(Tls &tls, std::string &bytes, struct Head &head, const Deadline &deadline);
  bool receiveBody(Tls &tls, std::string &bytes, const struct Head &head, const Deadline &deadline);

  Deadline phase(Phase phase, const Deadline &total) const;
  bool fail(const char *outcome, const std::string &reason);
  void say(const std::string &line);
  void write(const std::string &text);
  void describeTo(Answer &answer) const;

  Platform &platform;
  const Settings &settings;
  const std::string &tag;
  const char *outcome = "";
  std::string reason;
  Evidence evidence;
  bool proved = false;
  std::optional<uint16_t> status;
  std::optional<uint32_t> printed;
};
