//! Talks to the mask ROM's serial loader directly at the chip and in the chip's time, without a tty or the host's
//! clock. It has only the requests that write flash, as espflash and esptool send them without their stubs. (esptool
//! documentation, "Serial Protocol".)

use virtual_esp32c3::chip::{Chip, Pause};
use virtual_esp32c3::clock::CYCLES_PER_SECOND;

const SYNC: u8 = 0x08;
const SPI_ATTACH: u8 = 0x0D;
const FLASH_BEGIN: u8 = 0x02;
const FLASH_DATA: u8 = 0x03;
const BLOCK: usize = 0x400;
/// Cycles that an answer may take. The ROM answers within milliseconds, or after an erase.
const PATIENCE: u64 = 10 * CYCLES_PER_SECOND;

/// Requests to the loader. Each is sent when the one before is answered.
pub struct Requests {
    requests: Vec<(u8, Vec<u8>)>,
}

impl Requests {
    /// The requests that write `data` at `address`. Address and length must be multiples of a block.
    pub fn write(address: u32, data: &[u8]) -> Self {
        let mut sync = vec![0x07, 0x07, 0x12, 0x20];
        sync.extend([0x55; 32]);
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<u8>>();
        let blocks = data.len().div_ceil(BLOCK) as u32;
        let mut requests = vec![
            (SYNC, sync),
            (SPI_ATTACH, words(&[0, 0])),
            (
                FLASH_BEGIN,
                words(&[data.len() as u32, blocks, BLOCK as u32, address, 0]),
            ),
        ];
        for (number, block) in data.chunks(BLOCK).enumerate() {
            let mut payload = words(&[block.len() as u32, number as u32, 0, 0]);
            payload.extend(block);
            requests.push((FLASH_DATA, payload));
        }
        Self { requests }
    }

    /// Sends all of them to a chip in download mode. `each` is called with the chip before the first cycle and after
    /// every `step` cycles.
    pub fn run(&self, chip: &mut Chip, step: u64, mut each: impl FnMut(&Chip)) {
        each(chip);
        for (command, payload) in &self.requests {
            let frame = frame(*command, payload);
            let end = chip.now() + PATIENCE;
            let mut again = chip.now();
            let mut answer = Vec::new();
            while !answered(&answer, *command) {
                assert!(chip.now() < end, "no answer to {command:#04x}: {answer:x?}");
                if chip.now() >= again {
                    chip.receive(&frame);
                    // The loader uses the first synchronisation to measure the baud rate, so that it is sent again. No
                    // other request is.
                    again = match *command {
                        SYNC => chip.now() + CYCLES_PER_SECOND / 10,
                        _ => u64::MAX,
                    };
                }
                let until = chip.now() + step;
                if let Pause::Asleep(_) | Pause::Held = chip.run(until) {
                    chip.sleep_until(until);
                }
                answer.extend(chip.sent().drain(..));
                chip.taken();
                each(chip);
            }
        }
    }
}

/// A request in its SLIP frame: direction 0, command, length, checksum and payload, between 0xC0, with 0xC0 and 0xDB
/// escaped.
fn frame(command: u8, payload: &[u8]) -> Vec<u8> {
    let checksum = match command {
        FLASH_DATA => payload.iter().skip(16).fold(0xEF, |sum, byte| sum ^ byte),
        _ => 0,
    };
    let mut packet = vec![0, command];
    packet.extend((payload.len() as u16).to_le_bytes());
    packet.extend(u32::from(checksum).to_le_bytes());
    packet.extend(payload);
    let mut frame = vec![0xC0];
    for byte in packet {
        match byte {
            0xC0 => frame.extend([0xDB, 0xDC]),
            0xDB => frame.extend([0xDB, 0xDD]),
            byte => frame.push(byte),
        }
    }
    frame.push(0xC0);
    frame
}

/// Whether the answer to the command has come. It must report success.
fn answered(bytes: &[u8], command: u8) -> bool {
    let mut frames = bytes.split(|byte| *byte == 0xC0);
    // The bytes behind the last delimiter are not complete yet.
    frames.next_back();
    let Some(answer) = frames.find(|frame| frame.starts_with(&[1, command])) else {
        return false;
    };
    // The four last bytes are the status: 0 is success.
    let status = &answer[answer.len() - 4..];
    assert_eq!(status[..2], [0, 0], "{command:#04x} failed: {answer:x?}");
    // The answer to a synchronisation comes eight times.
    command != SYNC || bytes.iter().filter(|byte| **byte == 0xC0).count() >= 16
}
