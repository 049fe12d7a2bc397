//! The Reed-Solomon code of the eFuses' blocks 1 to 10: 32 bytes of data enter, 12 check symbols leave. It knows no
//! register.
//! (ESP32-C3 Technical Reference Manual, chapter "eFuse Controller": RS(44, 32) over GF(2^8).)

const CHECK_SYMBOLS: usize = 12;
/// The polynomial x^8 + x^4 + x^3 + x^2 + 1, whose root 2 generates the field.
const FIELD: u16 = 0x11D;

/// The check symbols of a block's data, in the order in which they are burnt.
pub(super) fn check_symbols(data: &[u8; 32]) -> [u8; CHECK_SYMBOLS] {
    let generator = generator();
    let mut remainder = [0; CHECK_SYMBOLS];
    for byte in data {
        let quotient = byte ^ remainder[0];
        remainder.rotate_left(1);
        remainder[CHECK_SYMBOLS - 1] = 0;
        for (symbol, factor) in remainder.iter_mut().zip(generator) {
            *symbol ^= product(quotient, factor);
        }
    }
    remainder
}

/// The coefficients of (x - 1)(x - 2)(x - 4)..., the product over the first twelve powers of the root. The highest
/// coefficient, which is one, is left out.
fn generator() -> [u8; CHECK_SYMBOLS] {
    let mut polynomial = [0; CHECK_SYMBOLS + 1];
    polynomial[CHECK_SYMBOLS] = 1;
    let mut root = 1;
    for _ in 0..CHECK_SYMBOLS {
        for n in 0..CHECK_SYMBOLS {
            polynomial[n] = polynomial[n + 1] ^ product(polynomial[n], root);
        }
        polynomial[CHECK_SYMBOLS] = product(polynomial[CHECK_SYMBOLS], root);
        root = product(root, 2);
    }
    std::array::from_fn(|n| polynomial[n + 1])
}

fn product(a: u8, b: u8) -> u8 {
    let (mut sum, mut shifted) = (0u16, u16::from(a));
    for bit in 0..8 {
        if b >> bit & 1 != 0 {
            sum ^= shifted;
        }
        shifted <<= 1;
        if shifted & 0x100 != 0 {
            shifted ^= FIELD;
        }
    }
    sum as u8
}

#[cfg(test)]
mod tests {
    use super::check_symbols;

    /// The expected symbols come from the Python package `reedsolo`.
    #[test]
    fn check_symbols_are_those_of_another_implementation() {
        let counting = std::array::from_fn(|n| n as u8);
        assert_eq!(
            check_symbols(&counting),
            [0xA0, 0x4C, 0x47, 0x0D, 0x3F, 0xFC, 0xB2, 0x03, 0xDA, 0xE9, 0xF4, 0x13]
        );
        assert_eq!(check_symbols(&[0; 32]), [0; 12]);
    }
}
