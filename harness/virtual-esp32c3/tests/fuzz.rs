//! Runs the bodies of the fuzz targets with a few hundred inputs from a seed, so that every build tries them. The
//! fuzzer itself runs for as long as its user lets it: see `fuzz/README.md`.

mod support;

#[path = "../fuzz/bodies.rs"]
mod bodies;

use support::{firmware, flash_contents};
use virtual_esp32c3::Strapping;

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators").
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.next() as usize % (most + 1);
        (0..length).map(|_| self.next() as u8).collect()
    }
}

#[test]
fn no_code_stops_the_clock() {
    let mut random = Random(1);
    for _ in 0..60 {
        let mut code = random.bytes(2000);
        // Most words become known operations with random registers and immediates, since random words trap at once.
        for word in code.chunks_exact_mut(4) {
            let known = [0x13, 0x33, 0x03, 0x23, 0x63, 0x6F, 0x67, 0x73, 0x37, 0x17, 0x0F];
            if random.next() % 8 < 7 {
                word[0] = word[0] & 0x80 | known[random.next() as usize % known.len()];
            }
        }
        bodies::code(&code);
    }
}

#[test]
fn no_input_to_the_loader_stops_the_clock() {
    // Commands of the ROM's protocol, from "begin" to "security info".
    const COMMANDS: [u8; 14] = [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 16, 20];
    let mut random = Random(2);
    for number in 0..40_u8 {
        let mut input = vec![number];
        if number % 2 == 0 {
            input.extend(random.bytes(1500));
        }
        for _ in 0..random.next() % 12 {
            let data = random.bytes(120);
            input.extend([COMMANDS[random.next() as usize % COMMANDS.len()], data.len() as u8]);
            input.extend(data);
        }
        bodies::loader(&input);
    }
}

#[test]
fn no_frame_stops_the_clock() {
    let board = bodies::on_the_network(flash_contents(&firmware()));
    let mut random = Random(3);
    for _ in 0..60 {
        let mut input = Vec::new();
        for _ in 0..random.next() % 16 {
            let data = random.bytes(600);
            input.extend([random.next() as u8, (data.len() / 6) as u8]);
            input.extend(data);
        }
        bodies::frames(&board, &input);
    }
}

#[test]
fn the_bodies_reach_the_code_that_they_test() {
    // Otherwise the tests above would test nothing.
    const MILLISECOND: u64 = 160_000;
    let (_, said) = bodies::in_the_loader();
    let answer = [0xC0, 1, 8];
    assert!(
        said.windows(3).any(|window| window == answer),
        "no answer of the loader: {said:x?}"
    );

    let mut board = bodies::on_the_network(flash_contents(&firmware()));
    let (_, frames) = bodies::pass(&mut board, 10_000 * MILLISECOND);
    let cookie = [0x63, 0x82, 0x53, 0x63];
    let asks = |frame: &Vec<u8>| frame.windows(4).any(|window| window == cookie);
    assert!(frames.iter().any(asks), "no DHCP request");

    // The program `j .` is running at the end. If it had trapped, the hart would be in the ROM.
    let mut flash = b"\x1d\x04\xdb\xae\x1d\x04\xdb\xae\x6f\0\0\0".to_vec();
    flash.resize(0x1_0000, 0xFF);
    let mut chip = bodies::started(flash.into(), Strapping::Flash);
    bodies::pass(&mut chip, 60 * MILLISECOND);
    assert_eq!(chip.hart().pc(), 0x4200_0008, "the program of direct boot runs");
}
