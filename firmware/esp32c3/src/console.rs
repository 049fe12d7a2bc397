//! The console on both of the chip's serial ports at once: UART0 (115200 8N1, GPIO20 and GPIO21) and the USB serial/JTAG
//! controller. Output goes to both; a line is taken from whichever has one.
//!
//! UART0 pushes back and loses nothing. The USB port may have no host behind it: when its FIFO is not emptied in time,
//! output for it is dropped until it is empty again.

use alloc::vec::Vec;

use embassy_futures::select::{Either, select};
use embassy_time::{Duration, with_timeout};
use embedded_io_async::{Read, Write};
use esp_hal::Async;
use esp_hal::peripherals::{GPIO20, GPIO21, UART0, USB_DEVICE};
use esp_hal::uart::{Config, RxConfig, Uart, UartRx, UartTx};
use esp_hal::usb::usb_serial_jtag::{UsbSerialJtag, UsbSerialJtagRx, UsbSerialJtagTx};
use pinrig_app::line::{LineBuffer, LineError};
use pinrig_app::platform::Console;

/// A USB host asks for data at least once a millisecond: one that has not taken a packet by then is not there.
const USB_PROBE: Duration = Duration::from_millis(5);
/// A host that has taken packets before may be busy, or its terminal may be; then it is gone.
const USB_PATIENCE: Duration = Duration::from_millis(500);
const USB_PACKET: usize = 64;

/// Both ports.
pub(crate) struct DualConsole {
    uart: UartPort,
    usb: UsbPort,
}

impl DualConsole {
    pub(crate) fn new(
        uart: UART0<'static>,
        rx: GPIO20<'static>,
        tx: GPIO21<'static>,
        usb: USB_DEVICE<'static>,
    ) -> Self {
        // An interrupt for each half FIFO, and soon after the last byte.
        let receive = RxConfig::default().with_fifo_full_threshold(64).with_timeout(2);
        let (uart_rx, uart_tx) = Uart::new(uart, Config::default().with_baudrate(115_200).with_rx(receive))
            .expect("115200 8N1 can be set")
            .with_rx(rx)
            .with_tx(tx)
            .into_async()
            .split();
        let (usb_rx, usb_tx) = UsbSerialJtag::new(usb).into_async().split();
        Self {
            uart: UartPort {
                rx: uart_rx,
                tx: uart_tx,
                input: Input::default(),
            },
            usb: UsbPort {
                rx: usb_rx,
                tx: usb_tx,
                input: Input::default(),
                host: Host::Unknown,
            },
        }
    }
}

impl Console for DualConsole {
    async fn read_line(&mut self, line: &mut Vec<u8>) -> Result<(), LineError> {
        loop {
            if let Some(result) = self.uart.input.next_line(line) {
                return result;
            }
            if let Some(result) = self.usb.input.next_line(line) {
                return result;
            }
            // Both reads are safe to cancel: what has not been returned stays in the FIFO.
            match select(self.uart.fill(), self.usb.fill()).await {
                Either::First(()) | Either::Second(()) => {}
            }
        }
    }

    async fn write(&mut self, bytes: &[u8]) {
        // The UART's errors are impossible for a transmitter that only sends.
        let _ = self.uart.tx.write_all(bytes).await;
        self.usb.write(bytes).await;
    }
}

/// Waits until the UART has sent everything: a reset would cut off the rest. Bounded by the FIFO's 128 bytes.
pub(crate) fn drain() {
    let status = UART0::regs().fsm_status();
    while UART0::regs().status().read().txfifo_cnt().bits() > 0 || status.read().st_utx_out().bits() != 0 {}
}

struct UartPort {
    rx: UartRx<'static, Async>,
    tx: UartTx<'static, Async>,
    input: Input,
}

impl UartPort {
    async fn fill(&mut self) {
        match self.rx.read_async(&mut self.input.chunk).await {
            Ok(count) => self.input.received(count),
            // A full FIFO or a framing error: esp-hal has cleared it; the line is damaged.
            Err(_) => self.input.buffer.lose(),
        }
    }
}

struct UsbPort {
    rx: UsbSerialJtagRx<'static, Async>,
    tx: UsbSerialJtagTx<'static, Async>,
    input: Input,
    host: Host,
}

/// Whether somebody reads what the USB port sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Unknown,
    Present,
    Absent,
}

impl UsbPort {
    async fn fill(&mut self) {
        let Ok(count) = self.rx.read(&mut self.input.chunk).await;
        self.input.received(count);
    }

    async fn write(&mut self, bytes: &[u8]) {
        for packet in bytes.chunks(USB_PACKET) {
            if self.host == Host::Absent && !usb_fifo_is_free() {
                return;
            }
            let patience = if self.host == Host::Present {
                USB_PATIENCE
            } else {
                USB_PROBE
            };
            let taken = with_timeout(patience, self.tx.write_all(packet)).await.is_ok();
            self.host = if taken { Host::Present } else { Host::Absent };
        }
    }
}

/// What one port has received and not yet given away.
#[derive(Default)]
struct Input {
    chunk: Chunk,
    start: usize,
    end: usize,
    buffer: LineBuffer,
}

type Chunk = [u8; 32];

impl Input {
    fn received(&mut self, count: usize) {
        (self.start, self.end) = (0, count);
    }

    fn next_line(&mut self, line: &mut Vec<u8>) -> Option<Result<(), LineError>> {
        while self.start < self.end {
            let byte = self.chunk[self.start];
            self.start += 1;
            if let Some(result) = self.buffer.push(byte, line) {
                return Some(result);
            }
        }
        None
    }
}

fn usb_fifo_is_free() -> bool {
    USB_DEVICE::regs()
        .ep1_conf()
        .read()
        .serial_in_ep_data_free()
        .bit_is_set()
}

/// The way out for a panic: straight to the registers, on both ports, bounded, with no driver in between.
#[derive(Default)]
pub(crate) struct PanicConsole {
    usb_absent: bool,
}

impl core::fmt::Write for PanicConsole {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let uart = UART0::regs();
        let usb = USB_DEVICE::regs();
        for byte in text.bytes() {
            // The FIFO has 128 places.
            while uart.status().read().txfifo_cnt().bits() >= 120 {}
            // SAFETY: every value of the byte is valid.
            uart.fifo().write(|w| unsafe { w.rxfifo_rd_byte().bits(byte) });
            if self.wait_for_usb() {
                // SAFETY: every value of the byte is valid.
                usb.ep1().write(|w| unsafe { w.rdwr_byte().bits(byte) });
            }
        }
        usb.ep1_conf().modify(|_, w| w.wr_done().set_bit());
        Ok(())
    }
}

impl PanicConsole {
    /// Whether the USB FIFO has room; a host makes room within a millisecond, 160,000 cycles.
    fn wait_for_usb(&mut self) -> bool {
        let mut patience = 40_000;
        while !self.usb_absent && !usb_fifo_is_free() {
            patience -= 1;
            self.usb_absent = patience == 0;
        }
        !self.usb_absent
    }
}
