//! Makes a static RV32 executable for Linux. Code and data enter, the file's bytes leave. It knows no instruction.
//!
//! Layout: System V ABI, "ELF Header" and "Program Header"; machine and flags: RISC-V ELF psABI, chapter 8.

/// A file with the ELF header, two loadable segments and their bytes. Execution begins at the first byte of `code`.
/// Both addresses must be multiples of [`PAGE`].
pub(crate) fn executable((code_address, code): (u32, &[u8]), (data_address, data): (u32, &[u8])) -> Vec<u8> {
    const RVC: u32 = 1;
    const READ_EXECUTE: u32 = 5;
    const READ_WRITE: u32 = 6;
    let mut file = b"\x7FELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    halves(&mut file, &[2, 243]); // an executable; for RISC-V
    words(&mut file, &[1, code_address, HEADER, 0, RVC]);
    halves(&mut file, &[HEADER as u16, PROGRAM_HEADER as u16, 2, 0, 0, 0]);
    let data_offset = (PAGE + code.len() as u32).next_multiple_of(PAGE);
    for (offset, address, size, flags) in [
        (PAGE, code_address, code.len() as u32, READ_EXECUTE),
        (data_offset, data_address, data.len() as u32, READ_WRITE),
    ] {
        words(&mut file, &[1, offset, address, address, size, size, flags, PAGE]);
    }
    file.resize(PAGE as usize, 0);
    file.extend_from_slice(code);
    file.resize(data_offset as usize, 0);
    file.extend_from_slice(data);
    file
}

/// Alignment of segments.
const PAGE: u32 = 0x1000;
/// Sizes of the headers in bytes.
const HEADER: u32 = 52;
const PROGRAM_HEADER: u32 = 32;

fn words(file: &mut Vec<u8>, values: &[u32]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}

fn halves(file: &mut Vec<u8>, values: &[u16]) {
    file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
}
