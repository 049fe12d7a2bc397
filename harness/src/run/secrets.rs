//! The network's password: a device that gives it away fails, and what it gave away is hidden before anyone sees it.
//!
//! What enters: the password, and whatever a device, its server and its network left behind. What leaves: the same without the password,
//! as it is or encoded, and a finding that does not tell it.

use base64::Engine as _;
use base64::alphabet::{Alphabet, STANDARD, URL_SAFE};
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

use crate::board::Secret;
use crate::board::console::Chunk;
use crate::evidence::{DeviceAnswer, RecordedFile};
use crate::printable::printable;
use crate::transcript::{DeviceLine, Transcript};
use crate::verdict::{Blame, Failure, Verdict};

/// What stands for a password in a text.
const PLACEHOLDER: &str = "[PASSWORD]";
/// What stands for each of its bytes in a file, whose lengths may matter.
const MASK: u8 = b'*';
/// The shortest password of a WPA network (IEEE 802.11, annex J.4.1). A shorter text is no password, and would be found everywhere.
const SHORTEST: usize = 8;

/// The forms in which a password is looked for, the longest first.
#[derive(Debug, Default)]
pub(super) struct Secrets(Vec<Form>);

/// One way to write it down.
struct Form {
    how: &'static str,
    text: String,
}

impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Form").field("how", &self.how).finish_non_exhaustive()
    }
}

impl Secrets {
    /// Those of a device that was told this password.
    pub(super) fn of(password: Option<&Secret>) -> Self {
        let Some(Secret(password)) = password.filter(|Secret(password)| password.len() >= SHORTEST) else {
            return Self::default();
        };
        let bytes = password.as_bytes();
        let quoted = serde_json::Value::from(password.as_str()).to_string();
        let hex = |digit: fn(u8) -> String| bytes.iter().copied().map(digit).collect::<String>();
        let mut forms = vec![
            ("as it is", password.clone()),
            ("as it is", printable(bytes)),
            ("as it is", quoted.trim_matches('"').to_owned()),
            ("in hexadecimal", hex(|byte| format!("{byte:02x}"))),
            ("in hexadecimal", hex(|byte| format!("{byte:02X}"))),
        ];
        for alphabet in [&STANDARD, &URL_SAFE] {
            forms.extend((0..3).map(|before| ("in base64", base64(alphabet, bytes, before))));
        }
        forms.sort_by(|(_, a), (_, b)| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        forms.dedup_by(|(_, a), (_, b)| a == b);
        Self(forms.into_iter().map(|(how, text)| Form { how, text }).collect())
    }

    /// A text without them.
    pub(super) fn hide(&self, text: &str) -> String {
        let hidden = self.0.iter().filter(|form| text.contains(&form.text));
        hidden.fold(text.to_owned(), |text, form| text.replace(&form.text, PLACEHOLDER))
    }

    /// Overwrites them in `bytes`, and tells in which forms they were there.
    fn mask(&self, bytes: &mut [u8]) -> Vec<&'static str> {
        let mut found = Vec::new();
        for form in &self.0 {
            let wanted = form.text.as_bytes();
            let mut at = 0;
            while let Some(next) = bytes[at..].windows(wanted.len()).position(|window| window == wanted) {
                at += next;
                bytes[at..at + wanted.len()].fill(MASK);
                found.push(form.how);
            }
        }
        found.dedup();
        found
    }

    /// Overwrites them in what a console captured, also where they came in several pieces.
    fn mask_chunks(&self, chunks: &mut [Chunk]) -> Vec<&'static str> {
        let mut bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect();
        let found = self.mask(&mut bytes);
        let mut rest = &bytes[..];
        for chunk in chunks {
            let (own, others) = rest.split_at(chunk.bytes.len());
            chunk.bytes.copy_from_slice(own);
            rest = others;
        }
        found
    }

    /// Hides them in a console's capture. Where they were there, `told` gets the console's name and the forms.
    pub(super) fn hide_in_console(&self, chunks: &mut [Chunk], told: &mut Told) {
        told.add("the console", &self.mask_chunks(chunks));
    }

    /// Hides them in everything that a scenario leaves behind. A device that has given one away fails.
    pub(super) fn hide_in_outcome(
        &self,
        mut told: Told,
        files: &mut [RecordedFile],
        transcript: &mut Transcript,
        verdict: &mut Verdict,
    ) {
        if self.0.is_empty() {
            return;
        }
        for file in files {
            told.add(file.name, &self.mask(&mut file.contents));
        }
        for lanes in &mut transcript.runs {
            for line in &mut lanes.device {
                let (DeviceLine::Sent(text)
                | DeviceLine::Said(text)
                | DeviceLine::Reply(text)
                | DeviceLine::Answer(text)) = line;
                *text = self.hide(text);
            }
            if let Some(DeviceAnswer::Rejected(rejection)) = &mut lanes.answer {
                rejection.detail = rejection.detail.as_ref().map(|detail| self.hide(detail));
            }
            for line in &mut lanes.server {
                *line = self.hide(line);
            }
        }
        if let Verdict::Failed(failure) = verdict {
            for finding in &mut failure.findings {
                *finding = self.hide(finding);
            }
        }
        if let Some(finding) = told.finding() {
            match verdict {
                Verdict::Failed(failure) => failure.findings.push(finding),
                Verdict::Passed => *verdict = Verdict::Failed(Failure::new(Blame::Assertion, finding)),
            }
        }
    }
}

/// Where a password was found, and in which forms.
#[derive(Debug, Default)]
pub(super) struct Told(Vec<String>);

impl Told {
    fn add(&mut self, place: &str, forms: &[&'static str]) {
        self.0.extend(forms.iter().map(|form| format!("{place} {form}")));
    }

    fn finding(mut self) -> Option<String> {
        self.0.dedup();
        let places = self.0.join(", ");
        (!places.is_empty()).then(|| {
            format!(
                "the device should tell the network's password to nobody; it is in {places}, where {PLACEHOLDER} or `***` \
                 stands for it now; if it is a word that the firmware says anyway, give the network another password"
            )
        })
    }
}

/// The digits that the password has wherever it is encoded behind `before` bytes of a group of three: those that no byte before or
/// behind it changes.
fn base64(alphabet: &Alphabet, password: &[u8], before: usize) -> String {
    let engine = GeneralPurpose::new(alphabet, NO_PAD);
    let digits = engine.encode([&[0; 2][..before], password].concat());
    let first = (before * 8).div_ceil(6);
    let end = (before + password.len()) * 8 / 6;
    digits[first..end].to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::transcript::Lanes;

    const PASSWORD: &str = r#"Pässword "42" \ >?>"#;

    fn secrets() -> Secrets {
        Secrets::of(Some(&Secret(PASSWORD.to_owned())))
    }

    #[test]
    fn a_password_is_found_in_every_form_and_at_every_place() {
        let secrets = secrets();
        let url_safe = GeneralPurpose::new(&URL_SAFE, NO_PAD);
        let standard = GeneralPurpose::new(&STANDARD, NO_PAD);
        let hex: String = PASSWORD.bytes().map(|byte| format!("{byte:02x}")).collect();
        let mut written = vec![
            PASSWORD.to_owned(),
            format!("psk={PASSWORD}."),
            serde_json::json!({ "psk": PASSWORD }).to_string(),
            printable(PASSWORD.as_bytes()),
            hex.to_uppercase(),
            hex,
        ];
        for before in ["", "u", "us", "usr", "user"] {
            for behind in ["", ":", "::", ":::"] {
                let text = format!("{before}{PASSWORD}{behind}");
                written.extend([standard.encode(&text), url_safe.encode(&text)]);
            }
        }
        for text in written {
            let hidden = secrets.hide(&text);
            assert!(
                hidden.contains(PLACEHOLDER) && !hidden.contains("word"),
                "{text}: {hidden}"
            );
            let mut bytes = text.clone().into_bytes();
            assert!(!secrets.mask(&mut bytes).is_empty(), "{text}");
            assert!(
                secrets.mask(&mut bytes).is_empty() && bytes.len() == text.len(),
                "{text}"
            );
        }
        assert_eq!(secrets.hide("no secret"), "no secret");
        // Too short for a password.
        assert_eq!(Secrets::of(Some(&Secret("ok".into()))).hide("ok"), "ok");
        assert!(!format!("{secrets:?}").contains("word"));
    }

    #[test]
    fn a_password_that_comes_in_pieces_is_found() {
        let mut chunks: Vec<Chunk> = PASSWORD
            .bytes()
            .map(|byte| Chunk {
                at: Duration::ZERO,
                bytes: vec![byte],
            })
            .collect();
        let mut told = Told::default();
        secrets().hide_in_console(&mut chunks, &mut told);
        assert!(chunks.iter().all(|chunk| chunk.bytes == [MASK]));
        let mut verdict = Verdict::Passed;
        secrets().hide_in_outcome(told, &mut [], &mut Transcript::default(), &mut verdict);
        let Verdict::Failed(failure) = verdict else {
            panic!("it passed")
        };
        assert!(failure.blame == Blame::Assertion && failure.findings[0].contains("the console as it is"));
    }

    #[test]
    fn nothing_that_is_left_behind_has_it() {
        let leak = |text: &str| format!("{text}: {PASSWORD}");
        let mut transcript = Transcript {
            runs: vec![Lanes {
                device: vec![DeviceLine::Said(leak("said")), DeviceLine::Answer(leak("answered"))],
                answer: None,
                server: vec![leak("requested")],
                left_early: false,
            }],
            afterwards: Vec::new(),
        };
        let mut files = [RecordedFile {
            name: "server.json",
            contents: leak("recorded").into_bytes(),
        }];
        let mut verdict = Verdict::Failed(Failure::new(Blame::Hang, leak("last line")));
        secrets().hide_in_outcome(Told::default(), &mut files, &mut transcript, &mut verdict);
        let all = format!(
            "{transcript:?} {verdict:?} {}",
            String::from_utf8_lossy(&files[0].contents)
        );
        assert!(!all.contains("42"), "{all}");
        let Verdict::Failed(failure) = verdict else {
            panic!("it passed")
        };
        assert_eq!(failure.blame, Blame::Hang, "what kept it from going on");
        assert!(failure.findings[1].contains("server.json as it is"), "{failure:?}");
    }
}
