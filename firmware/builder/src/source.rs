//! The hash of everything that decides what an image does, but for the compiler.

use std::fs;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::Error;

/// Flags beside those of the manifest and of `.cargo/config.toml`: whole paths in an image would make it differ from one
/// checkout to the next, and tell where it was built.
pub(crate) const FLAGS: [&str; 1] = ["--remap-path-prefix"];

/// Files and folders, relative to the root. The lockfile pins every external crate.
const SOURCES: [&str; 6] = [
    "firmware/app/Cargo.toml",
    "firmware/app/src",
    "firmware/esp32c3/.cargo/config.toml",
    "firmware/esp32c3/Cargo.lock",
    "firmware/esp32c3/Cargo.toml",
    "firmware/esp32c3/src",
];

/// The SHA-256, in lower-case hexadecimal digits, of the firmware's sources under `root` and of the flags that they are
/// built with. It does not depend on where the repository lies, on the order of its folders, or on file times.
///
/// # Errors
/// A source cannot be read.
pub fn source_hash(root: &Path) -> Result<String, Error> {
    let mut files = Vec::new();
    for source in SOURCES {
        collect(&root.join(source), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for flag in FLAGS {
        part(&mut hash, flag.as_bytes());
    }
    for file in files {
        let name = file
            .strip_prefix(root)
            .expect("found under the root")
            .to_string_lossy()
            .replace('\\', "/");
        part(&mut hash, name.as_bytes());
        part(&mut hash, &fs::read(&file).map_err(Error::file(&file))?);
    }
    Ok(hex(&hash.finalize()))
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<(), Error> {
    if !path.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path).map_err(Error::file(path))? {
        collect(&entry.map_err(Error::file(path))?.path(), files)?;
    }
    Ok(())
}

/// With its length in front: no two lists of parts may hash alike.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_le_bytes());
    hash.update(bytes);
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, content) in files {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        root
    }

    const FILES: [(&str, &str); 7] = [
        ("firmware/app/Cargo.toml", "a"),
        ("firmware/app/src/lib.rs", "b"),
        ("firmware/app/src/deep/x.rs", "c"),
        ("firmware/esp32c3/.cargo/config.toml", "d"),
        ("firmware/esp32c3/Cargo.lock", "e"),
        ("firmware/esp32c3/Cargo.toml", "f"),
        ("firmware/esp32c3/src/main.rs", "g"),
    ];

    #[test]
    fn it_depends_on_content_and_names_and_on_nothing_else() {
        let hash = |files: &[(&str, &str)]| source_hash(tree(files).path()).unwrap();
        let mut reversed = FILES;
        reversed.reverse();
        assert_eq!(hash(&FILES), hash(&reversed));

        let mut with_tests = FILES.to_vec();
        with_tests.push(("firmware/app/tests/client.rs", "not in the image"));
        assert_eq!(hash(&FILES), hash(&with_tests));

        for index in 0..FILES.len() {
            let mut changed = FILES;
            changed[index].1 = "changed";
            assert_ne!(hash(&FILES), hash(&changed), "{}", FILES[index].0);
        }
        let mut renamed = FILES;
        renamed[2].0 = "firmware/app/src/deep/y.rs";
        assert_ne!(hash(&FILES), hash(&renamed));
        let mut moved = FILES;
        (moved[1].1, moved[2].1) = ("", "bc");
        assert_ne!(hash(&FILES), hash(&moved));
    }

    #[test]
    fn a_missing_source_is_named() {
        let error = source_hash(tree(&FILES[..4]).path()).unwrap_err().to_string();
        assert!(error.contains("firmware/esp32c3"), "{error}");
    }
}
