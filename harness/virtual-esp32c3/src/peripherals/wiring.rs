//! The connections between peripherals, none of which knows another: signals through the GPIO matrix, bytes between
//! UARTs, keys from the eFuses, wake-up sources, sleep, the RTC's slow clock, the power of RSA's memory, and requests
//! for resets.
//! (ESP32-C3 Technical Reference Manual, chapters "IO MUX and GPIO Matrix", "HMAC Accelerator", "Low-power
//! Management".)

use super::clocks::Clocks;
use super::peripheral::Peripheral;
use super::signals::{self, Outputs};
use super::sleep::WakeInputs;
use super::table::{Units, each};
use crate::log::ResetCause;

impl Units {
    /// Passes on signals, bytes, keys and power. The bus calls it after everything that may have changed one of them.
    /// `now` is the digital clock.
    pub(super) fn wire(&mut self, now: u64) {
        let mut outputs = Outputs::default();
        each!(&self, unit => unit.drive(&mut outputs));
        self.gpio.set_outputs(outputs);
        let inputs = self.gpio.sensed();
        each!(&mut self, unit => unit.sense(&inputs));
        self.pass_uart_bytes(now);
        self.pass_keys();
        self.switch_rsa_memory();
    }

    /// Passes bytes that a UART has sent to the UARTs that listen at the same pad. They take no time, so that they pass
    /// as bytes and not as levels.
    fn pass_uart_bytes(&mut self, now: u64) {
        for (from, bytes) in [
            (signals::U0_DATA, self.uart0.take_emitted()),
            (signals::U1_DATA, self.uart1.take_emitted()),
        ] {
            if bytes.is_empty() {
                continue;
            }
            for (to, uart) in [(signals::U0_DATA, &mut self.uart0), (signals::U1_DATA, &mut self.uart1)] {
                if self.gpio.connects(from, to) {
                    uart.receive(&bytes, now);
                }
            }
        }
    }

    /// Passes the key that the HMAC accelerator requests from the eFuses to it, and the key that it has derived to the
    /// digital signature unit.
    fn pass_keys(&mut self) {
        if let Some(request) = self.hmac.take_request() {
            self.hmac.use_key(request, self.efuse.key(request.key));
        }
        if self.signature.take_start() {
            self.signature.take_key(self.hmac.signature_key());
        }
    }

    /// Switches the memory of the RSA accelerator on or off, as SYSTEM says.
    fn switch_rsa_memory(&mut self) {
        if self.system.powers_rsa_memory() {
            self.rsa.switch_memory_on();
        } else {
            self.rsa.switch_memory_off();
        }
    }

    /// Tells RTC control what may wake the chip.
    pub(super) fn observe_wake_sources(&mut self) {
        self.rtc.observe(WakeInputs {
            sources: self.wake_sources(),
            pads: self.gpio.pads(),
        });
    }

    /// Stops the digital clock when RTC control lets the chip sleep, starts it when the chip wakes, and passes on the
    /// frequency of the slow clock. `time` is the hart's clock.
    pub(super) fn follow_rtc(&mut self, clocks: &mut Clocks, time: u64) {
        match (self.rtc.sleeping(), clocks.asleep()) {
            (Some(_), false) => {
                clocks.stop(time);
                each!(&mut self, unit => unit.sleep());
            }
            (None, true) => {
                clocks.start(time);
                each!(&mut self, unit => unit.wake());
            }
            _ => {}
        }
        let slow_hz = self.rtc.slow_hz();
        each!(&mut self, unit => unit.set_slow_clock(slow_hz));
    }

    /// The reset that a peripheral asks for. If several do, the first in the table counts, and the others are dropped.
    pub(super) fn take_reset(&mut self) -> Option<ResetCause> {
        let mut asked = None;
        each!(&mut self, unit => {
            let by_this_one = unit.take_reset();
            asked = asked.or(by_this_one);
        });
        asked
    }
}
