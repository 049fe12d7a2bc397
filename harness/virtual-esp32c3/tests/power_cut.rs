//! The supply fails while flash is written. At any moment, the real ROM and bootloader must do what they do on a real
//! board: start the old application or the new one, or, after a cut while the bootloader itself was written, report
//! that there is none.

mod support;

use std::sync::Arc;

use support::firmware;
use support::loader::Requests;
use support::ota::{OTADATA, SECTOR, VALID, boot, chip, entry, flash_with_slots};
use virtual_esp32c3::FlashTiming;
use virtual_esp32c3::chip::Chip;
use virtual_esp32c3::clock::CYCLES_PER_MICROSECOND;
use virtual_esp32c3::{HardwareEvent, LogEntry};

const SLOT_0: u32 = 0x1_0000;
const SLOT_1: u32 = 0x11_0000;
/// Power cuts that one test makes.
const CUTS: usize = 200;

/// A chip in download mode, whose flash takes as long as a real one.
fn loader(flash: &[u8]) -> Chip {
    let mut chip = chip(flash.into());
    chip.set_flash_timing(FlashTiming::TYPICAL);
    chip.set_lines(true, false);
    let mut console = String::new();
    assert!(
        support::ota::run_until(&mut chip, &mut console, "waiting for download", 2),
        "{console}"
    );
    chip.take_log();
    chip
}

fn interruptions(log: &[LogEntry]) -> usize {
    let is = |entry: &&LogEntry| matches!(entry.event, HardwareEvent::FlashInterrupted { .. });
    log.iter().filter(is).count()
}

/// Chips whose supply failed during a write, one for each cut. The cuts are spread evenly over the time of the write.
fn cuts(flash: &[u8], address: u32, data: &[u8], count: usize) -> Vec<Chip> {
    const STEP: u64 = 10 * CYCLES_PER_MICROSECOND;
    let requests = Requests::write(address, data);
    let mut steps = 0;
    requests.run(&mut loader(flash), STEP, |_| steps += 1);
    let every = (steps / count).max(1);
    let mut cuts = Vec::new();
    let mut step = 0;
    requests.run(&mut loader(flash), STEP, |chip| {
        // A little later each time, so that not all cuts meet the same instruction of a loop.
        if step % every == 0 {
            let mut cut = chip.clone();
            cut.run(cut.now() + step as u64 % 97);
            cut.power_cut();
            cuts.push(cut);
        }
        step += 1;
    });
    cuts
}

#[test]
fn a_cut_while_the_choice_of_slot_is_updated_leaves_the_old_or_the_new_one() {
    let mut flash = flash_with_slots(&firmware(), "ota.csv", &["ota_0", "ota_1"]);
    flash[OTADATA..][..32].copy_from_slice(&entry(3, VALID));
    flash[OTADATA + SECTOR..][..32].copy_from_slice(&entry(2, VALID));
    // As in ESP-IDF: the sector with the older entry is erased, and the new entry is written there.
    let mut new = vec![0xFF; 0x400];
    new[..32].copy_from_slice(&entry(4, VALID));
    let mut torn = 0;
    let mut seen = [0; 2];
    for mut cut in cuts(&flash, (OTADATA + SECTOR) as u32, &new, CUTS) {
        torn += interruptions(&cut.take_log());
        let left = cut.flash();
        let boot = boot(cut);
        match boot.slot {
            Some(SLOT_0) => seen[0] += 1,
            Some(SLOT_1) => seen[1] += 1,
            _ => panic!(
                "neither slot is started:\n{}\n{:x?}",
                boot.console,
                &left[OTADATA + SECTOR..][..32]
            ),
        }
        // Sectors that were not written are unchanged.
        let untouched = |range: std::ops::Range<usize>| left[range.clone()] == flash[range];
        assert!(untouched(0..OTADATA + SECTOR) && untouched(OTADATA + 2 * SECTOR..flash.len()));
    }
    assert!(torn >= CUTS / 4, "{torn} cuts came while the flash was busy");
    assert!(seen[0] >= CUTS / 4 && seen[1] > 0, "old and new: {seen:?}");
}

#[test]
fn the_checksum_of_an_entry_shows_whether_its_page_is_complete() {
    let mut flash = flash_with_slots(&firmware(), "ota.csv", &["ota_0", "ota_1"]);
    flash[OTADATA..][..32].copy_from_slice(&entry(1, VALID));
    let mut new = vec![0xFF; 0x400];
    new[..32].copy_from_slice(&entry(2, VALID));
    // The sector is erased already, so the only change is the program of the page.
    let requests = Requests::write((OTADATA + SECTOR) as u32, &new);
    let begins = |chip: &Chip| chip.flash()[OTADATA + SECTOR..][..32] != [0xFF; 32];
    let mut at_work = Vec::new();
    requests.run(&mut loader(&flash), CYCLES_PER_MICROSECOND, |chip| {
        if at_work.len() < 380 && chip.memory().flash_part(OTADATA + SECTOR..OTADATA + SECTOR + 32)[..] != [0xFF; 32] {
            at_work.push(chip.clone());
        }
    });
    assert!(begins(&at_work[0]));
    let mut mixed = 0;
    for cut in at_work.iter().step_by(16) {
        let mut cut = cut.clone();
        cut.power_cut();
        let left = cut.flash()[OTADATA + SECTOR..][..32].to_vec();
        assert!(
            left.iter().zip(&new).all(|(left, new)| left & new == *new),
            "only the new bits: {left:x?}"
        );
        mixed += usize::from(left != new[..32]);
        let boot = boot(cut);
        let expected = if left[..4] == new[..4] && left[28..] == new[28..32] {
            SLOT_1
        } else {
            SLOT_0
        };
        assert_eq!(boot.slot, Some(expected), "{left:x?}\n{}", boot.console);
    }
    assert!(mixed >= 15, "{mixed} torn entries");
}

#[test]
fn a_cut_while_a_slot_is_rewritten_leaves_the_other_one() {
    let elf = firmware();
    let mut flash = flash_with_slots(&elf, "ota.csv", &["ota_0", "ota_1"]);
    flash[OTADATA..][..32].copy_from_slice(&entry(2, VALID));
    // The first sectors of the chosen slot are overwritten with other code, so that its hash no longer matches.
    let data: Vec<u8> = flash[SLOT_1 as usize..][..0x4000]
        .iter()
        .map(|byte| byte ^ 0x20)
        .collect();
    let mut whole = 0;
    for cut in cuts(&flash, SLOT_1, &data, 24) {
        let boot = boot(cut);
        let old = boot.chip.flash()[SLOT_1 as usize..][..0x4000] == flash[SLOT_1 as usize..][..0x4000];
        whole += usize::from(old);
        assert_eq!(boot.slot, Some(if old { SLOT_1 } else { SLOT_0 }), "{}", boot.console);
    }
    assert!((1..24).contains(&whole), "{whole} cuts before the first change");
}

#[test]
fn a_cut_while_the_bootloader_is_written_leaves_a_board_that_must_be_flashed() {
    let flash = flash_with_slots(&firmware(), "ota.csv", &["ota_0"]);
    let bootloader = flash[..0x1000].to_vec();
    let cuts = cuts(&flash, 0, &bootloader, 16);
    let mut dead: Option<Chip> = None;
    for cut in cuts {
        let boot = boot(cut);
        if boot.slot.is_none() {
            // The ROM finds no image, or one that it cannot verify. The chip has no second copy.
            assert!(
                ["invalid header", "Checksum failure", "Invalid image block"]
                    .iter()
                    .any(|complaint| boot.console.contains(complaint)),
                "{}",
                boot.console
            );
            dead = Some(boot.chip);
        }
    }
    let mut chip = dead.expect("a cut while the first sector is erased stops the board from booting");
    chip.set_lines(false, false);
    chip.set_lines(true, false);
    let mut console = String::new();
    support::ota::run_until(&mut chip, &mut console, "waiting for download", 2);
    Requests::write(0, &bootloader).run(&mut chip, CYCLES_PER_MICROSECOND * 100, |_| {});
    assert_eq!(boot(chip).slot, Some(SLOT_0));
}

#[test]
fn cuts_with_the_same_seed_leave_the_same_bits() {
    let flash = flash_with_slots(&firmware(), "ota.csv", &["ota_0"]);
    let torn = || -> Vec<Arc<[u8]>> {
        let data = vec![0x5A; 0x400];
        cuts(&flash, SLOT_0, &data, 12).iter().map(Chip::flash).collect()
    };
    let (first, second) = (torn(), torn());
    assert!(first == second, "two runs differ");
    assert!(
        first.windows(2).any(|pair| pair[0] != pair[1]),
        "the cuts left different states"
    );
}
