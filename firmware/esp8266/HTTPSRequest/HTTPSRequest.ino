// The classic "HTTPSRequest" client on its original board: it connects, checks the certificate's fingerprint, asks GitHub for a build's status
// and prints the verdict. What the original had as constants is set over the serial console; see ../../README.md for its language.
//
// For the ESP8266 core 3.x (C++17, BearSSL). Everything that does not depend on the chip is in src/.

#include <ESP8266WiFi.h>
#include <StackThunk.h>
#include <WiFiClientSecure.h>

#include "src/shell.h"

extern "C" {
#include <user_interface.h>
}

namespace {

constexpr uint32_t BAUD = 115200;
// A line of the console is no longer than half of it.
constexpr size_t RECEIVE_BUFFER = 2048;

class Esp8266 : public Platform {
 public:
  void write(const char *bytes, size_t length) override { Serial.write(bytes, length); }

  // millis() wraps round after 50 days.
  uint64_t now() override { return micros64() / 1000; }
  void pause() override { delay(1); }
  void random(uint8_t *bytes, size_t length) override { ESP.random(bytes, length); }

  bool wireless() const override { return true; }

  Joined join(const std::string &name, const std::string *password) override {
    const std::string wanted = password != nullptr ? *password : std::string();
    if (!begun || name != joinedName || wanted != joinedPassword) {
      begun = true;
      joinedName = name;
      joinedPassword = wanted;
      // Nothing of it goes into the flash, and an old network is not joined behind the sketch's back.
      WiFi.persistent(false);
      WiFi.mode(WIFI_STA);
      WiFi.disconnect();
      WiFi.begin(name.c_str(), password != nullptr ? password->c_str() : nullptr);
    }
    switch (WiFi.status()) {
      case WL_CONNECTED: return Joined::Yes;
      case WL_NO_SSID_AVAIL: begun = false; return Joined::NotFound;
      case WL_CONNECT_FAILED:
      case WL_WRONG_PASSWORD: begun = false; return Joined::Refused;
      default: return Joined::NotYet;
    }
  }

  Address address() override { return octets(WiFi.localIP()); }

  Resolved resolve(const std::string &host, uint32_t limit, Address &found) override {
    IPAddress answer;
    if (WiFi.hostByName(host.c_str(), answer, limit) != 1) return Resolved::Failed;
    found = octets(answer);
    return Resolved::Yes;
  }

  Opened connect(const Endpoint &to, uint32_t limit) override {
    const uint32_t start = millis();
    tcp.setTimeout(limit);
    const uint8_t *octet = to.address.octets;
    if (tcp.connect(IPAddress(octet[0], octet[1], octet[2], octet[3]), to.port)) {
      tcp.setNoDelay(true);
      return Opened::Yes;
    }
    // The core says that it failed and not why: a refusal comes at once.
    return millis() - start < limit ? Opened::Refused : Opened::TimedOut;
  }

  int send(const uint8_t *bytes, size_t length) override {
    if (!tcp.connected()) return CONNECTION_ENDED;
    const int room = tcp.availableForWrite();
    return room <= 0 ? 0 : static_cast<int>(tcp.write(bytes, std::min(length, static_cast<size_t>(room))));
  }

  int receive(uint8_t *bytes, size_t length) override {
    if (tcp.available() > 0) return tcp.read(bytes, length);
    // The core tells no reset from an end.
    return tcp.connected() ? 0 : CONNECTION_ENDED;
  }

  void close() override { tcp.stop(); }

  Identity identity() override { return {"wifi", image(), reset()}; }

  Usage usage() override {
    const uint32_t left = ESP.getFreeHeap();
    mostUsed = std::max(mostUsed, HEAP - std::min(HEAP, left));
    return {HEAP, HEAP - std::min(HEAP, left), mostUsed, STACK, STACK - ESP.getFreeContStack()};
  }

  void restart() override {
    Serial.flush();
    ESP.restart();
  }

  void hang() override {
    Serial.flush();
    // Neither watchdog is fed: the hardware's resets the chip after some eight seconds.
    ESP.wdtDisable();
    noInterrupts();
    for (;;) {
    }
  }

 private:
  // What the core's linker script leaves, and what it gives to a sketch.
  static constexpr uint32_t HEAP = 80 * 1024;
  static constexpr uint32_t STACK = 4096;

  static Address octets(const IPAddress &address) { return {{address[0], address[1], address[2], address[3]}}; }

  // The .bin lies at the flash's start as it was built, so that it hashes to what the file does.
  static std::string image() {
    br_sha256_context hash;
    br_sha256_init(&hash);
    alignas(4) uint8_t bytes[256];
    const uint32_t size = ESP.getSketchSize();
    for (uint32_t at = 0; at < size; at += sizeof bytes) {
      if (!ESP.flashRead(at, reinterpret_cast<uint32_t *>(bytes), sizeof bytes)) return std::string(16, '0');
      br_sha256_update(&hash, bytes, std::min<uint32_t>(sizeof bytes, size - at));
    }
    Fingerprint digest = {};
    br_sha256_out(&hash, digest.bytes);
    digest.length = 8;
    return digest.hex();
  }

  static const char *reset() {
    switch (ESP.getResetInfoPtr()->reason) {
      case REASON_DEFAULT_RST: return "power-on";
      case REASON_WDT_RST: return "hardware-watchdog";
      case REASON_EXCEPTION_RST: return "exception";
      case REASON_SOFT_WDT_RST: return "software-watchdog";
      case REASON_SOFT_RESTART: return "software";
      case REASON_DEEP_SLEEP_AWAKE: return "deep-sleep";
      case REASON_EXT_SYS_RST: return "external";
      default: return "unknown";
    }
  }

  WiFiClient tcp;
  bool begun = false;
  std::string joinedName, joinedPassword;
  uint32_t mostUsed = 0;
};

Esp8266 board;
Shell shell(board);

}  // namespace

void setup() {
  Serial.setRxBufferSize(RECEIVE_BUFFER);
  Serial.begin(BAUD);
  // BearSSL's own stack, for good: it is the largest block, and the heap is still whole.
  stack_thunk_add_ref();
  shell.begin();
}

void loop() {
  while (Serial.available() > 0) shell.take(static_cast<char>(Serial.read()));
}
