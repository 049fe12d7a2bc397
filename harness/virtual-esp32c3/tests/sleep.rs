//! Light and deep sleep, what ends them and what refuses them, the RTC's timer, the brown-out detector, and reset
//! causes, as programs on the chip, the mask ROM and devices at the pins see them.

mod soc_support;

use soc_support::{A0, MILLISECOND, Machine, Program, RA, T0, ZERO};
use virtual_esp32c3::ResetCause;

const SLP_TIMER0: u32 = 0x6000_8004;
const SLP_TIMER1: u32 = 0x6000_8008;
const TIME_UPDATE: u32 = 0x6000_800C;
const TIME_LOW: u32 = 0x6000_8010;
const STATE0: u32 = 0x6000_8018;
const TIMER5: u32 = 0x6000_802C;
const RESET_STATE: u32 = 0x6000_8038;
const WAKEUP_STATE: u32 = 0x6000_803C;
const INT_ENA: u32 = 0x6000_8040;
const INT_RAW: u32 = 0x6000_8044;
const INT_CLR: u32 = 0x6000_804C;
const STORE0: u32 = 0x6000_8050;
const STORE6: u32 = 0x6000_80C0;
const REJECT_CONF: u32 = 0x6000_8068;
const CLK_CONF: u32 = 0x6000_8070;
const DIG_PWC: u32 = 0x6000_8088;
const BROWN_OUT: u32 = 0x6000_80D8;
const REJECT_CAUSE: u32 = 0x6000_80F0;
const WAKEUP_CAUSE: u32 = 0x6000_80F8;
const GPIO_WAKEUP: u32 = 0x6000_8110;
const SYSTIMER_OP: u32 = 0x6002_3004;
const SYSTIMER_LOW: u32 = 0x6002_3044;
const RTC_RAM: u32 = 0x5000_0100;
const SRAM: u32 = 0x3FCA_0000;

const SLEEP_EN: u32 = 1 << 31;
const WOKEN: u32 = 1 << 0;
const REJECTED: u32 = 1 << 1;
const MAIN_TIMER: u32 = 1 << 10;
const BY_GPIO: u32 = 1 << 2;
const BY_TIMER: u32 = 1 << 3;
const BY_UART0: u32 = 1 << 6;
const SLOW_HZ: u32 = 136_000;

/// Keeps the counter of the slow clock as the next result.
fn record_rtc(program: &mut Program) {
    program.store(TIME_UPDATE, 1 << 31).record(TIME_LOW);
}

/// Keeps the system timer as the next result.
fn record_systimer(program: &mut Program) {
    program
        .store(SYSTIMER_OP, 1 << 30)
        .wait(SYSTIMER_OP, 1 << 29)
        .record(SYSTIMER_LOW);
}

/// Sets the alarm to this many slow clocks from now.
fn alarm_in(program: &mut Program, counts: u32) {
    program
        .store(INT_CLR, MAIN_TIMER)
        .store(TIME_UPDATE, 1 << 31)
        .li(T0, TIME_LOW)
        .lw(A0, T0, 0)
        .li(T0, counts)
        .word(T0 << 20 | A0 << 15 | A0 << 7 | 0x33)
        .li(T0, SLP_TIMER0)
        .sw(A0, T0, 0)
        .store(SLP_TIMER1, 1 << 16);
}

/// Sleeps, and waits for the end or the rejection of the sleep as drivers do.
fn sleep(program: &mut Program, sources: u32) {
    program
        .store(INT_CLR, WOKEN | REJECTED)
        .store(WAKEUP_STATE, sources << 15)
        .store(STATE0, SLEEP_EN)
        .wait(INT_RAW, WOKEN | REJECTED);
}

#[test]
fn light_sleep_ends_by_the_timer_and_only_the_rtc_goes_on() {
    let mut program = Program::new();
    program.store(SRAM, 0x1234).store(TIMER5, 2 << 8);
    record_systimer(&mut program);
    record_rtc(&mut program);
    alarm_in(&mut program, SLOW_HZ / 10);
    sleep(&mut program, BY_TIMER);
    record_systimer(&mut program);
    record_rtc(&mut program);
    program
        .record(WAKEUP_CAUSE)
        .record(INT_RAW)
        .record(STATE0)
        .record(SRAM)
        .done();
    let mut machine = program.start();
    machine.finish();
    let [before, rtc, after, rtc_after, cause, raw, state, sram] = machine.results();
    assert!(
        after - before < 16_000,
        "the system timer stood still: {before} {after}"
    );
    let slept = rtc_after - rtc;
    assert!((SLOW_HZ / 10..SLOW_HZ / 10 + 20).contains(&slept), "{slept}");
    assert_eq!([cause, raw & 3, state, sram], [BY_TIMER, WOKEN, 0, 0x1234]);
    assert!(machine.chip.idle() > 99 * MILLISECOND, "{}", machine.chip.idle());
    assert_eq!(machine.resets().len(), 1);
}

#[test]
fn light_sleep_ends_by_a_pin_or_by_the_console() {
    let mut by_pin = Program::new();
    by_pin
        .store(0x6000_9004 + 4 * 10, 1 << 12 | 1 << 9 | 1 << 8)
        // GPIO10 wakes when it is low.
        .store(0x6000_4074 + 4 * 10, 1 << 10 | 4 << 7)
        .store(SRAM, 1);
    sleep(&mut by_pin, BY_GPIO);
    by_pin.record(WAKEUP_CAUSE).done();
    let mut machine = by_pin.start();
    assert!(machine.run_until(|machine| machine.word(SRAM) == 1));
    assert!(
        !machine.run_for(50, |machine| machine.results::<1>() != [0]),
        "it sleeps"
    );
    machine.chip.set_pin(10, Some(false));
    machine.finish();
    assert_eq!(machine.results(), [BY_GPIO]);

    let mut by_console = Program::new();
    by_console.store(0x6000_0038, 2).store(SRAM, 1);
    sleep(&mut by_console, BY_UART0);
    by_console.record(WAKEUP_CAUSE).record(0x6000_001C).done();
    let mut machine = by_console.start();
    assert!(machine.run_until(|machine| machine.word(SRAM) == 1));
    machine.run_for(5, |_| false);
    // A byte of ones has only one rising edge, which does not wake the chip.
    machine.chip.receive(&[0xFF]);
    assert!(
        !machine.run_for(5, |machine| machine.results::<1>() != [0]),
        "it sleeps"
    );
    machine.chip.receive(b"UU");
    machine.finish();
    let [cause, status] = machine.results();
    assert_eq!(
        [cause, status & 0x3FF],
        [BY_UART0, 0],
        "the bytes that wake the chip are lost"
    );
}

#[test]
fn sleep_is_rejected_if_its_end_is_pending_already() {
    let mut program = Program::new();
    alarm_in(&mut program, 10);
    program
        .wait(INT_RAW, MAIN_TIMER)
        .store(REJECT_CONF, 1 << 30 | BY_TIMER << 12);
    sleep(&mut program, BY_TIMER);
    program
        .record(INT_RAW)
        .record(REJECT_CAUSE)
        .store(STATE0, 1 << 1)
        .record(REJECT_CAUSE)
        // If rejection is not enabled, the chip sleeps and wakes at once.
        .store(REJECT_CONF, BY_TIMER << 12);
    sleep(&mut program, BY_TIMER);
    program.record(INT_RAW).done();
    let [rejected, cause, cleared, slept] = program.results();
    assert_eq!(
        [rejected & 3, cause, cleared, slept & 3],
        [REJECTED, BY_TIMER, 0, WOKEN]
    );
}

#[test]
fn the_rtc_timer_interrupts() {
    let mut program = Program::new();
    program.interrupt(27, 4).store(INT_ENA, MAIN_TIMER);
    record_rtc(&mut program);
    alarm_in(&mut program, 1360);
    program.wfi().done().handler();
    record_rtc(&mut program);
    program
        .record_csr(soc_support::MCAUSE)
        .store(INT_CLR, MAIN_TIMER)
        .end_handler(false);
    let [before, after, cause] = program.results();
    assert!((1360..1365).contains(&(after - before)), "{before} {after}");
    assert_eq!(cause, 0x8000_0004);
}

/// A program that sleeps deeply for 100 ms by the timer, on its first start only.
fn deep_sleeper(prepare: impl FnOnce(&mut Program)) -> Program {
    let mut program = Program::new();
    program
        .record(RESET_STATE)
        .record(WAKEUP_CAUSE)
        .record(STORE0)
        .record(RTC_RAM)
        .record(SRAM)
        .li(T0, STORE0)
        .lw(A0, T0, 0)
        .beq(A0, ZERO, "first")
        .done()
        .label("first")
        .store(STORE0, 0xCAFE)
        .store(RTC_RAM, 0xBEEF)
        .store(SRAM, 0x5A5A)
        .store(DIG_PWC, 1 << 31);
    prepare(&mut program);
    program.label("asleep").jump("asleep");
    program
}

#[test]
fn deep_sleep_keeps_the_rtc_domain_and_clears_everything_else() {
    let program = deep_sleeper(|program| {
        alarm_in(program, SLOW_HZ / 10);
        program.store(WAKEUP_STATE, BY_TIMER << 15).store(STATE0, SLEEP_EN);
    });
    let mut machine = program.start();
    assert_eq!(machine.next_reset(), ResetCause::DeepSleep);
    let woken = machine.chip.now();
    machine.finish();
    let [state, cause, store, rtc_ram, sram] = machine.results();
    assert_eq!(
        [state & 0x3F, cause, store, rtc_ram, sram],
        [5, BY_TIMER, 0xCAFE, 0xBEEF, 0]
    );
    assert!(
        machine.console.contains("rst:0x5 (DSLEEP),boot:0xc"),
        "{}",
        machine.console
    );
    assert!(woken > 100 * MILLISECOND);
}

#[test]
fn only_a_pad_of_the_rtc_ends_deep_sleep() {
    let program = deep_sleeper(|program| {
        program
            // GPIO4 wakes when it is high: enable, type 5.
            .store(0x6000_9004 + 4 * 4, 1 << 12 | 1 << 9 | 1 << 7)
            .store(0x6000_9004 + 4 * 10, 1 << 12 | 1 << 9 | 1 << 7)
            .store(0x6000_4074 + 4 * 10, 1 << 10 | 5 << 7)
            .store(GPIO_WAKEUP, 1 << 27 | 5 << 11)
            .store(WAKEUP_STATE, (BY_GPIO | BY_UART0) << 15)
            .store(STATE0, SLEEP_EN);
    });
    let mut machine = program.start();
    assert!(machine.run_until(|machine| machine.word(SRAM) == 0x5A5A));
    machine.run_for(5, |_| false);
    machine.chip.set_pin(10, Some(true));
    machine.chip.receive(b"anybody there?");
    assert!(!machine.run_for(50, |machine| machine.resets().len() > 1), "it sleeps");
    machine.chip.set_pin(4, Some(true));
    assert_eq!(machine.next_reset(), ResetCause::DeepSleep);
    machine.finish();
    let [_, cause] = machine.results();
    assert_eq!(cause, BY_GPIO);
}

/// After deep sleep the ROM looks for a wake stub in RTC fast RAM. STORE6 has its entry, and STORE7 the checksum of the
/// memory, which the ROM's `set_rtc_memory_crc` writes. The ROM runs the stub only if the checksum is right.
#[test]
fn the_rom_runs_a_wake_stub_whose_checksum_is_right() {
    const SET_RTC_MEMORY_CRC: u32 = 0x4000_0034;
    const STUB: u32 = 0x5000_0200;
    for damaged in [false, true] {
        let program = deep_sleeper(|program| {
            // The stub stores a5, which has its own address, at RTC_RAM + 4, and returns.
            let offset = RTC_RAM + 4 - 0x5000_0000;
            let lui = 0x5000_0000 | T0 << 7 | 0x37;
            let store = (offset >> 5) << 25 | 15 << 20 | T0 << 15 | 2 << 12 | (offset & 31) << 7 | 0x23;
            for (index, word) in [lui, store, RA << 15 | 0x67].into_iter().enumerate() {
                program.store(STUB + 4 * index as u32, word);
            }
            program.store(RTC_RAM + 4, 0);
            program.li(soc_support::SP, 0x3FCC_0000).call(SET_RTC_MEMORY_CRC);
            program.store(STORE6, STUB);
            if damaged {
                program.store(0x5000_1000, 1);
            }
            alarm_in(program, 1000);
            program.store(WAKEUP_STATE, BY_TIMER << 15).store(STATE0, SLEEP_EN);
        });
        let mut machine = program.start();
        assert_eq!(machine.next_reset(), ResetCause::DeepSleep);
        machine.finish();
        let expected = if damaged { 0 } else { STUB };
        assert_eq!(machine.word(RTC_RAM + 4), expected, "damaged: {damaged}");
    }
}

#[test]
fn a_brown_out_interrupts_and_resets_as_it_is_set() {
    let sleeper = |config: u32| {
        let mut program = Program::new();
        program
            .interrupt(27, 4)
            .store(INT_ENA, 1 << 9)
            .store(BROWN_OUT, config)
            .store(SRAM, 1)
            .label("forever")
            .wfi()
            .jump("forever")
            .handler()
            .record(INT_RAW)
            .store(INT_CLR, 1 << 9)
            .end_handler(false);
        let mut machine = program.start();
        assert!(machine.run_until(|machine| machine.word(SRAM) == 1));
        machine.chip.brown_out();
        machine
    };
    // Enabled to interrupt after one slow clock, and not to reset.
    let mut interrupts = sleeper(1 << 30 | 1 << 4);
    assert!(!interrupts.run_for(100, |machine| machine.resets().len() > 1));
    assert_eq!(interrupts.results::<1>()[0] & 1 << 9, 1 << 9);
    // Enabled to reset too, after 136 slow clocks. The handler still runs in that millisecond.
    let mut resets = sleeper(1 << 30 | 1 << 26 | 136 << 16 | 1 << 4);
    assert!(resets.run_until(|machine| machine.results::<1>() != [0]));
    let warned = resets.chip.now();
    assert_eq!(resets.next_reset(), ResetCause::BrownOut);
    assert!(resets.chip.now() - warned <= 2 * MILLISECOND);
    assert!(
        resets.run_until(|machine| machine.console.contains("rst:0xf (BROWNOUT_RST)")),
        "{}",
        resets.console
    );
    // Not enabled, so nothing happens.
    let mut deaf = sleeper(1 << 26);
    assert!(!deaf.run_for(100, |machine| machine.resets().len() > 1));
    assert_eq!(deaf.results::<1>(), [0]);
}

#[test]
fn the_rom_names_every_cause_of_a_reset() {
    use ResetCause::{
        BrownOut, ClockGlitch, DeepSleep, EfuseCrc, PowerGlitch, PowerOn, RtcWatchdogCpu, RtcWatchdogRtc,
        RtcWatchdogSystem, SoftwareCpu, SoftwareSystem, SuperWatchdog, TimerGroup0Cpu, TimerGroup0System,
        TimerGroup1Cpu, TimerGroup1System, UsbJtag, UsbUart,
    };
    let mut program = Program::new();
    program.record(RESET_STATE).done();
    let start: Machine = program.start();
    for (cause, name) in [
        (PowerOn, "rst:0x1 (POWERON)"),
        (SoftwareSystem, "rst:0x3 (RTC_SW_SYS_RST)"),
        (DeepSleep, "rst:0x5 (DSLEEP)"),
        (TimerGroup0System, "rst:0x7 (TG0WDT_SYS_RST)"),
        (TimerGroup1System, "rst:0x8 (TG1WDT_SYS_RST)"),
        (RtcWatchdogSystem, "rst:0x9 (RTCWDT_SYS_RST)"),
        (TimerGroup0Cpu, "rst:0xb (TG0WDT_CPU_RST)"),
        (SoftwareCpu, "rst:0xc (RTC_SW_CPU_RST)"),
        (RtcWatchdogCpu, "rst:0xd (RTCWDT_CPU_RST)"),
        (BrownOut, "rst:0xf (BROWNOUT_RST)"),
        (RtcWatchdogRtc, "rst:0x10 (RTCWDT_RTC_RST)"),
        (TimerGroup1Cpu, "rst:0x11 (TG1WDT_CPU_RST)"),
        (SuperWatchdog, "rst:0x12 (SUPER_WDT_RST)"),
        (ClockGlitch, "rst:0x13 (GLITCH_RTC_RST)"),
        (EfuseCrc, "rst:0x14 (EFUSE_RST)"),
        (UsbUart, "rst:0x15 (USB_UART_CHIP_RESET)"),
        (UsbJtag, "rst:0x16 (USB_JTAG_CHIP_RESET)"),
        (PowerGlitch, "rst:0x17 (POWER_GLITCH_RESET)"),
    ] {
        let mut machine = start.clone();
        machine.chip.reset_by(cause);
        machine.finish();
        assert!(machine.console.contains(name), "{name} is not in {}", machine.console);
        assert_eq!(machine.results::<1>()[0] & 0x3F, cause as u32);
    }
}

#[test]
fn the_counter_follows_the_slow_clock_that_is_selected() {
    let mut program = Program::new();
    for select in [0, 2, 1] {
        program.store(CLK_CONF, 0x1158_3218 & !(3 << 30) | select << 30);
        record_rtc(&mut program);
        program.spin(16_000_000);
        record_rtc(&mut program);
    }
    program.done();
    let [a, b, c, d, e, f] = program.results();
    assert!((b - a).abs_diff(13_600) < 5, "136 kHz for 100 ms: {}", b - a);
    assert!((d - c).abs_diff(6_836) < 5, "68 kHz: {}", d - c);
    assert_eq!(f - e, 0, "no crystal is fitted");
}
