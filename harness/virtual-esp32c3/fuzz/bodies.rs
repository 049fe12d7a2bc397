//! Runs the inputs of a fuzzer on the virtual chip: as code, as bytes for the mask ROM's loader, and as Ethernet frames
//! for the firmware.
//!
//! Any bytes enter; nothing leaves. No input may panic or make the chip's clock stand still. The fuzz targets beside
//! this file and the test `tests/fuzz.rs` call these functions.

use std::sync::Arc;

use virtual_esp32c3::Strapping;
use virtual_esp32c3::chip::{Chip, ChipOptions, ConsolePort, Pause};

/// Cycles in a millisecond.
const MILLISECOND: u64 = 160_000;
/// The mark at the start of flash that makes the ROM run the code behind it in place ("direct boot").
const DIRECT_BOOT: [u8; 8] = *b"\x1d\x04\xdb\xae\x1d\x04\xdb\xae";
/// The most frames of one input.
const MANY: usize = 32;

/// A chip with these contents of its flash, released from reset with this strapping.
pub(crate) fn started(flash: Arc<[u8]>, strapping: Strapping) -> Chip {
    let options = ChipOptions {
        flash,
        mac: [2, 0, 0, 0xC3, 0, 1],
        revision: (0, 3),
        seed: 1,
        console: ConsolePort::Uart0,
    };
    let mut chip = Chip::new(options).expect("the ROM of revision 0.3 is there");
    chip.set_lines(true, strapping.boot_level());
    chip
}

/// Lets this many cycles pass, and returns the bytes that the chip has sent on its console, and the frames that it has
/// sent.
pub(crate) fn pass(chip: &mut Chip, cycles: u64) -> (Vec<u8>, Vec<Vec<u8>>) {
    let end = chip.now() + cycles;
    // Each turn of the loop must move the clock on.
    let mut turns = 0_u64;
    let (mut said, mut frames) = (Vec::new(), Vec::new());
    while chip.now() < end {
        let before = chip.now();
        match chip.run(end) {
            Pause::Deadline => {}
            Pause::Asleep(next) => chip.sleep_until(next.clamp(before + 1, end)),
            Pause::Held => break,
        }
        said.extend(chip.sent().drain(..));
        chip.taken();
        frames.extend(std::iter::from_fn(|| chip.sent_frame()));
        turns += 1;
        assert!(turns <= cycles + 1, "the clock stands still at {before}");
    }
    (said, frames)
}

/// Runs the input as the program in flash.
pub(crate) fn code(input: &[u8]) {
    let mut flash = DIRECT_BOOT.to_vec();
    flash.extend(input);
    flash.resize(flash.len().next_multiple_of(0x1_0000), 0xFF);
    let mut chip = started(flash.into(), Strapping::Flash);
    pass(&mut chip, 60 * MILLISECOND);
}

/// A chip whose loader has measured the host's speed, and the loader's answers.
pub(crate) fn in_the_loader() -> (Chip, Vec<u8>) {
    let mut chip = started(vec![0xFF; 0x4_0000].into(), Strapping::Download);
    pass(&mut chip, 30 * MILLISECOND);
    let mut said = Vec::new();
    // The loader uses the first ones to measure the speed.
    for _ in 0..4 {
        let sync = [&[7, 7, 0x12, 0x20], &[0x55; 32][..]].concat();
        chip.receive(&request(8, &sync));
        said.extend(pass(&mut chip, 20 * MILLISECOND).0);
    }
    (chip, said)
}

/// Sends the input to the loader. If its first byte is even, the rest is sent as it is. Otherwise the rest is a list of
/// requests, each of a command, a length and that many bytes. They are put into frames with the right checksum, so that
/// the loader executes the commands.
pub(crate) fn loader(input: &[u8]) {
    let Some((kind, input)) = input.split_first() else {
        return;
    };
    let (mut chip, _) = in_the_loader();
    if kind % 2 == 0 {
        for chunk in input.chunks(48) {
            chip.receive(chunk);
            pass(&mut chip, MILLISECOND);
        }
    } else {
        let mut rest = input;
        while let [command, length, after @ ..] = rest {
            let (data, after) = after.split_at(after.len().min(usize::from(*length)));
            chip.receive(&request(*command, data));
            pass(&mut chip, 5 * MILLISECOND);
            rest = after;
        }
    }
    pass(&mut chip, 20 * MILLISECOND);
}

/// A request of the serial protocol in its SLIP frame: direction, command, length of the data, checksum over the data
/// behind the 16 bytes of a data command's header, and the data.
fn request(command: u8, data: &[u8]) -> Vec<u8> {
    let checksum = data.iter().skip(16).fold(0xEF_u8, |sum, byte| sum ^ byte);
    let [low, high] = (data.len() as u16).to_le_bytes();
    let content = [&[0, command, low, high, checksum, 0, 0, 0], data].concat();
    let mut frame = vec![0xC0];
    for byte in content {
        match byte {
            0xC0 => frame.extend([0xDB, 0xDC]),
            0xDB => frame.extend([0xDB, 0xDD]),
            byte => frame.push(byte),
        }
    }
    frame.push(0xC0);
    frame
}

/// A chip whose firmware looks for its network.
pub(crate) fn on_the_network(flash: Arc<[u8]>) -> Chip {
    let mut chip = started(flash, Strapping::Flash);
    pass(&mut chip, 300 * MILLISECOND);
    let pin = "00".repeat(20);
    for line in ["set network n".to_owned(), format!("set pin {pin}"), "run".to_owned()] {
        chip.receive(format!("{line}\n").as_bytes());
        pass(&mut chip, 20 * MILLISECOND);
    }
    chip
}

/// Sends the input to the board as frames. It is a list of frames, each of a kind, a length in units of six bytes, and
/// the bytes. The kind says whether they are sent as they are, or behind an Ethernet header with the board's address
/// and a type that it accepts.
pub(crate) fn frames(board: &Chip, input: &[u8]) {
    let mut chip = board.clone();
    let mut rest = input;
    for _ in 0..MANY {
        let [kind, length, after @ ..] = rest else { break };
        let (data, after) = after.split_at(after.len().min(usize::from(*length) * 6));
        let header: &[u8] = match kind % 4 {
            0 => &[],
            1 => b"\x02\0\0\xC3\0\x01\x02\0\0\0\0\x01\x08\x00\x45\x00",
            2 => b"\xFF\xFF\xFF\xFF\xFF\xFF\x02\0\0\0\0\x01\x08\x06\x00\x01\x08\x00\x06\x04\x00",
            _ => b"\x02\0\0\xC3\0\x01\x02\0\0\0\0\x01\x08\x00",
        };
        chip.receive_frame([header, data].concat());
        pass(&mut chip, 2 * MILLISECOND);
        rest = after;
    }
    pass(&mut chip, 20 * MILLISECOND);
}
