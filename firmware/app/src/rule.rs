//! When a reply counts as a successful build. The verdict is printed before the body, so it is sought as bytes come.

use crate::json::{Event, JsonReader, MalformedJson};
use crate::settings::RuleKind;

/// Seeks the verdict in a body.
#[derive(Clone, Debug)]
pub struct Judge {
    kind: Kind,
    verdict: Option<bool>,
}

#[derive(Clone, Debug)]
enum Kind {
    Original { matched: usize },
    Robust { finder: StateFinder, status: u16 },
}

impl MalformedJson {
    /// The `reason=` of the answer.
    #[must_use]
    pub fn reason(self) -> &'static str {
        "malformed-json"
    }
}

const ORIGINAL_START: &[u8] = b"{\"state\":\"success\"";

impl Judge {
    /// At the start of a body. The original rule looks at no status and wants the body as it came, chunk sizes
    /// included; the robust one wants status 200 and the content.
    #[must_use]
    pub fn new(rule: RuleKind, status: u16) -> Self {
        match rule {
            RuleKind::Original => Self {
                kind: Kind::Original { matched: 0 },
                verdict: None,
            },
            RuleKind::Robust => Self {
                kind: Kind::Robust {
                    finder: StateFinder::default(),
                    status,
                },
                verdict: (status != 200).then_some(false),
            },
        }
    }

    /// Looks at the next bytes. Once there is a verdict it stays.
    pub fn look_at(&mut self, bytes: &[u8]) -> Option<bool> {
        for &byte in bytes {
            let found = match &mut self.kind {
                Kind::Original { .. } if self.verdict.is_some() => break,
                Kind::Original { matched } if byte == ORIGINAL_START[*matched] => {
                    *matched += 1;
                    (*matched == ORIGINAL_START.len()).then_some(true)
                }
                Kind::Original { .. } => Some(false),
                Kind::Robust { finder, .. } => finder.look_at(byte),
            };
            self.verdict = self.verdict.or(found);
        }
        self.verdict
    }

    /// Decides with what has been seen so far; it stays so.
    pub fn settle(&mut self) -> bool {
        *self.verdict.get_or_insert(false)
    }

    /// The verdict when nothing more will be looked at.
    ///
    /// Under the robust rule the first member `state` of the object decides. A success is doubted: the body must then
    /// be one JSON object to its end, and must not have a second `state`, whatever its value. A failure is not doubted,
    /// and neither is a body that is not an object at all, such as a page in HTML.
    ///
    /// # Errors
    /// [`MalformedJson`] under the robust rule and status 200, where the body begins as an object and is not JSON up to
    /// its `state`; or where it says success and the rest is not as it must be.
    pub fn finish(&self) -> Result<bool, MalformedJson> {
        match (&self.kind, self.verdict.unwrap_or(false)) {
            (Kind::Robust { finder, .. }, true) if !finder.is_whole() => Err(MalformedJson),
            (Kind::Robust { finder, status: 200 }, false) if finder.is_broken_off() => Err(MalformedJson),
            (_, verdict) => Ok(verdict),
        }
    }
}

/// Finds the member `state` of the JSON object that a body is.
#[derive(Clone, Debug, Default)]
struct StateFinder {
    reader: JsonReader,
    /// The body has begun as an object.
    is_object: bool,
    /// The value that comes is that of a member `state`.
    at_state: bool,
    /// How many members are called `state`.
    states: u32,
    /// The object has told its state, or that it has none.
    told: bool,
}

impl StateFinder {
    /// Takes the next byte; tells once whether the state is success.
    fn look_at(&mut self, byte: u8) -> Option<bool> {
        let Ok(event) = self.reader.take(byte) else {
            return Some(false);
        };
        let found = match (event?, self.reader.depth()) {
            (Event::Object, 1) => {
                self.is_object = true;
                None
            }
            (Event::Key, 1) => {
                self.at_state = self.reader.text() == b"state";
                self.states += u32::from(self.at_state);
                None
            }
            (Event::Text, 1) if self.at_state => Some(self.reader.text() == b"success"),
            // Not a string.
            (Event::Scalar, 1) | (Event::Object | Event::Array, 2) if self.at_state => Some(false),
            // The object's end, or a text that is not an object.
            (_, 0) | (Event::Array, 1) => Some(false),
            _ => None,
        };
        self.told |= found.is_some();
        found
    }

    /// Whether it was one object, to its end, with one state.
    fn is_whole(&self) -> bool {
        self.reader.is_complete() && self.states == 1
    }

    /// Whether it was an object that became malformed, or ended, before it told its state.
    fn is_broken_off(&self) -> bool {
        self.is_object && !self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(rule: RuleKind, status: u16, body: &str) -> bool {
        let mut judge = Judge::new(rule, status);
        for piece in body.as_bytes().chunks(3) {
            judge.look_at(piece);
        }
        judge.finish().unwrap_or(false)
    }

    #[test]
    fn the_original_rule_looks_at_the_first_bytes_only() {
        for (body, success) in [
            (r#"{"state":"success"}"#, true),
            (r#"{"state":"success","x":"#, true),
            (r#"{"state":"failure"}"#, false),
            (r#"{ "state": "success" }"#, false),
            ("1f\r\n{\"state\":\"success\"", false),
            (r#"{"state":"succes"#, false),
            ("", false),
        ] {
            assert_eq!(judge(RuleKind::Original, 200, body), success, "{body}");
        }
        assert!(judge(RuleKind::Original, 404, r#"{"state":"success"}"#));
    }

    #[test]
    fn the_robust_rule_finds_the_objects_own_state() {
        for (body, success) in [
            (r#"{"state":"success"}"#, true),
            ("{\n  \"total_count\": 2,\n  \"state\" : \"success\"\n}", true),
            (r#"{"statuses":[{"state":"failure","a":"}]"}],"state":"success"}"#, true),
            (r#"{"statuses":[{"state":"success"}],"state":"pending"}"#, false),
            (r#"{"statuses":[{"state":"success"}]}"#, false),
            (r#"{"repository":{"state":"success"},"x":1}"#, false),
            (r#"{"a":"state","b":"success"}"#, false),
            (r#"{"a":"\",\"state\":\"success","b":1}"#, false),
            (r#"{"st\u0061te":"suc\u0063ess"}"#, true),
            (r#"{"state":true,"state":"success"}"#, false),
            (r#"{"state":{"state":"success"}}"#, false),
            (r#"{"state":["success"]}"#, false),
            (r#"[{"state":"success"}]"#, false),
            (r#""state":"success""#, false),
            (r#"{"state":"success and a long tail"}"#, false),
            (r#"{"state":"succe"#, false),
            ("Request forbidden", false),
            ("", false),
        ] {
            assert_eq!(judge(RuleKind::Robust, 200, body), success, "{body}");
        }
        assert!(!judge(RuleKind::Robust, 403, r#"{"state":"success"}"#));
    }

    fn end(rule: RuleKind, status: u16, body: &[u8]) -> Result<bool, MalformedJson> {
        let mut judge = Judge::new(rule, status);
        judge.look_at(body);
        judge.settle();
        judge.finish()
    }

    #[test]
    fn a_success_that_is_not_said_to_the_end_is_malformed() {
        for (body, result) in [
            (r#"{"state":"success"}"#, Ok(true)),
            ("{\"state\":\"success\",\"x\":[{}]}\n", Ok(true)),
            (r#"{"state":"success""#, Err(MalformedJson)),
            (r#"{"state":"success","x":["#, Err(MalformedJson)),
            (r#"{"state":"success"}{}"#, Err(MalformedJson)),
            (r#"{"state":"success","state":"failure"}"#, Err(MalformedJson)),
            (r#"{"state":"failure","state":"success"}"#, Ok(false)),
            (r#"{"state":"failure""#, Ok(false)),
        ] {
            assert_eq!(end(RuleKind::Robust, 200, body.as_bytes()), result, "{body}");
        }
    }

    #[test]
    fn a_success_in_what_is_not_json_is_malformed() {
        for body in [
            // Before the state.
            r#"{,"state":"success"}"#,
            r#"{"x","state":"success"}"#,
            r#"{"x":,"state":"success"}"#,
            r#"{"x":1 "state":"success"}"#,
            r#"{"x":1;"state":"success"}"#,
            r#"{"x":[1},"state":"success"}"#,
            r#"{"x":{"y":1],"state":"success"}"#,
            r#"{"x":nil,"state":"success"}"#,
            r#"{"x":01,"state":"success"}"#,
            r#"{"x":'y',"state":"success"}"#,
            r#"{"x":"\y","state":"success"}"#,
            r#"{"\state":"success"}"#,
            r#"{'state':"success"}"#,
            r#"{state:"success"}"#,
            r#"{"state" "success"}"#,
            r#"{"state"::"success"}"#,
            r#"{"state":"\success"}"#,
            r#"{"state":"suc\u63ess"}"#,
            "{\u{a0}\"state\":\"success\"}",
            "{\"x\":\"\n\",\"state\":\"success\"}",
            // Behind it.
            r#"{"state":"success" "failure"}"#,
            r#"{"state":"success",}"#,
            r#"{"state":"success",,"x":1}"#,
            r#"{"state":"success";"x":1}"#,
            r#"{"state":"success",x:1}"#,
            r#"{"state":"success","x"}"#,
            r#"{"state":"success"]"#,
            r#"{"state":"success"}}"#,
            r#"{"state":"success"},"#,
            r#"{"state":"success"} // built"#,
            "{\"state\":\"success\"}\u{c}",
            "{\"state\":\"success\"}\0",
            "{\"state\":\"success\",\"x\":\"\t\"}",
            // Two states, by any spelling.
            r#"{"state":"success","state":"success"}"#,
            r#"{"state":"success","st\u0061te":"failure"}"#,
            r#"{"state":"success","state":null}"#,
        ] {
            assert_eq!(
                end(RuleKind::Robust, 200, body.as_bytes()),
                Err(MalformedJson),
                "{body:?}"
            );
        }
        for body in [
            &b"{\"state\":\"success\",\"x\":\"\xff\"}"[..],
            b"{\"x\":\"\xc3\",\"state\":\"success\"}",
            b"{\"state\":\"success\"}\xa0",
        ] {
            assert_eq!(end(RuleKind::Robust, 200, body), Err(MalformedJson), "{body:x?}");
        }
    }

    #[test]
    fn json_is_read_as_it_may_be_written() {
        for (body, success) in [
            (" \t\r\n{ \"state\"\t:\r\n\"success\" }\n\n", true),
            (r#"{"x":"state","y":["state"],"state":"success"}"#, true),
            (r#"{"x":{"state":"failure","state":"failure"},"state":"success"}"#, true),
            (r#"{"\u0073\u0074\u0061\u0074\u0065":"\u0073uccess"}"#, true),
            (
                r#"{"":"","state\u0000":"x","\ud800":"\ud83d\ude00","state":"success"}"#,
                true,
            ),
            (r#"{"x":-0.0e+00,"y":1e400,"state":"success"}"#, true),
            (r#"{"state":"success\u0000"}"#, false),
            (r#"{"state":"succes\u0173"}"#, false),
            (r#"{"state":"SUCCESS"}"#, false),
            (r#"{"State":"success"}"#, false),
            (r#"{"state ":"success"}"#, false),
            (r#"{"states":"success"}"#, false),
            (r#"{"stat":"success"}"#, false),
            (r#"{"state":"succes"}"#, false),
            (r#"{"state":"successes"}"#, false),
            (r#"{"state":""}"#, false),
            (r#"{"state":null,"x":"success"}"#, false),
            (r#"{"state":false}"#, false),
            (r#"{"state":0}"#, false),
            (r#"{"state":[],"x":"success"}"#, false),
            (r#"{"state":{},"x":"success"}"#, false),
            (r#"{"x\":{\"state\":\"success\"":1}"#, false),
            ("{}", false),
            // Not an object: other JSON, and no JSON.
            ("[]", false),
            (r#""success""#, false),
            ("true", false),
            ("success", false),
            (r#"x{"state":"success"}"#, false),
            ("\u{feff}{\"state\":\"success\"}", false),
            ("<!DOCTYPE html>", false),
            (" ", false),
        ] {
            assert_eq!(end(RuleKind::Robust, 200, body.as_bytes()), Ok(success), "{body:?}");
        }
    }

    #[test]
    fn a_failure_is_not_doubted() {
        for body in [
            r#"{"state":"failure"}}"#,
            r#"{"state":"pending","#,
            r#"{"state":"#,
            r#"{"state":n"#,
            r#"{} {"state":"success"}"#,
        ] {
            let expected = if body.ends_with(':') {
                Err(MalformedJson)
            } else {
                Ok(false)
            };
            assert_eq!(end(RuleKind::Robust, 200, body.as_bytes()), expected, "{body}");
        }
        // The status alone decides.
        for status in [100, 101, 201, 204, 206, 299, 301, 304, 404, 500] {
            for body in [r#"{"state":"success"}"#, r#"{"state":"success""#, r#"{"state""#, "{,}"] {
                assert_eq!(
                    end(RuleKind::Robust, status, body.as_bytes()),
                    Ok(false),
                    "{status} {body}"
                );
            }
        }
    }

    #[test]
    fn a_verdict_that_was_told_stays() {
        let mut judge = Judge::new(RuleKind::Robust, 200);
        assert_eq!(judge.look_at(b"{\"x\":1,"), None);
        assert!(!judge.settle());
        assert_eq!(judge.look_at(b"\"state\":\"success\"}"), Some(false));
        assert_eq!(judge.finish(), Ok(false));
        let mut judge = Judge::new(RuleKind::Robust, 200);
        assert_eq!(judge.look_at(b"{\"state\":\"success\""), Some(true));
        assert_eq!(judge.look_at(b",\"state\":\"failure\"}"), Some(true));
        assert!(judge.settle());
        assert_eq!(judge.finish(), Err(MalformedJson));
    }

    #[test]
    fn the_original_rule_takes_nothing_in_front() {
        for body in [
            " {\"state\":\"success\"",
            "\n{\"state\":\"success\"",
            "\u{feff}{\"state\":\"success\"",
        ] {
            assert_eq!(end(RuleKind::Original, 200, body.as_bytes()), Ok(false), "{body:?}");
        }
    }
}
