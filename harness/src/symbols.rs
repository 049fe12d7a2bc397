//! Addresses as functions, files and lines.
//!
//! What enters: an image, and what a board printed. What leaves: the function at each address of code, and its file and line
//! where the image has debug information (DWARF, read by addr2line). Without debug information it is the function of the
//! symbol table.

use std::fmt;
use std::ops::Range;

use addr2line::{Loader, Location};
use object::{Object as _, ObjectSection as _, SectionKind};

use crate::image::Image;

/// The functions of one image.
pub struct Symbols {
    loader: Loader,
    code: Vec<Range<u64>>,
}

/// One function at an address. An address has several where one function was inlined into another.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Frame {
    /// The address that the board named.
    pub address: u32,
    /// The function, demangled.
    pub function: String,
    /// `file:line`, if the image has debug information.
    pub line: Option<String>,
}

/// An image whose symbols cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the symbols of {path}: {message}", path = .path.display())]
pub struct SymbolsError {
    path: std::path::PathBuf,
    message: String,
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Symbols")
            .field("code", &self.code)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#010x} {}", self.address, self.function)?;
        match &self.line {
            Some(line) => write!(f, " at {line}"),
            None => Ok(()),
        }
    }
}

impl Symbols {
    /// Reads the symbols of `image`.
    ///
    /// # Errors
    /// When its file has gone or is damaged.
    pub fn of(image: &Image) -> Result<Self, SymbolsError> {
        let failed = |message: String| SymbolsError {
            path: image.path().to_owned(),
            message,
        };
        let elf = image.elf().map_err(|error| failed(error.to_string()))?;
        let file = object::File::parse(elf).map_err(|error| failed(error.to_string()))?;
        let code = file
            .sections()
            .filter(|section| section.kind() == SectionKind::Text)
            .map(|section| section.address()..section.address() + section.size())
            .collect();
        let loader = Loader::new(image.path()).map_err(|error| failed(error.to_string()))?;
        Ok(Self { loader, code })
    }

    /// The functions at each address of code in `line`, written as `0x` and eight digits. A backtrace has return addresses,
    /// so there the instruction before the address is looked up: the call.
    #[must_use]
    pub fn explain(&self, line: &str) -> Vec<Frame> {
        let before = u64::from(line.to_ascii_lowercase().contains("backtrace"));
        addresses(line)
            .filter(|address| self.code.iter().any(|code| code.contains(&u64::from(*address))))
            .flat_map(|address| self.frames(address, u64::from(address).saturating_sub(before)))
            .collect()
    }

    fn frames(&self, address: u32, probe: u64) -> Vec<Frame> {
        let mut found = Vec::new();
        if let Ok(mut frames) = self.loader.find_frames(probe) {
            while let Ok(Some(frame)) = frames.next() {
                let Some(name) = &frame.function else { continue };
                let name = name.demangle().unwrap_or_else(|_| "?".into());
                found.push(Frame {
                    address,
                    function: without_arguments(&name).to_owned(),
                    line: frame.location.as_ref().and_then(file_and_line),
                });
            }
        }
        // The symbol table has the whole path of the outermost function, and functions of which the debug information has
        // only the lines.
        let Some(symbol) = self.loader.find_symbol(probe) else {
            return found;
        };
        let function = addr2line::demangle_auto(symbol.into(), None).into_owned();
        match found.last_mut() {
            Some(outermost) => outermost.function = function,
            None => found.push(Frame {
                address,
                function,
                line: self
                    .loader
                    .find_location(probe)
                    .ok()
                    .flatten()
                    .as_ref()
                    .and_then(file_and_line),
            }),
        }
        found
    }
}

/// `file:line`.
fn file_and_line(location: &Location<'_>) -> Option<String> {
    let file = location.file?;
    Some(location.line.map_or(file.to_owned(), |line| format!("{file}:{line}")))
}

/// The name of a generic function, as `poll<...>` in debug information, without its arguments, which can be very long.
fn without_arguments(name: &str) -> &str {
    match name.find('<') {
        Some(at) if at > 0 => &name[..at],
        _ => name,
    }
}

/// The 32-bit numbers in a text that stand as `0x` and eight digits.
fn addresses(line: &str) -> impl Iterator<Item = u32> {
    line.split("0x").skip(1).filter_map(|rest| {
        let digits: String = rest.chars().take_while(char::is_ascii_hexdigit).collect();
        (digits.len() == 8)
            .then(|| u32::from_str_radix(&digits, 16).ok())
            .flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generic_functions_name_loses_its_arguments() {
        assert_eq!(without_arguments("poll<app::{async_fn_env#0}, Vec<u8>>"), "poll");
        assert_eq!(without_arguments("{async_fn#0}<Console>"), "{async_fn#0}");
        assert_eq!(without_arguments("<Executor as Run>::run"), "<Executor as Run>::run");
        assert_eq!(without_arguments("main"), "main");
    }

    #[test]
    fn addresses_are_found_wherever_they_stand() {
        let found: Vec<u32> = addresses("MEPC: 0x42001234,0x4038abCD boot:0xc 0x123456789").collect();
        assert_eq!(found, [0x4200_1234, 0x4038_ABCD]);
    }
}
