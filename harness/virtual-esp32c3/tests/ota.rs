//! Updates over the air: the second-stage bootloader that espflash ships chooses between two slots by `otadata`, and
//! starts the other one if the chosen one is damaged.
//!
//! That bootloader (ESP-IDF v6.1) was built without rollback. It starts an application that is new or whose
//! verification is pending, and leaves those states as they are. With rollback, it would change "new" to "pending", and
//! "pending" to "aborted".

mod support;

use support::firmware;
use support::ota::{
    ABORTED, Boot, INVALID, NEW, OTADATA, PENDING_VERIFY, SECTOR, UNDEFINED, VALID, boot, chip, entry, flash_with_slots,
};

const SLOT_0: u32 = 0x1_0000;
const SLOT_1: u32 = 0x11_0000;

/// Starts a chip with two slots, these two entries and no factory application.
fn boot_with(entries: [Option<[u8; 32]>; 2], change: impl FnOnce(&mut [u8])) -> (Vec<u8>, Boot) {
    let mut flash = flash_with_slots(&firmware(), "ota.csv", &["ota_0", "ota_1"]);
    for (sector, entry) in entries.into_iter().enumerate() {
        if let Some(entry) = entry {
            flash[OTADATA + sector * SECTOR..][..32].copy_from_slice(&entry);
        }
    }
    change(&mut flash);
    let boot = boot(chip(flash.as_slice().into()));
    (flash, boot)
}

fn slot_of(entries: [Option<[u8; 32]>; 2]) -> Option<u32> {
    let (before, boot) = boot_with(entries, |_| {});
    let after = boot.chip.flash();
    let differs = before.iter().zip(after.iter()).position(|(a, b)| a != b);
    assert_eq!(
        differs, None,
        "a start that finds what it looks for writes nothing\n{}",
        boot.console
    );
    boot.slot
}

#[test]
fn the_highest_sequence_number_with_a_valid_checksum_is_started() {
    let mut broken = entry(4, VALID);
    broken[30] ^= 1;
    for (first, second, slot) in [
        (Some(entry(1, VALID)), None, SLOT_0),
        (None, Some(entry(2, VALID)), SLOT_1),
        (Some(entry(1, VALID)), Some(entry(2, VALID)), SLOT_1),
        (Some(entry(3, VALID)), Some(entry(2, VALID)), SLOT_0),
        (Some(entry(7, VALID)), Some(entry(8, VALID)), SLOT_1),
        (Some(entry(3, VALID)), Some(broken), SLOT_0),
    ] {
        assert_eq!(slot_of([first, second]), Some(slot), "{first:x?} {second:x?}");
    }
}

#[test]
fn images_in_an_invalid_state_are_not_started_and_no_state_is_changed() {
    for (state, slot) in [
        (NEW, SLOT_1),
        (PENDING_VERIFY, SLOT_1),
        (VALID, SLOT_1),
        (UNDEFINED, SLOT_1),
        (INVALID, SLOT_0),
        (ABORTED, SLOT_0),
    ] {
        assert_eq!(
            slot_of([Some(entry(1, VALID)), Some(entry(2, state))]),
            Some(slot),
            "state {state}"
        );
    }
}

#[test]
fn the_other_slot_is_started_if_an_image_is_damaged() {
    let entries = [Some(entry(1, VALID)), Some(entry(2, VALID))];
    // One flipped bit of the code shows in the checksum, an exclusive or. The same bit of two words shows in the hash
    // only.
    let cases: [(&[usize], &str); 2] = [
        (&[0x1_8000], "Checksum failed."),
        (&[0x1_8000, 0x1_8004], "Image hash failed - image is corrupt"),
    ];
    for (places, complaint) in cases {
        let (_, first) = boot_with(entries, |flash| {
            for place in places {
                flash[SLOT_1 as usize + place] ^= 0x10;
            }
        });
        assert_eq!(first.slot, Some(SLOT_0), "{}", first.console);
        let console = console_after(&first);
        for line in [complaint, "OTA app partition slot 1 is not bootable"] {
            assert!(console.contains(line), "no {line:?}:\n{console}");
        }
    }
    // There is no header at all.
    let (_, erased) = boot_with(entries, |flash| flash[SLOT_1 as usize..][..SECTOR].fill(0xFF));
    assert_eq!(erased.slot, Some(SLOT_0), "{}", erased.console);
    // With no image in either slot it starts nothing, and tries again and again.
    let (_, none) = boot_with(entries, |flash| {
        flash[SLOT_0 as usize] = 0;
        flash[SLOT_1 as usize] = 0;
    });
    assert_eq!(none.slot, None);
    assert!(
        none.console
            .contains("No bootable app partitions in the partition table"),
        "{}",
        none.console
    );
}

/// The console up to the first output of the application itself.
fn console_after(boot: &Boot) -> String {
    let mut console = boot.console.clone();
    let mut chip = boot.chip.clone();
    assert!(
        support::ota::run_until(&mut chip, &mut console, "@- ready ", 5),
        "no firmware:\n{console}"
    );
    console
}

#[test]
fn without_otadata_the_factory_image_is_started_or_the_first_slot_which_is_noted() {
    let (_, boot) = boot_with([None, None], |_| {});
    assert_eq!(boot.slot, Some(SLOT_0), "{}", boot.console);
    let console = console_after(&boot);
    assert!(console.contains("No factory image, trying OTA 0"), "{console}");
    assert!(console.contains("Set actual ota_seq=1 in otadata[0]"), "{console}");
    // The choice is noted in otadata, so that the next start need not search.
    let mut next = boot.chip.clone();
    let mut more = String::new();
    support::ota::run_until(&mut next, &mut more, "@- ready ", 5);
    let again = support::ota::boot(next);
    assert_eq!(again.slot, Some(SLOT_0));
    assert!(!again.console.contains("trying OTA 0"), "{}", again.console);

    let elf = firmware();
    let flash = flash_with_slots(&elf, "factory.csv", &["factory", "ota_0", "ota_1"]);
    let factory = support::ota::boot(chip(flash.as_slice().into()));
    assert_eq!(factory.slot, Some(0x1_0000), "{}", factory.console);
    assert!(
        factory.console.contains("Defaulting to factory image"),
        "{}",
        factory.console
    );
    let mut chosen = flash;
    chosen[OTADATA..][..32].copy_from_slice(&entry(2, VALID));
    assert_eq!(support::ota::boot(chip(chosen.into())).slot, Some(0x21_0000));
}
