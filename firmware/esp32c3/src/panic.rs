//! A panic as a test harness needs it: one line that says what and where, one with the callers, then a reset.

use core::fmt::{self, Write};
use core::panic::PanicInfo;
use core::ptr;

use crate::console::{PanicConsole, drain};
use crate::stack;

const DEEPEST: usize = 32;

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    critical_section::with(|_| {
        let console = &mut PanicConsole::default();
        // Writing to a PanicConsole cannot fail.
        let _ = write!(console, "\r\n@- panic message=\"");
        let _ = write!(Escaped(console), "{}", info.message());
        let _ = console.write_str("\"");
        if let Some(location) = info.location() {
            let _ = write!(
                console,
                " location=\"{}:{}:{}\"",
                location.file(),
                location.line(),
                location.column()
            );
        }
        let _ = console.write_str("\r\n@- backtrace");
        for address in backtrace() {
            let _ = write!(console, " {address:#010x}");
        }
        let _ = console.write_str("\r\n");
        drain();
        esp_hal::system::software_reset()
    })
}

/// Return addresses, innermost first, by following the frame pointers (`-C force-frame-pointers`): a frame keeps its return
/// address at fp - 4 and the caller's frame pointer at fp - 8.
fn backtrace() -> impl Iterator<Item = usize> {
    let mut frame: usize;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mv {}, s0", out(reg) frame, options(nomem, nostack)) };
    let (end, start) = stack::bounds();
    core::iter::from_fn(move || {
        if frame % 4 != 0 || frame < end + 8 || frame > start {
            return None;
        }
        // SAFETY: both words lie within the main stack, which is always mapped.
        let (back, caller) = unsafe {
            let at = |address| ptr::with_exposed_provenance::<usize>(address).read_volatile();
            (at(frame - 4), at(frame - 8))
        };
        // Frames lie ever higher; anything else is not a frame, and would make this loop for ever.
        frame = if caller > frame { caller } else { 0 };
        (back != 0).then_some(back)
    })
    .take(DEEPEST)
}

/// The inside of a quoted value of a machine line.
struct Escaped<'a>(&'a mut PanicConsole);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '"' | '\\' => write!(self.0, "\\{character}")?,
                '\n' => self.0.write_str("\\n")?,
                '\r' => self.0.write_str("\\r")?,
                other => self.0.write_str(other.encode_utf8(&mut [0; 4]))?,
            }
        }
        Ok(())
    }
}
