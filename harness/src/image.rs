//! Firmware images: a file, and the identity by which the board must name it.
//!
//! What enters: the path of an ELF, or of an image as it lies in flash. What leaves: an [`Image`] that [`crate::board`] can
//! flash. The identity is the SHA-256 of the file. espflash writes that of an ELF into the application descriptor
//! (`app_elf_sha256` of ESP-IDF's `esp_app_desc_t`); the firmware reads it there and prints its first 16 digits in its ready
//! line. Firmware that was flashed as a flash image hashes its own flash.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// A firmware image, read and checked.
#[derive(Clone, Debug)]
pub struct Image {
    path: PathBuf,
    bytes: Vec<u8>,
    identity: String,
}

/// A file that is not a usable image.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file cannot be read.
    #[error("cannot read the image {path}: {cause}; build it with `cargo firmware build`, or name another", path = .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: std::io::Error,
    },
    /// The file is neither a 32-bit RISC-V ELF nor a flash image.
    #[error(
        "{path} is neither an ELF file for a 32-bit RISC-V chip nor a flash image: it is {found}; name the linker's output, \
         or a .bin where the board's flasher is a command", path = .path.display()
    )]
    NoImage {
        /// The file.
        path: PathBuf,
        /// What it looks like instead.
        found: &'static str,
    },
}

/// A flash image where an ELF is needed.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path} is a flash image, which only a board with `flasher.command` takes; name the linker's output, which is an ELF",
    path = .0.display()
)]
pub struct FlashImage(PathBuf);

/// The magic number at the start of a flash image; the number of segments follows (esptool's documentation, "Firmware
/// Image Format").
const FLASH_IMAGE: u8 = 0xE9;
const MOST_SEGMENTS: u8 = 16;

impl Image {
    /// Reads `path` and checks that it is an ELF for a 32-bit RISC-V chip, or a flash image of any of Espressif's chips.
    ///
    /// # Errors
    /// When the file cannot be read or is something else.
    pub fn load(path: &Path) -> Result<Self, ImageError> {
        let bytes = fs::read(path).map_err(|cause| ImageError::Read {
            path: path.to_owned(),
            cause,
        })?;
        // ELF header, gABI chapter 4: magic, class at 4 (1 = 32 bit), machine at 18 (243 = RISC-V, little endian).
        let found = match bytes.get(..20) {
            None => Some("too short for either"),
            Some([FLASH_IMAGE, 1..=MOST_SEGMENTS, ..]) => None,
            Some(header) if header[..4] != *b"\x7fELF" => Some("a file without the ELF magic"),
            Some(header) if header[4] != 1 => Some("a 64-bit ELF"),
            Some(header) if header[18..20] != [243, 0] => Some("an ELF for another machine"),
            Some(_) => None,
        };
        if let Some(found) = found {
            return Err(ImageError::NoImage {
                path: path.to_owned(),
                found,
            });
        }
        let digest = Sha256::digest(&bytes);
        let identity = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        Ok(Self {
            path: path.to_owned(),
            bytes,
            identity,
        })
    }

    /// Where it was read from.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's bytes, where it is an ELF.
    ///
    /// # Errors
    /// [`FlashImage`] where it is a flash image: it does not say where its code and symbols are.
    pub fn elf(&self) -> Result<&[u8], FlashImage> {
        if self.bytes.first() == Some(&FLASH_IMAGE) {
            return Err(FlashImage(self.path.clone()));
        }
        Ok(&self.bytes)
    }

    /// The first 16 hexadecimal digits of the file's SHA-256: what the ready line must show.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_an_image_is_refused_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("firmware.elf");
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            Image::load(&path).unwrap_err().to_string()
        };
        assert!(refused(b"\xe9\x05").contains("too short"));
        assert!(refused(&[0xe9; 64]).contains("without the ELF magic"));
        assert!(refused(&[0x7f; 64]).contains("without the ELF magic"));
        let host = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(refused(&host).contains("64-bit"));
        fs::write(&path, [&[0xe9, 1][..], &[0; 62]].concat()).unwrap();
        let flashed = Image::load(&path).unwrap();
        // `sha256sum` of those 64 bytes.
        assert_eq!(flashed.identity(), "eaf2377af1cd2f4c");
        assert!(flashed.elf().unwrap_err().to_string().contains("flasher.command"));
        let missing = Image::load(&folder.path().join("none.elf")).unwrap_err().to_string();
        assert!(
            missing.contains("none.elf") && missing.contains("cargo firmware"),
            "{missing}"
        );
    }
}
