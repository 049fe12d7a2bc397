//! The Wi-Fi network that a board joins, and where its password is kept.
//!
//! What enters: the network's name and where its password is, from `rig.toml`. What leaves: [`Credentials`], which
//! never print the password. The password itself is never in the inventory.

use std::path::PathBuf;
use std::{env, fmt, fs, io};

use super::values::{Ssid, Variable};

/// A Wi-Fi network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WifiNetwork {
    /// Its name.
    pub ssid: Ssid,
    /// Where its password is; an open network has none.
    pub password: Option<PasswordSource>,
}

/// Where a password is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PasswordSource {
    /// In this environment variable.
    Env(Variable),
    /// In the first line of this file.
    File(PathBuf),
}

/// What a board must know to join a network.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Credentials {
    /// The network's name.
    pub ssid: String,
    /// Its password; an open network has none.
    pub password: Option<Secret>,
}

/// A text that is never printed.
#[derive(Clone, Eq, PartialEq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl fmt::Display for PasswordSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(variable) => write!(f, "the environment variable {variable}"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// A password that is not where the inventory says.
#[derive(Debug, thiserror::Error)]
pub enum PasswordError {
    /// The environment variable is not set, or is not UTF-8.
    #[error("the password of network `{ssid}` should be in the environment variable {variable}: {cause}")]
    Env {
        /// The network.
        ssid: Ssid,
        /// The variable.
        variable: Variable,
        /// What is wrong with it.
        cause: env::VarError,
    },
    /// The file cannot be read.
    #[error("the password of network `{ssid}` should be in {path}: {cause}", path = .path.display())]
    File {
        /// The network.
        ssid: Ssid,
        /// The file.
        path: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The password has no character.
    #[error("the password of network `{ssid}` in {location} is empty; leave `password` out for an open network")]
    Empty {
        /// The network.
        ssid: Ssid,
        /// Where the password should be.
        location: PasswordSource,
    },
}

impl WifiNetwork {
    /// Its name and its password, which is read now.
    ///
    /// # Errors
    /// When the password is not where the inventory says.
    pub fn credentials(&self) -> Result<Credentials, PasswordError> {
        let password = self.password.as_ref().map(|location| self.read(location)).transpose()?;
        Ok(Credentials {
            ssid: self.ssid.to_string(),
            password: password.map(Secret),
        })
    }

    fn read(&self, location: &PasswordSource) -> Result<String, PasswordError> {
        let ssid = || self.ssid.clone();
        let password = match location {
            PasswordSource::Env(variable) => env::var(variable.as_str()).map_err(|cause| PasswordError::Env {
                ssid: ssid(),
                variable: variable.clone(),
                cause,
            })?,
            PasswordSource::File(path) => {
                let text = fs::read_to_string(path).map_err(|cause| PasswordError::File {
                    ssid: ssid(),
                    path: path.clone(),
                    cause,
                })?;
                text.lines().next().unwrap_or_default().to_owned()
            }
        };
        if password.is_empty() {
            return Err(PasswordError::Empty {
                ssid: ssid(),
                location: location.clone(),
            });
        }
        Ok(password)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(password: Option<PasswordSource>) -> WifiNetwork {
        WifiNetwork {
            ssid: "lab".parse().unwrap(),
            password,
        }
    }

    #[test]
    fn a_password_is_read_where_it_is_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        fs::write(&secret, "correct horse\nsecond line\n").unwrap();
        let from_file = network(Some(PasswordSource::File(secret))).credentials().unwrap();
        assert_eq!(from_file.password, Some(Secret("correct horse".to_owned())));
        assert!(!format!("{from_file:?}").contains("horse"), "{from_file:?}");
        assert_eq!(network(None).credentials().unwrap().password, None);
        let variable = "PINRIG_TEST_NO_SUCH_VARIABLE".parse().unwrap();
        let missing = network(Some(PasswordSource::Env(variable))).credentials();
        let error = missing.unwrap_err().to_string();
        assert!(
            error.contains("PINRIG_TEST_NO_SUCH_VARIABLE") && error.contains("lab"),
            "{error}"
        );
    }

    #[test]
    fn an_empty_password_is_not_an_open_network() {
        let folder = tempfile::tempdir().unwrap();
        for text in ["", "\ncorrect horse\n"] {
            let file = folder.path().join("secret");
            fs::write(&file, text).unwrap();
            let error = network(Some(PasswordSource::File(file))).credentials().unwrap_err();
            assert!(matches!(error, PasswordError::Empty { .. }), "{error}");
        }
    }
}
