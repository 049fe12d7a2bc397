//! What each kept image was built from: `fixtures/firmware/provenance.toml`.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::image::{IMAGES, Image, fixtures};
use crate::source::{hex, source_hash};

/// The file, by the names of the images.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Provenance {
    images: BTreeMap<String, Built>,
}

/// Of one image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Built {
    /// The name of its file, beside this one.
    pub file: String,
    /// The Cargo features that made it.
    pub features: Vec<String>,
    /// `rustc --version`.
    pub compiler: String,
    /// The SHA-256 of the ELF file. Its first 16 digits are the image's identity on the console.
    pub sha256: String,
    /// The [`source_hash`] at the time of the build.
    pub source: String,
}

impl Built {
    pub(crate) fn new(image: &Image, compiler: String, source: String, elf: &[u8]) -> Self {
        Self {
            file: image.fixture.unwrap_or_default().to_owned(),
            features: image.features.iter().map(|feature| (*feature).to_owned()).collect(),
            compiler,
            sha256: hex(&Sha256::digest(elf)),
            source,
        }
    }
}

const HEADER: &str = "# Written by `cargo firmware build`, checked by `cargo firmware check`.\n\n";

impl Provenance {
    /// Reads the file under `root`.
    ///
    /// # Errors
    /// It is not there, or not what was written.
    pub fn load(root: &Path) -> Result<Self, Error> {
        let path = provenance_path(root);
        let text = fs::read_to_string(&path).map_err(Error::file(&path))?;
        toml::from_str(&text).map_err(|source| Error::Provenance {
            path,
            source: Box::new(source),
        })
    }

    /// Checks that every kept image is there, is the one that was built, and was built from the present sources.
    ///
    /// # Errors
    /// The first image that is not, and what to do.
    pub fn verify(&self, root: &Path) -> Result<(), Error> {
        let source = source_hash(root)?;
        for image in IMAGES.iter().filter(|image| image.fixture.is_some()) {
            let built = self.image(image.name).ok_or_else(|| Error::Missing {
                path: provenance_path(root),
                image: image.name,
            })?;
            if built.source != source {
                return Err(Error::Stale { image: image.name });
            }
            let path = image.path(root);
            let elf = fs::read(&path).map_err(Error::file(&path))?;
            if hex(&Sha256::digest(&elf)) != built.sha256 {
                return Err(Error::Changed {
                    path,
                    image: image.name,
                });
            }
        }
        Ok(())
    }

    /// What is known of an image.
    #[must_use]
    pub fn image(&self, name: &str) -> Option<&Built> {
        self.images.get(name)
    }

    pub(crate) fn load_or_default(root: &Path) -> Result<Self, Error> {
        match Self::load(root) {
            Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => Ok(Self::default()),
            other => other,
        }
    }

    pub(crate) fn insert(&mut self, image: &Image, built: Built) {
        self.images.insert(image.name.to_owned(), built);
    }

    pub(crate) fn store(&self, root: &Path) -> Result<(), Error> {
        let path = provenance_path(root);
        let text = toml::to_string(self).expect("a map of structs of strings is a TOML document");
        fs::write(&path, format!("{HEADER}{text}")).map_err(Error::file(&path))
    }
}

/// Where the provenance lies.
#[must_use]
pub fn provenance_path(root: &Path) -> PathBuf {
    fixtures(root).join("provenance.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A repository in which every kept image has just been "built".
    fn built() -> (tempfile::TempDir, Provenance) {
        let root = tempfile::tempdir().unwrap();
        for file in [
            "firmware/app/Cargo.toml",
            "firmware/app/src/lib.rs",
            "firmware/esp32c3/.cargo/config.toml",
            "firmware/esp32c3/Cargo.lock",
            "firmware/esp32c3/Cargo.toml",
            "firmware/esp32c3/src/main.rs",
            "fixtures/firmware/x",
        ] {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        let mut provenance = Provenance::default();
        for image in IMAGES.iter().filter(|image| image.fixture.is_some()) {
            fs::write(image.path(root.path()), image.name).unwrap();
            let source = source_hash(root.path()).unwrap();
            provenance.insert(
                image,
                Built::new(image, "rustc 1".into(), source, image.name.as_bytes()),
            );
        }
        (root, provenance)
    }

    #[test]
    fn what_is_stored_is_loaded_and_verified() {
        let (root, provenance) = built();
        provenance.store(root.path()).unwrap();
        let loaded = Provenance::load(root.path()).unwrap();
        assert_eq!(loaded, provenance);
        loaded.verify(root.path()).unwrap();
    }

    #[test]
    fn a_changed_source_a_changed_image_and_a_missing_one_are_told_apart() {
        let (root, mut provenance) = built();
        fs::write(Image::named("virtual").unwrap().path(root.path()), "tampered").unwrap();
        assert!(matches!(
            provenance.verify(root.path()),
            Err(Error::Changed { image: "virtual", .. })
        ));

        fs::write(root.path().join("firmware/esp32c3/src/main.rs"), "changed").unwrap();
        let error = provenance.verify(root.path()).unwrap_err();
        assert!(
            error.to_string().ends_with("run: cargo firmware build virtual"),
            "{error}"
        );
        assert!(matches!(error, Error::Stale { image: "virtual" }));

        provenance.images.remove("virtual");
        assert!(matches!(
            provenance.verify(root.path()),
            Err(Error::Missing { image: "virtual", .. })
        ));
    }
}
