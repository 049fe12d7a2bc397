//! A UART: two FIFOs of 128 bytes, their thresholds and interrupts, the receiver's errors and time-out, flow control,
//! and baud rate detection. Bytes enter from the line and leave to it. It knows no tty.
//!
//! The console's line has no speed. Bytes in the transmit FIFO leave at once as long as the far end takes them. Bytes
//! that the far end has sent wait on the line until the receive FIFO has room, so that none is lost.
//!
//! A far end can also send bit by bit (`uart_line.rs`). The UART then receives as the chip does: at the rate and in the
//! format that software has set, with errors, and losing bytes when its FIFO is full. The receiver's time-out follows
//! the rate that software has set in both cases.
//! (ESP32-C3 Technical Reference Manual, chapter "UART Controller".)

use std::collections::VecDeque;

use super::options::FarEnd;
use super::peripheral::{Context, Peripheral};
use super::registers::{Registers, offsets};
use super::signals::{self, Inputs, Outputs};
use super::uart_line::{Line, Receiver, UartFormat, UartParity};

/// Bytes that each FIFO holds.
const FIFO_BYTES: usize = 128;
/// Bytes that wait for the far end at most; the rest stays in the transmit FIFO.
const LINE: usize = 4096;
/// Bytes that are kept for a far end that asks later what was sent. The oldest are dropped first.
const HEARD: usize = 64 << 10;
/// Periods of the clocks that UART_SCLK_SEL selects, in 256ths of the hart's cycle: none, the bus at 80 MHz, the fast
/// RC oscillator at 17.5 MHz, the crystal at 40 MHz.
const SOURCES: [u64; 4] = [0, 2 * 256, 2341, 4 * 256];

offsets! { UART0:
    FIFO = 0x00,
    INT_RAW = 0x04,
    INT_ST = 0x08,
    INT_ENA = 0x0C,
    INT_CLR = 0x10,
    CLKDIV = 0x14,
    RX_FILT = 0x18,
    STATUS = 0x1C,
    CONF0 = 0x20,
    CONF1 = 0x24,
    LOWPULSE = 0x28,
    HIGHPULSE = 0x2C,
    RXD_CNT = 0x30,
    FLOW_CONF = 0x34,
    SLEEP_CONF = 0x38,
    MEM_CONF = 0x60,
    MEM_TX_STATUS = 0x64,
    FSM_STATUS = 0x6C,
    POSPULSE = 0x70,
    NEGPULSE = 0x74,
    CLK_CONF = 0x78,
    DATE = 0x7C,
    ID = 0x80,
}

const RXFIFO_FULL: u32 = 1 << 0;
const TXFIFO_EMPTY: u32 = 1 << 1;
const PARITY_ERR: u32 = 1 << 2;
const FRM_ERR: u32 = 1 << 3;
const RXFIFO_OVF: u32 = 1 << 4;
const CTS_CHG: u32 = 1 << 6;
const BRK_DET: u32 = 1 << 7;
const RXFIFO_TOUT: u32 = 1 << 8;
const TX_BRK_DONE: u32 = 1 << 12;
const TX_BRK_IDLE_DONE: u32 = 1 << 13;
const TX_DONE: u32 = 1 << 14;
const WAKEUP: u32 = 1 << 19;

/// TXD, DTRN and RXD in STATUS. Lines at rest are high.
const STATUS_AT_REST: u32 = 1 << 31 | 1 << 29 | 1 << 15;
const CONF0_PARITY_ODD: u32 = 1 << 0;
const CONF0_PARITY_EN: u32 = 1 << 1;
const CONF0_SW_RTS: u32 = 1 << 6;
const CONF0_TXD_BRK: u32 = 1 << 8;
const CONF0_TX_FLOW_EN: u32 = 1 << 15;
const CONF0_ERR_WR_MASK: u32 = 1 << 26;
const CONF0_RXFIFO_RST: u32 = 1 << 17;
const CONF0_TXFIFO_RST: u32 = 1 << 18;
const CONF0_LOOPBACK: u32 = 1 << 14;
const CONF0_AUTOBAUD_EN: u32 = 1 << 27;
const CONF1_RX_FLOW_EN: u32 = 1 << 20;
const CONF1_RX_TOUT_EN: u32 = 1 << 21;
const ID_REG_UPDATE: u32 = 1 << 31;

/// The pulse that baud rate detection measures on the console's line: 115200 baud in cycles of 40 MHz, less one, since
/// the counters begin at zero.
const DETECTED_PULSE: u32 = 40_000_000 / 115_200 - 1;

/// The signals of a UART in the GPIO matrix.
#[derive(Debug)]
pub(crate) struct Wires {
    /// RXD and TXD.
    data: u32,
    /// CTS and RTS.
    flow: u32,
}

pub(super) const UART0: Wires = Wires {
    data: signals::U0_DATA,
    flow: signals::U0_FLOW,
};
pub(super) const UART1: Wires = Wires {
    data: signals::U1_DATA,
    flow: signals::U1_FLOW,
};

#[derive(Debug, Clone)]
pub(crate) struct Uart {
    registers: Registers,
    wires: &'static Wires,
    far_end: FarEnd,
    /// Raw interrupts that stay set until software clears them.
    latched: u32,
    receive: VecDeque<u8>,
    transmit: VecDeque<u8>,
    /// Bytes that the far end has sent and that are not in the FIFO yet.
    incoming: VecDeque<u8>,
    /// Bytes for the far end, which has not taken them yet.
    outgoing: VecDeque<u8>,
    /// Bytes sent since the last call of `take_emitted`, for UARTs that listen at the same pad.
    emitted: Vec<u8>,
    /// Bytes sent since the last call of `take_heard`.
    heard: VecDeque<u8>,
    /// The bits that a far end sends one by one.
    line: Line,
    /// The level at CTS. While it is high the far end wants no bytes.
    cts: bool,
    /// When the receiver's time-out comes.
    timeout: Option<u64>,
    /// When the receive threshold is checked again after its interrupt was cleared. It is not checked at once, because
    /// the ROM clears and enables the interrupt with bytes in the FIFO and can handle it only some instructions later.
    recheck: Option<u64>,
    /// Edges that baud rate detection has counted.
    edges: u32,
    /// Whether the chip sleeps, and the rising edges at RXD since it fell asleep.
    asleep: bool,
    wake_edges: u32,
}

impl Uart {
    /// A UART with its registers at `base`. With an open line, the bytes that it sends are dropped.
    pub(crate) fn new(base: u32, wires: &'static Wires, far_end: FarEnd) -> Self {
        Self {
            registers: Registers::new(base, 0x84),
            wires,
            far_end,
            latched: 0,
            receive: VecDeque::new(),
            transmit: VecDeque::new(),
            incoming: VecDeque::new(),
            outgoing: VecDeque::new(),
            emitted: Vec::new(),
            heard: VecDeque::new(),
            line: Line::default(),
            cts: true,
            timeout: None,
            recheck: None,
            edges: 0,
            asleep: false,
            wake_edges: 0,
        }
    }

    /// The far end sends bytes. A sleeping chip counts their edges and loses the bytes.
    pub(crate) fn receive(&mut self, bytes: &[u8], now: u64) {
        if self.asleep {
            for byte in bytes {
                self.wake_edges = self.wake_edges.saturating_add(edges(*byte) / 2);
            }
            if self.wakes() {
                self.latched |= WAKEUP;
            }
            return;
        }
        self.incoming.extend(bytes);
        self.fill(now);
    }

    /// The far end sends bytes bit by bit, in a format and at a rate of its own.
    pub(crate) fn transmit_to(&mut self, format: &UartFormat, bytes: &[u8], now: u64) {
        if self.asleep {
            self.receive(bytes, now);
        } else {
            self.line.send(format, bytes, now);
        }
    }

    /// The far end holds the line low for `cycles` cycles.
    pub(crate) fn break_line(&mut self, cycles: u64, now: u64) {
        if !self.asleep {
            self.line.send_break(cycles, now);
        }
    }

    /// The bytes sent since the last call; of more than [`HEARD`] the last.
    pub(crate) fn take_heard(&mut self) -> Vec<u8> {
        self.heard.drain(..).collect()
    }

    /// Bits a second, as software has set them.
    pub(crate) fn baud(&self) -> u32 {
        let second = crate::clock::CYCLES_PER_SECOND * 256;
        u32::try_from(second / self.bit_time()).unwrap_or(u32::MAX)
    }

    /// The level at RTS. It is high while the receiver wants no bytes.
    fn rts(&self) -> bool {
        if self.registers.get(CONF1) & CONF1_RX_FLOW_EN != 0 {
            self.receive.len() >= (self.registers.get(MEM_CONF) >> 7 & 0x1FF) as usize
        } else {
            self.registers.get(CONF0) & CONF0_SW_RTS == 0
        }
    }

    /// The number of bytes that wait on the line for the receive FIFO.
    pub(crate) fn waiting(&self) -> usize {
        self.incoming.len()
    }

    /// The bytes for the far end, from which it takes.
    pub(crate) fn outgoing(&mut self) -> &mut VecDeque<u8> {
        &mut self.outgoing
    }

    /// The bytes sent since the last call.
    pub(crate) fn take_emitted(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.emitted)
    }

    /// Sends bytes that had to wait because the far end took none.
    pub(crate) fn drain(&mut self) {
        self.send();
    }

    /// Drops the bytes on the line to the chip, as when the chip is held in reset.
    pub(crate) fn cut(&mut self) {
        self.incoming.clear();
        self.line.cut();
    }

    fn raw(&self) -> u32 {
        let mut raw = self.latched;
        let conf1 = self.registers.get(CONF1);
        if self.transmit.len() < (conf1 >> 9 & 0x1FF) as usize {
            raw |= TXFIFO_EMPTY;
        }
        raw
    }

    /// Takes bytes from the line for which the FIFO has room.
    fn fill(&mut self, now: u64) {
        let mut arrived = false;
        while self.receive.len() < FIFO_BYTES {
            let Some(byte) = self.incoming.pop_front() else {
                break;
            };
            if self.registers.get(CONF0) & CONF0_AUTOBAUD_EN != 0 {
                self.edges = (self.edges + edges(byte)).min(0x3FF);
            }
            self.receive.push_back(byte);
            arrived = true;
        }
        if arrived {
            self.latch_full();
            self.arm_timeout(now);
        }
    }

    fn latch_full(&mut self) {
        if self.receive.len() >= (self.registers.get(CONF1) & 0x1FF).max(1) as usize {
            self.latched |= RXFIFO_FULL;
        }
    }

    /// The length of a bit at the rate that software has set, in 256ths of the hart's cycle.
    fn bit_time(&self) -> u64 {
        let (divider, clock) = (self.registers.get(CLKDIV), self.registers.get(CLK_CONF));
        let sixteenths = u64::from((divider & 0xFFF).max(1) << 4 | divider >> 20 & 15);
        let source = SOURCES[(clock >> 20 & 3) as usize].max(SOURCES[1]);
        let (a, b) = (u64::from(clock >> 6 & 0x3F), u64::from(clock & 0x3F));
        // The clock's divider is SCLK_DIV_NUM + 1 + SCLK_DIV_B / SCLK_DIV_A.
        let whole = u64::from(clock >> 12 & 0xFF) + 1;
        let period = source * whole + (source * b).checked_div(a).unwrap_or(0);
        period * sixteenths / 16
    }

    /// The length of a bit in cycles of the hart.
    fn bit_cycles(&self) -> u64 {
        self.bit_time() / 256
    }

    fn receiver(&self) -> Receiver {
        let conf0 = self.registers.get(CONF0);
        let parity = if conf0 & CONF0_PARITY_ODD != 0 {
            UartParity::Odd
        } else {
            UartParity::Even
        };
        Receiver {
            bit: self.bit_time(),
            data_bits: 5 + (conf0 >> 2 & 3),
            parity: (conf0 & CONF0_PARITY_EN != 0).then_some(parity),
        }
    }

    /// Receives the characters that have come bit by bit.
    fn hear(&mut self, now: u64) {
        let receiver = self.receiver();
        while let Some(character) = self.line.receive(&receiver, now) {
            let mut errors = 0;
            if character.parity_error {
                errors |= PARITY_ERR;
            }
            if character.framing_error {
                errors |= FRM_ERR;
            }
            if character.is_break {
                errors |= BRK_DET;
            }
            self.latched |= errors;
            if errors != 0 && self.registers.get(CONF0) & CONF0_ERR_WR_MASK != 0 {
                continue;
            }
            if self.receive.len() < FIFO_BYTES {
                self.receive.push_back(character.byte);
                self.latch_full();
                self.arm_timeout(now);
            } else {
                self.latched |= RXFIFO_OVF;
            }
        }
    }

    /// Starts the receiver's time-out again, if it is enabled and bytes wait in the FIFO.
    fn arm_timeout(&mut self, now: u64) {
        let enabled = self.registers.get(CONF1) & CONF1_RX_TOUT_EN != 0;
        let bits = u64::from(self.registers.get(MEM_CONF) >> 16 & 0x3FF);
        self.timeout = (enabled && !self.receive.is_empty()).then(|| now + bits * self.bit_cycles());
    }

    fn send(&mut self) {
        let conf0 = self.registers.get(CONF0);
        let loopback = conf0 & CONF0_LOOPBACK != 0;
        let stopped = conf0 & CONF0_TX_FLOW_EN != 0 && if loopback { self.rts() } else { self.cts };
        let had_any = !self.transmit.is_empty();
        while !stopped
            && self.outgoing.len() < LINE
            && let Some(byte) = self.transmit.pop_front()
        {
            if loopback {
                self.incoming.push_back(byte);
            } else {
                self.emitted.push(byte);
                if self.heard.len() == HEARD {
                    self.heard.pop_front();
                }
                self.heard.push_back(byte);
                if self.far_end == FarEnd::Connected {
                    self.outgoing.push_back(byte);
                }
            }
        }
        if had_any && self.transmit.is_empty() {
            self.latched |= TX_DONE | TX_BRK_IDLE_DONE;
            if conf0 & CONF0_TXD_BRK != 0 {
                self.latched |= TX_BRK_DONE;
            }
        }
    }
}

impl Peripheral for Uart {
    fn read(&mut self, offset: u32, context: &mut Context<'_>) -> u32 {
        match offset {
            FIFO => {
                let byte = self.receive.pop_front().unwrap_or(0);
                self.fill(context.now);
                if self.registers.get(CONF0) & CONF0_LOOPBACK != 0 {
                    self.send();
                    self.fill(context.now);
                }
                if self.receive.is_empty() {
                    self.timeout = None;
                }
                u32::from(byte)
            }
            INT_RAW => self.raw(),
            INT_ST => self.raw() & self.registers.get(INT_ENA),
            STATUS => {
                self.receive.len() as u32
                    | (self.transmit.len() as u32) << 16
                    | STATUS_AT_REST
                    | u32::from(self.cts) << 14
                    | u32::from(self.rts()) << 30
            }
            LOWPULSE | HIGHPULSE | POSPULSE | NEGPULSE => {
                if self.edges == 0 {
                    self.registers.get(offset)
                } else {
                    DETECTED_PULSE
                }
            }
            RXD_CNT => self.edges,
            // The receiver is idle, since a byte takes no time on the line. The transmitter is busy while bytes wait.
            FSM_STATUS => u32::from(!self.transmit.is_empty()) << 4,
            // REG_UPDATE reads as done at once.
            ID => self.registers.get(offset) & !ID_REG_UPDATE,
            INT_ENA | CLKDIV..=MEM_CONF | CLK_CONF | DATE => self.registers.get(offset),
            _ => context.unmodelled_read(&self.registers, offset),
        }
    }

    fn write(&mut self, offset: u32, value: u32, context: &mut Context<'_>) {
        match offset {
            FIFO => {
                if self.transmit.len() < FIFO_BYTES {
                    self.transmit.push_back(value as u8);
                }
                self.send();
                self.fill(context.now);
            }
            INT_CLR => {
                self.latched &= !value;
                if value & RXFIFO_FULL != 0 {
                    self.recheck = Some(context.now + self.bit_cycles());
                }
                if value & RXFIFO_TOUT != 0 {
                    self.arm_timeout(context.now);
                }
            }
            CONF0 => {
                if value & CONF0_RXFIFO_RST != 0 {
                    self.receive.clear();
                    self.timeout = None;
                }
                if value & CONF0_TXFIFO_RST != 0 {
                    self.transmit.clear();
                }
                let changed = self.registers.get(offset) ^ value;
                if changed & value & CONF0_AUTOBAUD_EN != 0 {
                    self.edges = 0;
                }
                self.registers.set(offset, value);
                if changed & CONF0_RXFIFO_RST != 0 {
                    self.fill(context.now);
                }
                if changed & CONF0_TX_FLOW_EN != 0 {
                    self.send();
                }
            }
            CONF1 => {
                let changed = self.registers.get(offset) ^ value;
                self.registers.set(offset, value);
                if changed & CONF1_RX_TOUT_EN != 0 {
                    self.arm_timeout(context.now);
                }
            }
            // Read-only.
            INT_RAW | INT_ST | STATUS | LOWPULSE..=RXD_CNT | MEM_TX_STATUS..=NEGPULSE => {}
            INT_ENA | CLKDIV | RX_FILT | FLOW_CONF..=MEM_CONF | CLK_CONF..=ID => self.registers.set(offset, value),
            _ => context.unmodelled_write(&mut self.registers, offset, value),
        }
    }

    fn reset(&mut self, _context: &mut Context<'_>) {
        self.registers.reset();
        self.latched = 0;
        self.receive.clear();
        self.transmit.clear();
        self.timeout = None;
        self.recheck = None;
        self.edges = 0;
    }

    fn update(&mut self, context: &mut Context<'_>) {
        let now = context.now;
        self.hear(now);
        if self.timeout.is_some_and(|timeout| timeout <= now) {
            self.timeout = None;
            self.latched |= RXFIFO_TOUT;
        }
        if self.recheck.is_some_and(|recheck| recheck <= now) {
            self.recheck = None;
            self.latch_full();
        }
    }

    fn drive(&self, outputs: &mut Outputs) {
        // Bytes take no time, so that the line is always at rest.
        outputs.set(self.wires.data, true);
        outputs.set(self.wires.flow, self.rts());
    }

    fn sense(&mut self, inputs: &Inputs) {
        // CTS is high where the matrix brings it no level.
        let level = inputs.level(self.wires.flow).unwrap_or(true);
        if self.cts != level {
            self.cts = level;
            self.latched |= CTS_CHG;
            self.send();
        }
    }

    fn read_changes_levels(&self, offset: u32) -> bool {
        offset == FIFO
    }

    fn sleep(&mut self) {
        self.line.cut();
        self.asleep = true;
        self.wake_edges = 0;
    }

    fn wake(&mut self) {
        self.line.cut();
        self.asleep = false;
        self.wake_edges = 0;
    }

    /// Wakes after UART_ACTIVE_THRESHOLD + 3 edges.
    fn wakes(&self) -> bool {
        self.asleep && self.wake_edges >= (self.registers.get(SLEEP_CONF) & 0x3FF) + 3
    }

    fn next_event(&self) -> Option<u64> {
        let character = self.line.next_character(&self.receiver());
        [self.timeout, self.recheck, character].into_iter().flatten().min()
    }

    fn interrupts(&self) -> u64 {
        u64::from(self.raw() & self.registers.get(INT_ENA) != 0)
    }
}

/// Changes of the line's level during a byte: from the idle line through start bit and eight data bits to the stop bit.
fn edges(byte: u8) -> u32 {
    let frame = u32::from(byte) << 1 | 1 << 9;
    (((frame << 1 | 1) ^ frame) & 0x3FF).count_ones()
}
