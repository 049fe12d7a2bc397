//! The OpenCores 10/100 Ethernet MAC that Espressif's QEMU puts into its ESP32-C3, as an embassy-net driver.
//!
//! Registers at 0x600C_D000 and 128 buffer descriptors at 0x600C_D400, named as in the "Ethernet IP Core Specification"
//! by Igor Mohor (OpenCores, 2002), chapters 3 and 4. A real ESP32-C3 has nothing there: [`Link::start`] asks first.

use core::cell::{Cell, UnsafeCell};
use core::ptr;
use core::sync::atomic::{Ordering, fence};
use core::task::Context;

use embassy_net_driver::{Capabilities, HardwareAddress, LinkState, RxToken, TxToken};
use embassy_sync::waitqueue::AtomicWaker;
use esp_hal::efuse;
use esp_hal::handler;
use esp_hal::peripherals::Interrupt;
use pinrig_app::platform::{JoinError, Medium};

const REGISTERS: usize = 0x600C_D000;
const DESCRIPTORS: usize = 0x600C_D400;
/// Reads [`EMULATOR`] in an emulator and something else on a chip.
const PRESENCE: usize = 0x6002_63F8;
const EMULATOR: u32 = 0x5145_4D55;

const MODER: usize = 0x00;
const INT_SOURCE: usize = 0x04;
const INT_MASK: usize = 0x08;
const TX_BD_NUM: usize = 0x20;
const MAC_ADDR0: usize = 0x40;
const MAC_ADDR1: usize = 0x44;

const MODER_RXEN: u32 = 1 << 0;
const MODER_TXEN: u32 = 1 << 1;
const MODER_RST: u32 = 1 << 11;
const MODER_CRCEN: u32 = 1 << 13;
const MODER_PAD: u32 = 1 << 15;

const INT_TXB: u32 = 1 << 0;
const INT_RXB: u32 = 1 << 2;
const INT_BUSY: u32 = 1 << 4;

/// Transmit: the MAC is to send the buffer. Receive: the MAC may fill it.
const BD_OWNED_BY_MAC: u32 = 1 << 15;
const BD_IRQ: u32 = 1 << 14;
const BD_WRAP: u32 = 1 << 13;
const BD_TX_PAD: u32 = 1 << 12;
/// Overrun, invalid symbol, dribble nibble, too long, short, CRC error.
const BD_RX_ERRORS: u32 = 0b111_1110;
const BD_LENGTH_SHIFT: u32 = 16;

const FCS_BYTES: usize = 4;
const FRAME_BYTES: usize = 1514;
const BUFFER_BYTES: usize = 1536;
const TX_BUFFERS: usize = 4;
const RX_BUFFERS: usize = 8;
const BUFFER_COUNT: usize = TX_BUFFERS + RX_BUFFERS;

static WAKER: AtomicWaker = AtomicWaker::new();
static BUFFERS: Buffers = Buffers(UnsafeCell::new([[0; BUFFER_BYTES]; BUFFER_COUNT]));

/// Memory shared with the MAC: buffer n belongs to descriptor n.
#[repr(align(4))]
struct Buffers(UnsafeCell<[[u8; BUFFER_BYTES]; BUFFER_COUNT]>);

// SAFETY: one `Driver` exists (see `Link::start`), and it touches a buffer only while the descriptor is not the MAC's.
unsafe impl Sync for Buffers {}

/// The wire. There is nothing to join: it is plugged in or it is not.
pub(crate) struct Link {
    started: bool,
}

impl Link {
    pub(crate) const MEDIUM: Medium = Medium::Wired;

    pub(crate) fn new() -> Self {
        Self { started: false }
    }

    /// Brings the MAC up. To be called once.
    pub(crate) fn start(&mut self) -> Result<Driver, JoinError> {
        // SAFETY: a read of a register of the chip's APB_CTRL page, which has no side effect.
        let presence = unsafe { ptr::with_exposed_provenance::<u32>(PRESENCE).read_volatile() };
        if self.started || presence != EMULATOR {
            return Err(JoinError::Hardware);
        }
        self.started = true;
        Ok(Driver::start())
    }

    pub(crate) async fn join(&mut self, _name: &str, _password: Option<&str>) -> Result<(), JoinError> {
        Ok(())
    }
}

/// The MAC with its buffers. The tokens share it, hence the cells.
pub(crate) struct Driver {
    mac: [u8; 6],
    next_tx: Cell<usize>,
    next_rx: Cell<usize>,
}

impl Driver {
    fn start() -> Self {
        let mut mac = [0; 6];
        mac.copy_from_slice(efuse::base_mac_address().as_bytes());
        write(MODER, MODER_RST);
        write(MODER, MODER_PAD | MODER_CRCEN);
        write(TX_BD_NUM, TX_BUFFERS as u32);
        for index in 0..BUFFER_COUNT {
            point_at_buffer(index);
            set_descriptor(
                index,
                if index < TX_BUFFERS {
                    0
                } else {
                    BD_OWNED_BY_MAC | BD_IRQ
                },
            );
        }
        write(MAC_ADDR0, u32::from_be_bytes([mac[2], mac[3], mac[4], mac[5]]));
        write(MAC_ADDR1, u32::from_be_bytes([0, 0, mac[0], mac[1]]));
        write(INT_SOURCE, u32::MAX);
        esp_hal::interrupt::bind_handler(Interrupt::WIFI_MAC, on_interrupt);
        write(INT_MASK, INT_TXB | INT_RXB | INT_BUSY);
        // The rising edges put the MAC at the first receive and the first transmit descriptor.
        write(MODER, MODER_PAD | MODER_CRCEN | MODER_RXEN | MODER_TXEN);
        Self {
            mac,
            next_tx: Cell::new(0),
            next_rx: Cell::new(TX_BUFFERS),
        }
    }

    fn can_send(&self) -> bool {
        descriptor(self.next_tx.get()) & BD_OWNED_BY_MAC == 0
    }

    /// Length of the next frame that the MAC has put into a buffer; damaged ones go back to it at once.
    fn received(&self) -> Option<usize> {
        loop {
            let flags = descriptor(self.next_rx.get());
            if flags & BD_OWNED_BY_MAC != 0 {
                return None;
            }
            let length = (flags >> BD_LENGTH_SHIFT) as usize;
            if flags & BD_RX_ERRORS == 0 && (FCS_BYTES..=BUFFER_BYTES).contains(&length) {
                return Some(length - FCS_BYTES);
            }
            self.release();
        }
    }

    /// Gives the receive buffer back to the MAC and goes on to the next.
    fn release(&self) {
        let index = self.next_rx.get();
        set_descriptor(index, BD_OWNED_BY_MAC | BD_IRQ);
        self.next_rx.set(if index + 1 == BUFFER_COUNT {
            TX_BUFFERS
        } else {
            index + 1
        });
    }
}

impl embassy_net_driver::Driver for Driver {
    type RxToken<'a> = Received<'a>;
    type TxToken<'a> = Sending<'a>;

    fn receive(&mut self, context: &mut Context<'_>) -> Option<(Received<'_>, Sending<'_>)> {
        // Registered first: an interrupt between a look and a registration would be missed.
        WAKER.register(context.waker());
        let length = self.received()?;
        self.can_send()
            .then_some((Received { driver: self, length }, Sending(self)))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Sending<'_>> {
        WAKER.register(context.waker());
        self.can_send().then_some(Sending(self))
    }

    fn link_state(&mut self, _context: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::default();
        capabilities.max_transmission_unit = FRAME_BYTES;
        capabilities.max_burst_size = Some(TX_BUFFERS);
        capabilities
    }

    fn hardware_address(&self) -> HardwareAddress {
        HardwareAddress::Ethernet(self.mac)
    }
}

/// A frame in the next receive buffer.
pub(crate) struct Received<'a> {
    driver: &'a Driver,
    length: usize,
}

impl RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, read: F) -> R {
        // SAFETY: the descriptor is not the MAC's (`Driver::received`), and tokens are used one after the other.
        let result = read(unsafe { &mut buffer(self.driver.next_rx.get())[..self.length] });
        self.driver.release();
        result
    }
}

/// The right to fill the next transmit buffer.
pub(crate) struct Sending<'a>(&'a Driver);

impl TxToken for Sending<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, fill: F) -> R {
        let index = self.0.next_tx.get();
        // SAFETY: the descriptor is not the MAC's (`Driver::can_send`), and tokens are used one after the other.
        let result = fill(unsafe { &mut buffer(index)[..length] });
        set_descriptor(
            index,
            (length as u32) << BD_LENGTH_SHIFT | BD_OWNED_BY_MAC | BD_IRQ | BD_TX_PAD,
        );
        self.0.next_tx.set(if index + 1 == TX_BUFFERS { 0 } else { index + 1 });
        result
    }
}

#[handler]
fn on_interrupt() {
    write(INT_SOURCE, read(INT_SOURCE));
    WAKER.wake();
}

/// # Safety
/// The descriptor must not be the MAC's, and no other reference to this buffer may live.
#[expect(
    clippy::mut_from_ref,
    reason = "the memory is the MAC's and ours by turns; the caller knows whose turn it is"
)]
unsafe fn buffer<'a>(index: usize) -> &'a mut [u8; BUFFER_BYTES] {
    // SAFETY: in bounds, and exclusive by this function's contract.
    unsafe { &mut *BUFFERS.0.get().cast::<[u8; BUFFER_BYTES]>().add(index) }
}

fn point_at_buffer(index: usize) {
    assert!(index < BUFFER_COUNT);
    let address = BUFFERS.0.get().expose_provenance() + index * BUFFER_BYTES;
    // SAFETY: a descriptor's second word, in bounds; the MAC is stopped.
    unsafe { descriptor_words(index).add(1).write_volatile(address as u32) };
}

fn descriptor(index: usize) -> u32 {
    assert!(index < BUFFER_COUNT);
    // SAFETY: a descriptor's first word, in bounds; reading has no side effect.
    let word = unsafe { descriptor_words(index).read_volatile() };
    // What the MAC wrote into the buffer before it gave the descriptor back must be read after it.
    fence(Ordering::Acquire);
    word
}

/// Writes the flags and length of a descriptor; the wrap bit is added to the last one of each ring.
fn set_descriptor(index: usize, flags: u32) {
    assert!(index < BUFFER_COUNT);
    let last = index == TX_BUFFERS - 1 || index == BUFFER_COUNT - 1;
    // The buffer's content must be written before the MAC may look.
    fence(Ordering::Release);
    // SAFETY: a descriptor's first word, in bounds; its buffer is `BUFFERS`, which nothing else uses.
    unsafe { descriptor_words(index).write_volatile(flags | if last { BD_WRAP } else { 0 }) };
}

fn descriptor_words(index: usize) -> *mut u32 {
    ptr::with_exposed_provenance_mut(DESCRIPTORS + index * 8)
}

fn read(register: usize) -> u32 {
    // SAFETY: one of the MAC's registers; reading has no side effect.
    unsafe { ptr::with_exposed_provenance::<u32>(REGISTERS + register).read_volatile() }
}

fn write(register: usize, value: u32) {
    // SAFETY: one of the MAC's registers, which only this module uses; what it makes the MAC do stays within `BUFFERS`.
    unsafe { ptr::with_exposed_provenance_mut::<u32>(REGISTERS + register).write_volatile(value) };
}
