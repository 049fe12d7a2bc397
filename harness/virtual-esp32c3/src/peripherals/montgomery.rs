//! Montgomery arithmetic on large numbers, as the RSA accelerator and the digital signature unit do it. Numbers enter
//! and leave as words, the lowest first. It knows no register.
//! (Koç, Acar and Kaliski, "Analyzing and Comparing Montgomery Multiplication Algorithms", 1996: CIOS.)
//!
//! It is written out here because a library would give other results than the chip for wrong input. Software computes
//! M' = -M^-1 mod 2^32 and R^2 mod M; the accelerator never checks them, and with wrong ones its answer is wrong.

/// A modulus, and the numbers that software has computed from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Modulus<'a> {
    /// M.
    pub(super) words: &'a [u32],
    /// M' = -M^-1 mod 2^32.
    pub(super) inverse: u32,
    /// R^2 mod M, where R = 2^(32 * words).
    pub(super) r_squared: &'a [u32],
}

impl Modulus<'_> {
    /// `base` to the power of the lowest `bits` bits of `exponent`.
    pub(super) fn power(&self, base: &[u32], exponent: &[u32], bits: usize) -> Vec<u32> {
        let mut one = vec![0; self.words.len()];
        if let Some(lowest) = one.first_mut() {
            *lowest = 1;
        }
        let base = self.product(base, self.r_squared);
        let mut power = self.product(&one, self.r_squared);
        let set = |bit: usize| exponent.get(bit / 32).is_some_and(|word| word >> (bit % 32) & 1 != 0);
        // Leading zeros of the exponent only square one.
        let bits = (0..bits).rev().find(|&bit| set(bit)).map_or(0, |highest| highest + 1);
        for bit in (0..bits).rev() {
            power = self.product(&power, &power);
            if set(bit) {
                power = self.product(&power, &base);
            }
        }
        self.product(&power, &one)
    }

    /// `a` times `b`.
    pub(super) fn multiply(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        self.product(&self.product(a, self.r_squared), b)
    }

    /// The Montgomery product: `a` times `b` divided by R.
    fn product(&self, a: &[u32], b: &[u32]) -> Vec<u32> {
        let length = self.words.len();
        let mut sum = vec![0u32; length + 2];
        for &digit in b.iter().take(length) {
            add_multiple(&mut sum, a, digit);
            let quotient = sum[0].wrapping_mul(self.inverse);
            add_multiple(&mut sum, self.words, quotient);
            // If M' is right, the lowest word is zero now.
            sum.copy_within(1.., 0);
            sum[length + 1] = 0;
        }
        if sum[length] != 0 || !less(&sum[..length], self.words) {
            subtract(&mut sum, self.words);
        }
        sum.truncate(length);
        sum
    }
}

/// The product of two numbers, with as many words as both together.
pub(super) fn multiply(a: &[u32], b: &[u32]) -> Vec<u32> {
    let mut product = vec![0; a.len() + b.len() + 1];
    for (n, &digit) in b.iter().enumerate() {
        add_multiple(&mut product[n..], a, digit);
    }
    product.truncate(a.len() + b.len());
    product
}

/// Adds `number` times `digit` to `sum`, which is longer than `number`. A carry out of `sum` is lost.
fn add_multiple(sum: &mut [u32], number: &[u32], digit: u32) {
    let mut carry = 0;
    let (low, high) = sum.split_at_mut(number.len());
    for (word, &factor) in low.iter_mut().zip(number) {
        let total = u64::from(*word) + u64::from(factor) * u64::from(digit) + carry;
        *word = total as u32;
        carry = total >> 32;
    }
    for word in high {
        let total = u64::from(*word) + carry;
        *word = total as u32;
        carry = total >> 32;
    }
}

fn less(a: &[u32], b: &[u32]) -> bool {
    a.iter().rev().lt(b.iter().rev())
}

fn subtract(from: &mut [u32], number: &[u32]) {
    let mut borrow = false;
    for (n, word) in from.iter_mut().enumerate() {
        let (difference, first) = word.overflowing_sub(number.get(n).copied().unwrap_or(0));
        let (difference, second) = difference.overflowing_sub(u32::from(borrow));
        *word = difference;
        borrow = first || second;
    }
}
