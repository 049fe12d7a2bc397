//! An ESP32-C3 in software, behind a tty
