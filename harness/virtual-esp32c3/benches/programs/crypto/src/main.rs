//! The computations that take most of a TLS client's time, as a program without an operating system.
//!
//! Enters: a0 = the function, a1 = address and a2 = length of the input, a3 = address of the output. Leaves through
//! `ebreak` with a0 = the length of the output, or 0 if the input is not valid.
//!
//! - 0: the input is a scalar (32 bytes, big-endian), the output is x and y of that multiple of P-256's generator (64
//!   bytes).
//! - 1: the output is the SHA-256 of the input (32 bytes).

#![no_std]
#![no_main]

use core::arch::global_asm;
use core::slice;

use p256::elliptic_curve::PrimeField;
use p256::elliptic_curve::sec1::ToSec1Point;
use p256::{ProjectivePoint, Scalar};
use sha2::{Digest, Sha256};

global_asm!(
    ".section .text.start",
    ".global _start",
    "_start:",
    "la sp, _stack_top",
    "call main",
    "ebreak",
);

/// # Safety
/// `input` holds `length` bytes, `output` has room for 64.
#[unsafe(no_mangle)]
unsafe extern "C" fn main(what: u32, input: *const u8, length: usize, output: *mut u8) -> usize {
    // SAFETY: the caller promises it.
    let (input, output) = unsafe {
        (
            slice::from_raw_parts(input, length),
            slice::from_raw_parts_mut(output, 64),
        )
    };
    match what {
        0 => multiply(input, output),
        1 => {
            output[..32].copy_from_slice(&Sha256::digest(input));
            32
        }
        _ => 0,
    }
}

fn multiply(scalar: &[u8], output: &mut [u8]) -> usize {
    let Ok(scalar) = <[u8; 32]>::try_from(scalar) else {
        return 0;
    };
    let Some(scalar) = Option::<Scalar>::from(Scalar::from_repr(scalar.into())) else {
        return 0;
    };
    let point = (ProjectivePoint::GENERATOR * scalar).to_affine().to_sec1_point(false);
    let (Some(x), Some(y)) = (point.x(), point.y()) else {
        return 0;
    };
    output[..32].copy_from_slice(x);
    output[32..].copy_from_slice(y);
    64
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    loop {}
}
