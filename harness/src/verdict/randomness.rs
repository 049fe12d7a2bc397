//! Whether what a device draws at random is random: no value that can be guessed, and none that was drawn before.
//!
//! What enters: the evidence of one run, with what this process had seen before it. What leaves: findings.

use pinrig_server::Drawn;

use super::checks::Checks;
use crate::evidence::Evidence;
use crate::randomness::{Repeated, Weakness};

/// Adds a finding for each value that cannot be random.
pub(super) fn judge(evidence: &Evidence, checks: &mut Checks) {
    for drawn in evidence.clients.iter().flat_map(|client| &client.drawn) {
        if let Some(weakness) = Weakness::of(&drawn.value) {
            let (what, value) = (drawn.what, shortened(drawn));
            checks.that(false, || {
                format!("the device should have drawn its {what} at random; {value} {weakness}")
            });
        }
    }
    for Repeated { drawn, before } in &evidence.repeated {
        let (what, value) = (drawn.what, shortened(drawn));
        checks.that(false, || {
            format!(
                "the device should have drawn a {what} of its own; {value} has bytes in common with the one of {before}"
            )
        });
    }
}

/// The beginning of a value, in hexadecimal digits.
fn shortened(drawn: &Drawn) -> String {
    const SHOWN: usize = 16;
    let digits: String = drawn
        .value
        .iter()
        .take(SHOWN)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let more = if drawn.value.len() > SHOWN { "..." } else { "" };
    format!("`{digits}{more}`")
}

#[cfg(test)]
mod tests {
    use pinrig_server::DrawnFor;

    use super::super::tests::fulfilled;
    use super::super::{Verdict, judge as verdict};
    use crate::randomness::Randomness;
    use crate::scenario::Run;

    use super::*;

    /// The findings about an honest run in which `value` was drawn, after `earlier`.
    fn findings(value: &[u8], earlier: Option<&[u8]>) -> Vec<String> {
        let drawn = |value: &[u8]| Drawn {
            what: DrawnFor::Random,
            value: value.to_vec(),
        };
        let randomness = Randomness::default();
        if let Some(earlier) = earlier {
            randomness.note("another scenario", &[drawn(earlier)]);
        }
        let (expect, mut evidence) = fulfilled().swap_remove(0);
        let run = Run {
            expect,
            ..Run::honest()
        };
        evidence.clients[0].drawn = vec![drawn(value)];
        evidence.repeated = randomness.note("this scenario", &evidence.clients[0].drawn);
        match verdict(&run, &evidence) {
            Verdict::Passed => Vec::new(),
            Verdict::Failed(failure) => failure.findings,
        }
    }

    #[test]
    fn a_device_whose_random_can_be_guessed_or_comes_again_fails() {
        let good: Vec<u8> = (0..32u8)
            .map(|byte| byte.wrapping_mul(byte).wrapping_mul(91) ^ byte)
            .collect();
        assert_eq!(findings(&good, None), Vec::<String>::new());
        let [weak] = &findings(&[7; 32], None)[..] else {
            panic!("one finding is expected")
        };
        assert!(
            weak.contains("its random at random") && weak.contains("nothing but the byte 07"),
            "{weak}"
        );
        let [repeated] = &findings(&good, Some(&good))[..] else {
            panic!("one finding is expected")
        };
        assert!(repeated.contains("another scenario"), "{repeated}");
    }
}
