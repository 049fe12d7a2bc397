#include "client.h"

#include <memory>

#include "reply.h"

namespace {

// How long the server is given to take the last bytes.
constexpr uint32_t CLOSE_LIMIT = 2000;
// So much of a body is held back while there is no verdict; then it is none.
constexpr size_t VERDICT_WINDOW = 8192;
// How many bytes of a body go to the console at a time: so much later than its time may a phase end.
constexpr size_t PRINTED_AT_ONCE = 64;
// A dot for each half second of joining.
constexpr uint32_t DOT_PERIOD = 500;

}  // namespace

const char *Client::missing() const {
  if (!settings.pin) return "use: set pin <fingerprint>";
  if (platform.wireless() && !settings.network) return "use: set network <ssid>";
  if (settings.checksDates && settings.clockText.empty()) return "use: set clock <YYYY-MM-DDTHH:MM:SSZ>";
  return nullptr;
}

void Client::run(Answer &answer) {
  const Deadline total(platform, PHASE_NAMES[static_cast<size_t>(Phase::Total)],
                       settings.timeouts[static_cast<size_t>(Phase::Total)]);
  if (join(total)) {
    say("connecting to " + settings.host);
    if (connect(total)) {
      Expectation expectation = {*settings.pin, {}, {}, settings.goesOnAtMismatch};
      if (settings.checksName) expectation.name = settings.host;
      if (settings.checksDates) expectation.date = settings.clock + static_cast<UnixTime>((platform.now() - settings.clockSetAt) / 1000);
      // Too large for a sketch's stack.
      auto tls = std::make_unique<Tls>(platform, expectation);
      exchange(*tls, total);
      platform.close();
    } else {
      say("connection failed");
    }
  }
  describeTo(answer);
}

bool Client::join(const Deadline &total) {
  const Deadline deadline = phase(Phase::Network, total);
  const std::string name = settings.network.value_or("wired network");
  say("connecting to " + name);
  const std::string *password = settings.password ? &*settings.password : nullptr;
  Joined joined = platform.join(name, password);
  if (platform.wireless()) {
    platform.write(".", 1);
    for (uint64_t last = platform.now(); joined == Joined::NotYet && !deadline.passed();) {
      if (platform.now() - last >= DOT_PERIOD) {
        last = platform.now();
        platform.write(".", 1);
      }
      platform.pause();
      joined = platform.join(name, password);
    }
    say("");
  } else {
    say("........");
  }
  switch (joined) {
    case Joined::Yes: break;
    case Joined::NotYet: return fail("network-failed", deadline.reason());
    case Joined::NotFound: return fail("network-failed", "network-not-found");
    case Joined::Refused: return fail("network-failed", "network-refused");
  }
  say("WiFi connected");
  say("IP address:");
  say(describe(platform.address()));
  return true;
}

bool Client::connect(const Deadline &total) {
  const Deadline deadline = phase(Phase::Connect, total);
  Endpoint to = {{}, settings.port};
  if (settings.connectTo) {
    to = *settings.connectTo;
  } else if (const auto address = parseAddress(settings.host)) {
    to.address = *address;
  } else if (platform.resolve(settings.host, deadline.left(), to.address) != Resolved::Yes) {
    return fail("connection-failed", deadline.passed() ? deadline.reason() : "dns");
  }
  const Opened opened = platform.connect(to, deadline.left());
  if (opened == Opened::Yes) return true;
  // The limit is the phase's own.
  if (opened == Opened::TimedOut) return fail("connection-failed", deadline.reason());
  return fail("connection-failed", opened == Opened::Refused ? "tcp-refused" : "tcp-unreachable");
}

bool Client::exchange(Tls &tls, const Deadline &total) {
  const bool opened = tls.handshake(settings.host, phase(Phase::Handshake, total));
  evidence = tls.evidence();
  if (!opened) {
    const bool another = evidence.refusal != nullptr && evidence.refusedAsAnother;
    say(another ? "certificate doesn't match" : "connection failed");
    if (another) say("closing connection");
    return fail(evidence.refusal != nullptr ? "refused" : "handshake-failed", tls.reason());
  }
  proved = true;
  say(evidence.isMismatch() ? "certificate doesn't match" : "certificate matches");

  const Deadline deadline = phase(Phase::Response, total);
  say("requesting URL: " + settings.path);
  // The request of the original sketch, byte for byte.
  const std::string request = "GET " + settings.path + " HTTP/1.1\r\nHost: " + settings.host +
                              "\r\nUser-Agent: BuildFailureDetectorESP8266\r\nConnection: close\r\n\r\n";
  bool answered = tls.send(request, deadline) || fail("response-failed", tls.reason());
  if (answered) {
    say("request sent");
    std::string bytes;
    Head head;
    answered = receiveHead(tls, bytes, head, deadline);
    if (answered) {
      status = head.status;
      say("headers received");
      answered = receiveBody(tls, bytes, head, deadline);
    }
  }
  say("closing connection");
  tls.close(Deadline(platform, "close", CLOSE_LIMIT));
  return answered;
}

bool Client::receiveHead(Tls &tls, std::string &bytes, Head &head, const Deadline &deadline) {
  std::string more;
  for (size_t interim = 0; interim <= MAX_INTERIM; interim++) {
    size_t end = 0;
    for (;;) {
      if (const char *wrong = Head::findEnd(bytes, end)) return fail("response-failed", wrong);
      if ((end > 0 ? end : bytes.size()) > MAX_HEAD) return fail("response-failed", "head-too-long");
      if (end > 0) break;
      if (!tls.receive(more, deadline)) return fail("response-failed", tls.reason());
      if (more.empty()) return fail("response-failed", "truncated");
      bytes += more;
    }
    head = Head();
    if (const char *wrong = head.read(bytes.substr(0, end))) return fail("response-failed", wrong);
    bytes.erase(0, end);
    if (!head.isInterim()) return true;
  }
  return fail("response-failed", "too-many-interim-replies");
}

bool Client::receiveBody(Tls &tls, std::string &bytes, const Head &head, const Deadline &deadline) {
  Body body(head);
  Judge judge(settings.robust, head.status);
  Printer printer;
  std::string unprinted, content;
  bool begun = false, success = false;
  std::string wrong;
  printed = 0;

  // Prints the verdict as soon as there is one, and then the body. False where the time is over: such a run says no more.
  const auto print = [&](bool last) {
    if (!begun && !last && !judge.decided() && unprinted.size() < VERDICT_WINDOW) return true;
    if (!begun) {
      begun = true;
      success = judge.settle();
      say(std::string("esp8266/Arduino CI ") + (success ? "successfull!" : "has failed"));
      say("reply was:");
      say("==========");
      write(Answer::reply(tag, "begin").finish());
    }
    for (size_t at = 0; at < unprinted.size(); at += PRINTED_AT_ONCE) {
      const std::string piece = unprinted.substr(at, PRINTED_AT_ONCE);
      write(printer.print(piece));
      printed = *printed + static_cast<uint32_t>(piece.size());
      if (deadline.passed()) return false;
    }
    unprinted.clear();
    return true;
  };

  bool inTime = true;
  for (;;) {
    content.clear();
    size_t taken = 0;
    const char *malformed = body.take(bytes.data(), bytes.size(), content, taken);
    // The original rule sees and prints the body as it came, with the sizes of its chunks.
    if (!settings.robust) content.assign(bytes, 0, taken);
    judge.lookAt(content);
    unprinted += content;
    if (malformed != nullptr) {
      wrong = malformed;
      break;
    }
    inTime = print(false);
    if (!inTime || body.isDone()) break;
    if (!tls.receive(bytes, deadline)) {
      wrong = tls.reason();
      inTime = !deadline.passed();
      break;
    }
    if (bytes.empty()) {
      if (!body.mayEnd()) wrong = "truncated";
      break;
    }
  }
  inTime = inTime && print(true);
  if (begun) {
    // A line end that had to be added is not part of the server's text.
    const std::string lineEnd = printer.finish();
    Answer mark = Answer::reply(tag, "end");
    if (!lineEnd.empty()) mark.field("newline", "added");
    write(lineEnd + mark.finish());
  }
  if (!inTime) return fail("response-failed", deadline.reason());
  say("==========");
  if (!wrong.empty()) return fail("response-failed", wrong);
  if (judge.isMalformed()) return fail("response-failed", "malformed-json");
  outcome = success ? "success" : "failed";
  if (!success) reason = "build-not-successful";
  return true;
}

Deadline Client::phase(Phase phase, const Deadline &total) const {
  const size_t index = static_cast<size_t>(phase);
  return Deadline::within(total, PHASE_NAMES[index], settings.timeouts[index]);
}

bool Client::fail(const char *how, const std::string &why) {
  outcome = how;
  reason = why;
  return false;
}

void Client::say(const std::string &line) { write(line + "\r\n"); }

void Client::write(const std::string &text) { platform.write(text.data(), text.size()); }

void Client::describeTo(Answer &answer) const {
  const auto check = [](std::optional<bool> value) { return !value ? "unchecked" : *value ? "match" : "mismatch"; };
  // Anyone can show a certificate: it counts as a match only with a proof of its key.
  std::optional<bool> pin;
  if (proved || evidence.pinMatches == false) pin = evidence.pinMatches;
  const bool refused = evidence.refusal != nullptr && !evidence.refusedAsAnother;
  answer.field("outcome", outcome).field("pin", check(pin)).field("guard", refused ? "refused" : proved ? "passed" : "unchecked");
  if (evidence.nameMatches) answer.field("name", check(evidence.nameMatches));
  if (evidence.validity) {
    answer.field("dates", *evidence.validity == Validity::Valid     ? "valid"
                          : *evidence.validity == Validity::Expired ? "expired"
                                                                    : "not-yet-valid");
  }
  if (!reason.empty()) answer.field("reason", reason);
  if (status) answer.field("status", *status);
  if (printed) answer.field("body", *printed);
  if (evidence.fingerprint) answer.field("fingerprint", evidence.fingerprint->hex());
}
