//! The watchdogs of both timer groups, the RTC watchdog and the super watchdog: stages, feeding, protection, reset
//! causes.

mod soc_support;

use soc_support::{MILLISECOND, Program};
use virtual_esp32c3::ResetCause;

const KEY: u32 = 0x50D8_3AA1;
/// Timer groups 0 and 1, with the interrupt sources of their watchdogs and the causes of their resets.
const GROUPS: [(u32, u32, ResetCause, ResetCause); 2] = [
    (
        0x6001_F000,
        33,
        ResetCause::TimerGroup0Cpu,
        ResetCause::TimerGroup0System,
    ),
    (
        0x6002_0000,
        35,
        ResetCause::TimerGroup1Cpu,
        ResetCause::TimerGroup1System,
    ),
];
const CONFIG0: u32 = 0x48;
const CONFIG1: u32 = 0x4C;
const HOLD0: u32 = 0x50;
const FEED: u32 = 0x60;
const PROTECT: u32 = 0x64;
const INT_ENA: u32 = 0x70;
const INT_RAW: u32 = 0x74;
const INT_CLR: u32 = 0x7C;
const EN: u32 = 1 << 31;
const CPU_RESET_EN: u32 = 1 << 13;
const INTERRUPT: u32 = 1;
const CPU: u32 = 2;
const SYSTEM: u32 = 3;
const RTC: u32 = 4;

/// A bare program that switches off the super watchdog. The tests set everything else.
fn program() -> Program {
    Program::new()
}

fn stages(actions: [u32; 4]) -> u32 {
    actions[0] << 29 | actions[1] << 27 | actions[2] << 25 | actions[3] << 23
}

/// Sets a group's watchdog: prescaler 80, which gives microseconds, and stages of `holds` milliseconds.
fn main_watchdog(program: &mut Program, group: u32, actions: [u32; 4], holds: [u32; 4], extra: u32) {
    program.store(group + PROTECT, KEY).store(group + CONFIG1, 80 << 16);
    for (stage, hold) in (0..).zip(holds) {
        program.store(group + HOLD0 + 4 * stage, hold * 1000);
    }
    program
        .store(group + FEED, 1)
        .store(group + CONFIG0, EN | stages(actions) | extra)
        .store(group + PROTECT, 0);
}

#[test]
fn a_main_watchdog_goes_through_its_stages() {
    for (group, source, _, cause) in GROUPS {
        let mut program = program();
        program.store(group + INT_ENA, 2).interrupt(source, 9);
        main_watchdog(&mut program, group, [0, INTERRUPT, SYSTEM, 0], [2, 3, 4, 5], 0);
        program
            .label("forever")
            .jump("forever")
            .handler()
            .record(group + INT_RAW)
            .store(group + INT_CLR, 2)
            .end_handler(false);
        let mut machine = program.start();
        assert!(machine.run_until(|machine| machine.results::<1>() == [2]));
        let interrupted = machine.chip.now();
        assert_eq!(machine.next_reset(), cause);
        let stage = machine.chip.now() - interrupted;
        assert!(stage.abs_diff(4 * MILLISECOND) < MILLISECOND / 4, "{stage}");
    }
}

#[test]
fn a_main_watchdog_resets_the_processor_only_if_that_is_enabled() {
    for (group, _, cpu, system) in GROUPS {
        for (extra, cause) in [(CPU_RESET_EN, cpu), (0, system)] {
            let mut program = program();
            main_watchdog(&mut program, group, [CPU, SYSTEM, 0, 0], [2; 4], extra);
            program.label("forever").jump("forever");
            assert_eq!(program.start().next_reset(), cause);
        }
    }
}

#[test]
fn a_main_watchdog_that_is_fed_with_the_key_does_not_reset() {
    for (fed, quiet) in [(true, true), (false, false)] {
        let group = GROUPS[1].0;
        let mut program = program();
        main_watchdog(&mut program, group, [SYSTEM, 0, 0, 0], [3; 4], 0);
        program.label("forever").spin(160_000);
        if fed {
            program.store(group + PROTECT, KEY);
        }
        // Without the key, neither feeding it nor switching it off has an effect.
        program
            .store(group + FEED, 1)
            .store(group + PROTECT, 0)
            .store(group + CONFIG0, 0)
            .jump("forever");
        let mut machine = program.start();
        let reset = machine.run_for(100, |machine| machine.resets().len() > 1);
        assert_eq!(!reset, quiet, "fed: {fed}");
    }
}

#[test]
fn new_settings_do_not_restart_the_stage() {
    let group = GROUPS[0].0;
    let mut program = program();
    main_watchdog(&mut program, group, [SYSTEM, 0, 0, 0], [50; 4], 0);
    program
        .spin(20 * 160_000)
        .store(group + PROTECT, KEY)
        .store(group + HOLD0, 30_000)
        .label("forever")
        .jump("forever");
    let mut machine = program.start();
    assert!(machine.run_until(|machine| machine.console.contains("entry")));
    let entered = machine.chip.now();
    machine.next_reset();
    let held = machine.chip.now() - entered;
    assert!(held.abs_diff(30 * MILLISECOND) < MILLISECOND, "{held}");
}

const RTC_CONFIG0: u32 = 0x6000_8090;
const RTC_HOLD0: u32 = 0x6000_8094;
const RTC_FEED: u32 = 0x6000_80A4;
const RTC_PROTECT: u32 = 0x6000_80A8;
const RTC_INT_ENA: u32 = 0x6000_8040;
const RTC_INT_RAW: u32 = 0x6000_8044;
const RTC_INT_CLR: u32 = 0x6000_804C;
const RTC_CPU_RESET_EN: u32 = 1 << 11;

/// Sets the RTC watchdog, with stages of `holds` slow clocks. The first stage takes twice as long.
fn rtc_watchdog(program: &mut Program, actions: [u32; 4], holds: [u32; 4], extra: u32) {
    program.store(RTC_PROTECT, KEY);
    for (stage, hold) in (0..).zip(holds) {
        program.store(RTC_HOLD0 + 4 * stage, hold);
    }
    let stages = actions[0] << 28 | actions[1] << 25 | actions[2] << 22 | actions[3] << 19;
    program
        .store(RTC_FEED, 1 << 31)
        .store(RTC_CONFIG0, EN | stages | extra)
        .store(RTC_PROTECT, 0);
}

#[test]
fn the_rtc_watchdog_goes_through_all_its_stages() {
    // A millisecond has 136 slow clocks.
    for (action, extra, cause) in [
        (CPU, RTC_CPU_RESET_EN, ResetCause::RtcWatchdogCpu),
        (SYSTEM, 0, ResetCause::RtcWatchdogSystem),
        (RTC, 0, ResetCause::RtcWatchdogRtc),
    ] {
        let mut program = program();
        program.store(RTC_INT_ENA, 1 << 3).interrupt(27, 9);
        rtc_watchdog(&mut program, [0, INTERRUPT, 0, action], [68, 136, 272, 136], extra);
        program
            .label("forever")
            .jump("forever")
            .handler()
            .record(RTC_INT_RAW)
            .store(RTC_INT_CLR, 1 << 3)
            .end_handler(false);
        let mut machine = program.start();
        assert!(machine.run_until(|machine| machine.results::<1>()[0] & 8 != 0));
        let interrupted = machine.chip.now();
        assert_eq!(machine.next_reset(), cause);
        let stages = machine.chip.now() - interrupted;
        assert!(stages.abs_diff(3 * MILLISECOND) < MILLISECOND / 4, "{stages}");
    }
}

#[test]
fn the_rtc_watchdog_may_pause_in_sleep() {
    for (pause, cause) in [(1 << 9, ResetCause::DeepSleep), (0, ResetCause::RtcWatchdogSystem)] {
        let mut program = program();
        rtc_watchdog(&mut program, [SYSTEM, 0, 0, 0], [680; 4], pause);
        program
            .store(0x6000_8004, 0xFFFF)
            .store(0x6000_8008, 1 << 16)
            .store(0x6000_803C, 1 << 3 << 15)
            .store(0x6000_8088, 1 << 31)
            .store(0x6000_8018, 1 << 31)
            .label("forever")
            .jump("forever");
        assert_eq!(program.start().next_reset(), cause, "pause: {pause:#x}");
    }
}

const SWD_CONF: u32 = 0x6000_80AC;
const SWD_PROTECT: u32 = 0x6000_80B0;
const SWD_KEY: u32 = 0x8F1D_312A;

#[test]
fn the_super_watchdog_interrupts_resets_and_leaves_its_flag() {
    let mut program = program();
    program
        .record(SWD_CONF)
        .store(SWD_PROTECT, SWD_KEY)
        // Its flag is cleared, and it is switched on.
        .store(SWD_CONF, 1 << 28)
        .record(SWD_CONF)
        .store(RTC_INT_ENA, 1 << 15)
        .interrupt(27, 9)
        .label("forever")
        .jump("forever")
        .handler()
        .record(SWD_CONF)
        .store(RTC_INT_CLR, 1 << 15)
        .end_handler(false);
    let mut machine = program.start();
    assert_eq!(machine.next_reset(), ResetCause::SuperWatchdog);
    let [before, on, warned]: [u32; 3] = machine.results();
    assert_eq!([before & 1, on & 3, warned & 3], [0, 0, 2]);
    // The program runs again.
    machine.run_for(100, |_| false);
    let [marked, cleared]: [u32; 2] = machine.results();
    assert_eq!([marked & 1, cleared & 1], [1, 0]);
}

#[test]
fn the_super_watchdog_is_fed_by_software_or_by_itself() {
    for (config, feeds, quiet) in [(0, true, true), (1 << 31, false, true), (0, false, false)] {
        let mut program = program();
        program
            .store(SWD_PROTECT, SWD_KEY)
            .store(SWD_CONF, config)
            .label("forever")
            .spin(16_000_000);
        if feeds {
            program.store(SWD_CONF, 1 << 29);
        }
        program.jump("forever");
        let mut machine = program.start();
        let reset = machine.run_for(1300, |machine| machine.resets().len() > 1);
        assert_eq!(!reset, quiet, "{config:#x} {feeds}");
    }
}
