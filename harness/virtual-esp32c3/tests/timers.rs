//! The timers of the timer groups, the calibration counter and the system timer, used register by register.

mod soc_support;

use soc_support::{MCAUSE, Program};

/// Timer groups 0 and 1, and the interrupt sources of their timers.
const GROUPS: [(u32, u32); 2] = [(0x6001_F000, 32), (0x6002_0000, 34)];
const CONFIG: u32 = 0x00;
const LO: u32 = 0x04;
const UPDATE: u32 = 0x0C;
const ALARM_LO: u32 = 0x10;
const ALARM_HI: u32 = 0x14;
const LOAD_LO: u32 = 0x18;
const LOAD: u32 = 0x20;
const CALIBRATION: u32 = 0x68;
const CALIBRATION1: u32 = 0x6C;
const CALIBRATION2: u32 = 0x80;
const INT_ENA: u32 = 0x70;
const INT_RAW: u32 = 0x74;
const INT_ST: u32 = 0x78;
const INT_CLR: u32 = 0x7C;

const EN: u32 = 1 << 31;
const UP: u32 = 1 << 30;
const AUTORELOAD: u32 = 1 << 29;
const ALARM_EN: u32 = 1 << 10;
const XTAL: u32 = 1 << 9;

fn divider(n: u32) -> u32 {
    n << 13
}

fn record_timer(program: &mut Program, group: u32) {
    program.store(group + UPDATE, 1 << 31).record(group + LO);
}

#[test]
fn a_timer_counts_its_clock_by_its_divider() {
    for (group, _) in GROUPS {
        // Expected counts in a millisecond.
        for (config, expected) in [
            (UP | divider(2), 40_000),
            (UP | divider(80), 1000),
            (UP | XTAL | divider(40), 1000),
            // A divider of 1 divides by 2, and one of 0 by 65,536.
            (UP | divider(1), 40_000),
            (UP, 1),
        ] {
            let mut program = Program::new();
            program
                .store(group + CONFIG, config)
                .store(group + LOAD, 1)
                .store(group + CONFIG, EN | config);
            record_timer(&mut program, group);
            program.spin(160_000);
            record_timer(&mut program, group);
            // A stopped timer keeps its count.
            program.store(group + CONFIG, config).spin(1000);
            record_timer(&mut program, group);
            program.done();
            let [start, end, stopped] = program.results();
            assert!((end - start).abs_diff(expected) <= 8, "{config:#x}: {start} {end}");
            assert!(stopped - end < 40, "{config:#x}: {stopped}");
        }
    }
}

#[test]
fn a_timer_counts_down_and_is_loaded() {
    let group = GROUPS[0].0;
    let mut program = Program::new();
    program
        .store(group + CONFIG, EN | divider(80))
        .store(group + LOAD_LO, 10_000)
        .store(group + LOAD, 1);
    record_timer(&mut program, group);
    program.spin(160_000);
    record_timer(&mut program, group);
    program.done();
    let [loaded, later] = program.results();
    assert_eq!(loaded, 10_000);
    assert!(later.abs_diff(9000) <= 1, "{later}");
}

#[test]
fn an_alarm_comes_once_and_reloads_if_it_is_set_to() {
    for (group, source) in GROUPS {
        for (autoreload, after) in [(AUTORELOAD, 5..60), (0, 1005..1060)] {
            let config = EN | UP | divider(80) | autoreload;
            let mut program = Program::new();
            program
                .store(group + LOAD, 1)
                .store(group + INT_ENA, 1)
                .store(group + ALARM_LO, 1000)
                .store(group + ALARM_HI, 0)
                .store(group + CONFIG, config | ALARM_EN)
                .interrupt(source, 3)
                .wfi()
                .spin(1600);
            record_timer(&mut program, group);
            program.record(group + INT_RAW).record(group + CONFIG).done().handler();
            program
                .record_csr(MCAUSE)
                .record(group + INT_ST)
                .store(group + INT_CLR, 1)
                .end_handler(false);
            let [cause, status, count, raw, left] = program.results();
            assert_eq!([cause, status, raw], [0x8000_0003, 1, 0]);
            assert!(after.contains(&count), "autoreload {autoreload:#x}: {count}");
            assert_eq!(left, config, "the alarm has switched itself off");
        }
    }
}

#[test]
fn an_alarm_that_has_passed_is_due_at_once() {
    let group = GROUPS[0].0;
    let mut program = Program::new();
    program
        .store(group + LOAD_LO, 5000)
        .store(group + LOAD, 1)
        .store(group + CONFIG, EN | UP | divider(80))
        .store(group + ALARM_LO, 10)
        .store(group + CONFIG, EN | UP | divider(80) | ALARM_EN)
        .record(group + INT_RAW)
        .done();
    assert_eq!(program.results(), [1]);
}

#[test]
fn slow_clocks_are_measured_against_the_crystal() {
    let group = GROUPS[0].0;
    let mut program = Program::new();
    // 100 periods of the slow clock, of the fast clock divided by 256, and of a crystal that the board does not have.
    for clock in [0, 1, 2] {
        let config = 100 << 16 | clock << 13;
        program
            .store(group + CALIBRATION, config)
            .store(group + CALIBRATION2, 0xFFFF_FF80)
            .store(group + CALIBRATION, config | 1 << 31)
            .spin(300_000)
            .record(group + CALIBRATION)
            .record(group + CALIBRATION1)
            .record(group + CALIBRATION2);
    }
    program.done();
    let [
        slow,
        slow_value,
        slow_timeout,
        fast,
        fast_value,
        _,
        none,
        _,
        none_timeout,
    ]: [u32; 9] = program.results();
    let ready = |config: u32| config >> 15 & 1;
    assert_eq!([ready(slow), ready(fast), ready(none)], [1, 1, 0]);
    assert!(
        (slow_value >> 7).abs_diff(40_000_000 / 1360) <= 1,
        "{}",
        slow_value >> 7
    );
    assert!(
        (fast_value >> 7).abs_diff(40_000_000 * 2 / 1367) <= 100,
        "{}",
        fast_value >> 7
    );
    assert_eq!([slow_timeout & 1, none_timeout & 1], [0, 1]);
}

const SYSTIMER: u32 = 0x6002_3000;
const UNIT_OP: u32 = 0x04;
const UNIT_LOAD_HI: u32 = 0x0C;
const TARGET_HI: u32 = 0x1C;
const TARGET_CONF: u32 = 0x34;
const VALUE_HI: u32 = 0x40;
const COMP_LOAD: u32 = 0x50;
const DO_UNIT_LOAD: u32 = 0x5C;
const ST_INT_ENA: u32 = 0x64;
const ST_INT_RAW: u32 = 0x68;
const ST_INT_CLR: u32 = 0x6C;
const UNITS: u32 = 1 << 30 | 1 << 29;
const TARGETS: u32 = 1 << 24 | 1 << 23 | 1 << 22;

fn record_unit(program: &mut Program, unit: u32) {
    program
        .store(SYSTIMER + UNIT_OP + 4 * unit, 1 << 30)
        .wait(SYSTIMER + UNIT_OP + 4 * unit, 1 << 29)
        .record(SYSTIMER + VALUE_HI + 8 * unit)
        .record(SYSTIMER + VALUE_HI + 4 + 8 * unit);
}

#[test]
fn the_system_timers_units_run_stop_and_are_loaded() {
    let mut program = Program::new();
    for unit in [0, 1] {
        program
            .store(SYSTIMER + UNIT_LOAD_HI + 8 * unit, 3)
            .store(SYSTIMER + UNIT_LOAD_HI + 4 + 8 * unit, 0xFFFF_FF00)
            .store(SYSTIMER + DO_UNIT_LOAD + 4 * unit, 1);
    }
    // Unit 0 goes on at 16 MHz beyond 32 bits. Unit 1 stands still, as after a reset.
    program.spin(160_000);
    record_unit(&mut program, 0);
    record_unit(&mut program, 1);
    program.store(SYSTIMER, UNITS).spin(160_000);
    record_unit(&mut program, 1);
    program.done();
    let [high, low, high1, low1, high2, low2] = program.results();
    assert_eq!(high, 4);
    assert!((16_000 - 0x100..16_000).contains(&low), "{low}");
    assert_eq!([high1, low1], [3, 0xFFFF_FF00]);
    assert_eq!(high2, 4);
    assert!((16_000 - 0x100..16_000).contains(&low2), "{low2}");
}

#[test]
fn three_alarms_interrupt_by_target_or_period_on_either_unit() {
    for (alarm, source) in [(0, 37), (1, 38), (2, 39)] {
        for unit in [0, 1] {
            let (conf, comp_load) = (SYSTIMER + TARGET_CONF + 4 * alarm, SYSTIMER + COMP_LOAD + 4 * alarm);
            let mut program = Program::new();
            program
                .store(SYSTIMER, UNITS)
                .store(SYSTIMER + UNIT_LOAD_HI + 8 * unit, 0)
                .store(SYSTIMER + UNIT_LOAD_HI + 4 + 8 * unit, 0)
                .store(SYSTIMER + DO_UNIT_LOAD + 4 * unit, 1)
                // Once, at 1600.
                .store(SYSTIMER + TARGET_HI + 8 * alarm, 0)
                .store(SYSTIMER + TARGET_HI + 4 + 8 * alarm, 1600)
                .store(conf, unit << 31)
                .store(comp_load, 1)
                .store(SYSTIMER + ST_INT_ENA, 1 << alarm)
                .store(SYSTIMER, UNITS | TARGETS)
                .interrupt(source, 6)
                .wfi()
                .spin(160_000)
                // Every 320 counts from now on.
                .store(conf, unit << 31 | 1 << 30 | 320)
                .store(comp_load, 1)
                .wfi()
                .wfi()
                .wfi()
                .done()
                .handler();
            program.store(SYSTIMER + ST_INT_CLR, 7);
            record_unit(&mut program, unit);
            program.end_handler(false);
            let results: [u32; 10] = program.results();
            let at: Vec<u32> = results.chunks(2).map(|pair| pair[1]).collect();
            assert!((1600..1620).contains(&at[0]), "alarm {alarm} of unit {unit}: {at:?}");
            assert!(at[1] > 1600 + 16_000, "an alarm with a target comes once: {at:?}");
            assert!(
                (at[2] - at[1]).abs_diff(320) <= 5 && (at[3] - at[2]).abs_diff(320) <= 5,
                "{at:?}"
            );
            assert_eq!(at[4], 0);
        }
    }
}

#[test]
fn a_target_that_has_passed_is_due_at_once_and_a_later_one_is_not() {
    let mut program = Program::new();
    for target in [0, 0xF_0000] {
        program
            .store(SYSTIMER + TARGET_HI, target)
            .store(SYSTIMER + TARGET_HI + 4, 5)
            .store(SYSTIMER + TARGET_CONF, 0)
            .store(SYSTIMER + COMP_LOAD, 1)
            .store(SYSTIMER, UNITS | TARGETS)
            .spin(100)
            .record(SYSTIMER + ST_INT_RAW)
            .store(SYSTIMER + ST_INT_CLR, 7);
    }
    // It lies ahead by almost half of the range.
    program
        .store(SYSTIMER + TARGET_HI, 0x7_0000)
        .store(SYSTIMER + COMP_LOAD, 1)
        .spin(100)
        .record(SYSTIMER + ST_INT_RAW)
        .done();
    let [passed, wrapped, ahead] = program.results();
    assert_eq!([passed & 1, wrapped & 1, ahead & 1], [1, 1, 0]);
}
