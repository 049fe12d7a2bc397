//! GPIO and IO_MUX: 22 pads with pulls, drivers and input buffers, the matrix between pads and peripheral signals, the
//! processor's own eight lines, and interrupts on levels and edges. Stores, levels from outside the chip and the
//! peripherals' output signals enter; levels of pads and of input signals, interrupts and a wake-up source leave. It
//! knows neither what is outside the chip nor what a peripheral does.
//!
//! Several drivers on one pad make a wired AND: low wins. A pad without drivers and pulls is low. Slew rate, drive
//! strength, input filters, synchronisers and the settings for sleep are kept and have no effect.
//! (ESP32-C3 Technical Reference Manual, chapter "IO MUX and GPIO Matrix".)

use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};
use super::signals::{self, Inputs, Outputs};
use crate::log::ResetCause;

/// Number of pads.
pub(crate) const PINS: usize = 22;
/// A bit for each pad.
pub(crate) const ALL: u32 = (1 << PINS) - 1;
/// The offset at which the registers of IO_MUX begin here.
pub(super) const IO_MUX: u32 = 0x1000;

/// The last of the processor's eight lines.
const CPU_GPIO7: u32 = signals::CPU_GPIO0 + 7;
/// The value of FUNCn_OUT_SEL that selects no signal: the pad follows OUT and ENABLE.
const SIGNAL_GPIO: u32 = 128;
/// Values of FUNCn_IN_SEL that select no pad but a constant level.
const ALWAYS_HIGH: u32 = 0x1E;
const ALWAYS_LOW: u32 = 0x1F;
/// The pads that belong to UART0 without the matrix, with function 0.
const PAD_U0RXD: u32 = 20;
const PAD_U0TXD: u32 = 21;

offsets! { GPIO:
    BT_SELECT = 0x00,
    OUT = 0x04,
    OUT_W1TS = 0x08,
    OUT_W1TC = 0x0C,
    SDIO_SELECT = 0x1C,
    ENABLE = 0x20,
    ENABLE_W1TS = 0x24,
    ENABLE_W1TC = 0x28,
    STRAP = 0x38,
    IN = 0x3C,
    STATUS = 0x44,
    STATUS_W1TS = 0x48,
    STATUS_W1TC = 0x4C,
    PCPU_INT = 0x5C,
    PCPU_NMI_INT = 0x60,
    CPUSDIO_INT = 0x64,
    PIN0 = 0x74,
    PIN25 = 0xD8,
    STATUS_NEXT = 0x14C,
    FUNC_IN_SEL_CFG0 = 0x154,
    FUNC_IN_SEL_CFG127 = 0x350,
    FUNC_OUT_SEL_CFG0 = 0x554,
    FUNC_OUT_SEL_CFG25 = 0x5B8,
    CLOCK_GATE = 0x62C,
    REG_DATE = 0x6FC,
}
/// GPIO_SD.CLOCK_GATE, of the sigma-delta modulators behind the matrix.
const SIGMADELTA_CLOCK_GATE: u32 = 0xF20;

/// Registers of IO_MUX, from its own base.
mod mux {
    use super::super::registers::offsets;

    offsets! { pub(super) IO_MUX:
        PIN_CTRL = 0x00,
        GPIO0 = 0x04,
        GPIO21 = 0x58,
        DATE = 0xFC,
    }
}

const PIN_OPEN_DRAIN: u32 = 1 << 2;
const PIN_WAKEUP: u32 = 1 << 10;
const PIN_INTERRUPT: u32 = 1 << 13;
const PIN_NMI: u32 = 1 << 14;

const IN_INVERT: u32 = 1 << 5;
const IN_THROUGH_MATRIX: u32 = 1 << 6;
const OUT_INVERT: u32 = 1 << 8;
const OUT_ENABLE_IS_GPIOS: u32 = 1 << 9;
const OUT_ENABLE_INVERT: u32 = 1 << 10;

const MUX_PULL_DOWN: u32 = 1 << 7;
const MUX_PULL_UP: u32 = 1 << 8;
const MUX_INPUT: u32 = 1 << 9;

/// The pin of the boot button, and all strapping pins with their bits in STRAP.
const BOOT: u32 = 9;
const STRAPPING: [(u32, u32); 3] = [(2, 1 << 0), (8, 1 << 2), (BOOT, 1 << 3)];
const STRAPPING_BOOT: u32 = 1 << 3;
/// Pins that the board pulls up. The button pulls its own pin low.
const BOARD_PULLS: u32 = 1 << 8 | 1 << BOOT;

/// What an output signal does to a pad.
#[derive(Debug, Clone, Copy)]
struct Drive {
    level: bool,
    enabled: bool,
}

/// The pads, the matrix and IO_MUX.
#[derive(Debug, Clone)]
pub(crate) struct Gpio {
    registers: Registers,
    mux: Registers,
    /// Pads that are driven from outside the chip, and those of them that are driven high.
    driven: u32,
    driven_high: u32,
    strapping: u32,
    /// Whether the USB host asks for download mode at the next reset whatever the strapping pins say, and whether it
    /// did at the last reset.
    download_wanted: bool,
    download_forced: bool,
    /// The processor's lines: output enables and levels.
    cpu_enable: u32,
    cpu_out: u32,
    /// Levels of the peripherals' outputs and inputs.
    outputs: Outputs,
    sensed: Inputs,
    /// Levels of the pads, and the levels behind their input buffers.
    pads: u32,
    inputs: u32,
    /// STATUS: edges and levels since software cleared them.
    status: u32,
}

impl Gpio {
    pub(crate) fn new(base: u32, mux_base: u32) -> Self {
        let mut gpio = Self {
            registers: Registers::new(base, 0xFFC),
            mux: Registers::new(mux_base, 0x100),
            driven: 0,
            driven_high: 0,
            strapping: 0,
            download_wanted: false,
            download_forced: false,
            cpu_enable: 0,
            cpu_out: 0,
            outputs: Outputs::default(),
            sensed: Inputs::default(),
            pads: 0,
            inputs: 0,
            status: 0,
        };
        gpio.restart();
        gpio
    }

    /// Brings everything but the drivers from outside to its state after a reset.
    fn restart(&mut self) {
        self.registers.reset();
        self.mux.reset();
        self.connect_inputs();
        self.cpu_enable = 0;
        self.cpu_out = 0;
        self.settle();
        self.status = 0;
    }

    /// Drives a pin from outside to a level, or with `None` lets it go. Pins that do not exist are ignored.
    pub(crate) fn drive_pin(&mut self, pin: u32, level: Option<bool>) {
        if pin as usize >= PINS {
            return;
        }
        let bit = 1 << pin;
        self.driven = self.driven & !bit | u32::from(level.is_some()) << pin;
        self.driven_high = self.driven_high & !bit | u32::from(level == Some(true)) << pin;
        self.settle();
    }

    /// Sets the level of the boot button's line.
    pub(crate) fn set_boot(&mut self, level: bool) {
        self.drive_pin(BOOT, if level { None } else { Some(false) });
    }

    /// Samples the strapping pins. At that time the chip does not drive or pull them, so that only drivers from outside
    /// and the board's resistors count.
    pub(crate) fn strap(&mut self) {
        let levels = self.driven & self.driven_high | !self.driven & BOARD_PULLS;
        let high = |pin: u32| levels >> pin & 1 != 0;
        self.strapping = STRAPPING
            .iter()
            .filter(|(pin, _)| high(*pin))
            .fold(0, |strapping, (_, bit)| strapping | bit);
    }

    /// Sets the download flag of the USB serial/JTAG, which its host controls by the level of DTR.
    pub(crate) fn want_download(&mut self, dtr: bool) {
        self.download_wanted = dtr;
    }

    /// Lets a reset take the download flag into account. Power-on clears the flag.
    pub(crate) fn force_strapping(&mut self, cause: ResetCause) {
        if cause == ResetCause::PowerOn {
            self.download_wanted = false;
        }
        self.download_forced = self.download_wanted;
    }

    /// STRAP: the sampled levels, or download mode if the USB host has forced it.
    fn strapping(&self) -> u32 {
        if self.download_forced {
            self.strapping & !STRAPPING_BOOT
        } else {
            self.strapping
        }
    }

    /// Whether the strapping selects the boot from flash.
    pub(crate) fn boots_from_flash(&self) -> bool {
        self.strapping() & STRAPPING_BOOT != 0
    }

    /// Levels of the pads, as a meter would show them.
    pub(crate) fn pads(&self) -> u32 {
        self.pads
    }

    /// Levels that the matrix brings to the processor's lines.
    pub(crate) fn cpu_in(&self) -> u32 {
        (0..8).fold(0, |lines, line| {
            lines | u32::from(self.sensed.level(signals::CPU_GPIO0 + line).unwrap_or(false)) << line
        })
    }

    pub(crate) fn cpu_out(&self) -> u32 {
        self.cpu_out
    }

    pub(crate) fn cpu_enable(&self) -> u32 {
        self.cpu_enable
    }

    pub(crate) fn set_cpu_out(&mut self, lines: u32) {
        self.cpu_out = lines & 0xFF;
        self.settle();
    }

    pub(crate) fn set_cpu_enable(&mut self, lines: u32) {
        self.cpu_enable = lines & 0xFF;
        self.settle();
    }

    /// The pad that the matrix connects to an input signal, if it connects one.
    fn input_pad(&self, signal: u32) -> Option<u32> {
        let config = self.registers.get(FUNC_IN_SEL_CFG0 + 4 * signal);
        let pad = config & 0x1F;
        (config & IN_THROUGH_MATRIX != 0 && (pad as usize) < PINS).then_some(pad)
    }

    /// Levels that the matrix brings to the peripherals' input signals.
    pub(crate) fn sensed(&self) -> Inputs {
        self.sensed
    }

    /// Takes over the levels of the peripherals' output signals.
    pub(crate) fn set_outputs(&mut self, outputs: Outputs) {
        // This is called after every store to any peripheral, mostly without a change.
        if self.outputs != outputs {
            self.outputs = outputs;
            self.settle();
        }
    }

    /// Notes which input signals go through the matrix.
    fn connect_inputs(&mut self) {
        let configs = (FUNC_IN_SEL_CFG0..=FUNC_IN_SEL_CFG127).step_by(4);
        let connected = configs.enumerate().fold(0, |connected, (signal, offset)| {
            let through = self.registers.get(offset) & IN_THROUGH_MATRIX != 0;
            connected | u128::from(through) << signal
        });
        self.sensed = Inputs::of(connected);
    }

    /// The level that the matrix brings to an input signal.
    fn level_at_input(&self, signal: u32) -> bool {
        let config = self.registers.get(FUNC_IN_SEL_CFG0 + 4 * signal);
        let level = match config & 0x1F {
            ALWAYS_HIGH => true,
            ALWAYS_LOW => false,
            pad => self.inputs >> pad & 1 != 0,
        };
        level != (config & IN_INVERT != 0)
    }

    /// Whether the output signal `from` reaches the input signal `to` over a pad.
    pub(crate) fn connects(&self, from: u32, to: u32) -> bool {
        let Some(pad) = self.input_pad(to) else {
            return false;
        };
        let config = self.mux.get(mux::GPIO0 + 4 * pad);
        let direct = from == signals::U0_DATA && pad == PAD_U0TXD && function(config) == 0;
        let routed = function(config) == 1 && self.registers.get(FUNC_OUT_SEL_CFG0 + 4 * pad) & 0xFF == from;
        config & MUX_INPUT != 0 && (direct || routed)
    }

    /// The level to which the chip drives a pad, if it does.
    fn driver(&self, pin: u32) -> Option<bool> {
        let bit = |word: u32| word >> pin & 1 != 0;
        let enable = bit(self.registers.get(ENABLE));
        let select = self.registers.get(FUNC_OUT_SEL_CFG0 + 4 * pin);
        let drive = match (function(self.mux.get(mux::GPIO0 + 4 * pin)), pin, select & 0xFF) {
            // UART lines are always at rest, and then high, since bytes take no time.
            (0, PAD_U0TXD, _) => Drive {
                level: true,
                enabled: true,
            },
            (0, PAD_U0RXD, _) => Drive {
                level: false,
                enabled: false,
            },
            (_, _, SIGNAL_GPIO) => Drive {
                level: bit(self.registers.get(OUT)),
                enabled: enable,
            },
            (_, _, signal) if select & OUT_ENABLE_IS_GPIOS != 0 => Drive {
                enabled: enable,
                ..self.output(signal)
            },
            (_, _, signal) => self.output(signal),
        };
        let level = drive.level != (select & OUT_INVERT != 0);
        let enabled = drive.enabled != (select & OUT_ENABLE_INVERT != 0);
        let open_drain = self.registers.get(PIN0 + 4 * pin) & PIN_OPEN_DRAIN != 0;
        (enabled && !(open_drain && level)).then_some(level)
    }

    /// How the matrix drives the output signal with a number. A signal that no peripheral here sets is low.
    fn output(&self, signal: u32) -> Drive {
        match signal {
            signals::CPU_GPIO0..=CPU_GPIO7 => {
                let line = signal - signals::CPU_GPIO0;
                Drive {
                    level: self.cpu_out >> line & 1 != 0,
                    enabled: self.cpu_enable >> line & 1 != 0,
                }
            }
            _ => Drive {
                level: self.outputs.level(signal),
                enabled: true,
            },
        }
    }

    /// Works out all levels again, and latches edges.
    fn settle(&mut self) {
        let (mut pads, mut inputs) = (0, 0);
        for pin in 0..PINS as u32 {
            let config = self.mux.get(mux::GPIO0 + 4 * pin);
            let outside = (self.driven >> pin & 1 != 0).then_some(self.driven_high >> pin & 1 != 0);
            let level = match (self.driver(pin), outside) {
                (Some(inside), Some(outside)) => inside && outside,
                (Some(level), None) | (None, Some(level)) => level,
                (None, None) => config & MUX_PULL_UP != 0 || config & MUX_PULL_DOWN == 0 && BOARD_PULLS >> pin & 1 != 0,
            };
            pads |= u32::from(level) << pin;
            inputs |= u32::from(level && config & MUX_INPUT != 0) << pin;
        }
        let (rose, fell) = (inputs & !self.inputs, self.inputs & !inputs);
        self.pads = pads;
        self.inputs = inputs;
        for pin in 0..PINS as u32 {
            let config = self.registers.get(PIN0 + 4 * pin);
            let edges = match config >> 7 & 7 {
                1 => rose,
                2 => fell,
                3 => rose | fell,
                _ => 0,
            };
            self.status |= edges & 1 << pin | u32::from(self.at_level(config, pin)) << pin;
        }
        let levels = self.sensed.connected().fold(0, |levels, signal| {
            levels | u128::from(self.level_at_input(signal)) << signal
        });
        self.sensed.set_levels(levels);
    }

    /// Whether a pin that interrupts on a level is at that level.
    fn at_level(&self, config: u32, pin: u32) -> bool {
        let level = self.inputs >> pin & 1 != 0;
        match config >> 7 & 7 {
            4 => !level,
            5 => level,
            _ => false,
        }
    }

    /// The pins that interrupt, of those that this bit of their PINn register enables.
    fn interrupting(&self, enable: u32) -> u32 {
        // This is called after every store to any peripheral.
        if self.status == 0 {
            return 0;
        }
        (0..PINS as u32).fold(0, |pins, pin| {
            let enabled = self.registers.get(PIN0 + 4 * pin) & enable != 0;
            pins | (u32::from(enabled) << pin & self.status)
        })
    }

    fn read_mux(&self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            mux::PIN_CTRL..=mux::GPIO21 | mux::DATE => self.mux.get(offset),
            _ => context.unmodelled_read(&self.mux, offset),
        }
    }

    fn write_mux(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            mux::PIN_CTRL..=mux::GPIO21 | mux::DATE => self.mux.set(offset, value),
            _ => context.unmodelled_write(&mut self.mux, offset, value),
        }
    }
}

impl Peripheral for Gpio {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            STRAP => self.strapping(),
            IN => self.inputs,
            STATUS => self.status,
            PCPU_INT => self.interrupting(PIN_INTERRUPT),
            PCPU_NMI_INT => self.interrupting(PIN_NMI),
            // The value that STATUS takes next is the one that it has.
            STATUS_NEXT => self.status,
            // Write-only registers; and the chip has no SDIO.
            OUT_W1TS | OUT_W1TC | ENABLE_W1TS | ENABLE_W1TC | STATUS_W1TS | STATUS_W1TC | CPUSDIO_INT => 0,
            _ if is_setting(offset) => self.registers.get(offset),
            IO_MUX.. => self.read_mux(offset - IO_MUX, context),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        let (out, enable) = (self.registers.get(OUT), self.registers.get(ENABLE));
        match offset {
            OUT_W1TS => self.registers.set(OUT, out | value),
            OUT_W1TC => self.registers.set(OUT, out & !value),
            ENABLE_W1TS => self.registers.set(ENABLE, enable | value),
            ENABLE_W1TC => self.registers.set(ENABLE, enable & !value),
            STATUS => self.status = value & ALL,
            STATUS_W1TS => self.status |= value & ALL,
            // A level that is still there is latched again at once.
            STATUS_W1TC => self.status &= !value,
            // Read-only.
            STRAP | IN | PCPU_INT | PCPU_NMI_INT | CPUSDIO_INT | STATUS_NEXT => {}
            FUNC_IN_SEL_CFG0..=FUNC_IN_SEL_CFG127 => {
                self.registers.set(offset, value);
                self.connect_inputs();
            }
            _ if is_setting(offset) => self.registers.set(offset, value),
            IO_MUX.. => self.write_mux(offset - IO_MUX, value, context),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
        self.settle();
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.restart();
    }

    /// Wakes while a pin with PINn_WAKEUP_ENABLE is at the level of its interrupt.
    fn wakes(&self) -> bool {
        (0..PINS as u32).any(|pin| {
            let config = self.registers.get(PIN0 + 4 * pin);
            config & PIN_WAKEUP != 0 && self.at_level(config, pin)
        })
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.interrupting(PIN_INTERRUPT) != 0) | u64::from(self.interrupting(PIN_NMI) != 0) << 1
    }
}

/// Whether a register of the matrix reads as software has written it.
fn is_setting(offset: u32) -> bool {
    matches!(
        offset,
        BT_SELECT
            | OUT
            | SDIO_SELECT
            | ENABLE
            | PIN0..=PIN25
            | FUNC_IN_SEL_CFG0..=FUNC_IN_SEL_CFG127
            | FUNC_OUT_SEL_CFG0..=FUNC_OUT_SEL_CFG25
            | CLOCK_GATE
            | REG_DATE
            | SIGMADELTA_CLOCK_GATE
    )
}

/// The function that IO_MUX selects: 0 is the pad's own, 1 the GPIO matrix.
fn function(config: u32) -> u32 {
    config >> 12 & 7
}
