//! Where firmware stood that crashed or hung, by function, file and line.
//!
//! What enters: the image, and the lines that a crash left on the console, or a debugger at a board that hangs. What leaves:
//! findings for the report, and the registers as a file of evidence. Nothing of it goes into a snapshot, since addresses
//! differ from build to build.

use crate::board::probe::Debugger;
use crate::evidence::RecordedFile;
use crate::image::Image;
use crate::symbols::Symbols;

/// Where firmware stands that does not answer, as a debugger sees it.
pub(crate) fn of_hang(debugger: &dyn Debugger, image: &Image) -> (Vec<String>, Option<RecordedFile>) {
    let halted = match debugger.look() {
        Ok(halted) => halted,
        Err(error) => return (vec![format!("the debugger could not look at it: {error}")], None),
    };
    let mut findings = Vec::new();
    match Symbols::of(image) {
        Ok(symbols) => {
            let at = symbols.explain(&format!("{:#010x}", halted.pc));
            findings.extend(at.iter().map(|frame| format!("it stands in {frame}")));
            let addresses = halted.callers.iter().map(|address| format!("{address:#010x}"));
            findings.extend(callers(
                &symbols,
                &format!("backtrace {}", addresses.collect::<Vec<_>>().join(" ")),
            ));
        }
        Err(error) => findings.push(error.to_string()),
    }
    if findings.is_empty() {
        findings.push(format!(
            "it stands at {:#010x}, outside the code of the image",
            halted.pc
        ));
    }
    let registers = halted.registers.iter();
    let mut text: String = registers
        .map(|(name, value)| format!("{name:<4} {value:#010x}\n"))
        .collect();
    text.push_str(&findings.join("\n"));
    let file = RecordedFile {
        name: "hang.txt",
        contents: text.into_bytes(),
    };
    (findings, Some(file))
}

/// The functions in the backtraces that a crash left on the console, innermost first.
pub(crate) fn of_crash(lines: &[String], image: &Image) -> Vec<String> {
    let symbols = match Symbols::of(image) {
        Ok(symbols) => symbols,
        Err(error) => return vec![error.to_string()],
    };
    let backtraces = lines
        .iter()
        .filter(|line| line.to_ascii_lowercase().contains("backtrace"));
    backtraces.flat_map(|line| callers(&symbols, line)).collect()
}

fn callers(symbols: &Symbols, line: &str) -> Vec<String> {
    let frames = symbols.explain(line);
    frames.iter().map(|frame| format!("called from {frame}")).collect()
}
