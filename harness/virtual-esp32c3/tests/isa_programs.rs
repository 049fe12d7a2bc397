//! The hart runs compiled cryptography and computes the published results.

#[path = "../benches/programs/mod.rs"]
mod programs;

use programs::{Function, Machine};

/// The key pair on P-256 of RFC 6979, A.2.5.
#[test]
fn p256_multiplies_the_generator() {
    let scalar = bytes("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721");
    let (point, _) = Machine::new().call(Function::P256, &scalar);
    let x = bytes("60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6");
    let y = bytes("7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299");
    assert_eq!(point, [x, y].concat());
}

/// The examples of FIPS 180-4 with one block and two blocks.
#[test]
fn sha256_digests() {
    let mut machine = Machine::new();
    let (digest, _) = machine.call(Function::Sha256, b"abc");
    assert_eq!(
        digest,
        bytes("BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD")
    );
    let two_blocks = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    let (digest, _) = machine.call(Function::Sha256, two_blocks);
    assert_eq!(
        digest,
        bytes("248D6A61D20638B8E5C026930C3E6039A33CE45964FF2167F6ECEDD419DB06C1")
    );
}

/// The clock counts instructions, so the same work takes the same number of cycles, however often it is interrupted.
#[test]
fn the_same_work_takes_the_same_time() {
    let mut machine = Machine::new();
    let (_, first) = machine.call(Function::P256, &[0x5A; 32]);
    let (_, again) = machine.call(Function::P256, &[0x5A; 32]);
    let (_, other) = Machine::new().call(Function::P256, &[0x5A; 32]);
    assert_eq!((first, first), (again, other));
    assert!(first > 1_000_000, "{first} instructions are too few for the work");
}

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16).expect("a hex digit") as u8;
    hex.as_bytes()
        .chunks(2)
        .map(|pair| digit(pair[0]) << 4 | digit(pair[1]))
        .collect()
}

#[test]
fn a_copy_in_ram_is_complete() {
    let input: Vec<u8> = (0..0x8000_u32).map(|byte| ((byte * 7) >> 3) as u8).collect();
    let (output, instructions) = Machine::new().call(Function::Copy, &input);
    assert!(output == input);
    assert_eq!(instructions, 1 + 0x8000 / 16 * 12);
}
