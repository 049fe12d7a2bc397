//! The client's reading of JSON against another program's: serde_json says what is a JSON text and what its members
//! are.

#![expect(clippy::unwrap_used, reason = "in a test it is the shortest assertion")]

mod support {
    pub(crate) mod documents;
    pub(crate) mod random;
}

use std::fmt;

use pinrig_app::json::{JsonReader, MalformedJson};
use pinrig_app::rule::Judge;
use pinrig_app::settings::RuleKind;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use support::documents;
use support::random::TestRandom;

const DOCUMENTS: usize = 20_000;

/// The members of an object in their order, with those whose key comes twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

fn is_json(text: &[u8]) -> bool {
    str::from_utf8(text).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
}

fn is_read_as_json(text: &[u8]) -> bool {
    let mut reader = JsonReader::default();
    text.iter().all(|byte| reader.take(*byte).is_ok()) && reader.is_complete()
}

fn judged(text: &[u8], random: &mut TestRandom) -> Result<bool, MalformedJson> {
    let mut judge = Judge::new(RuleKind::Robust, 200);
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(1 + documents::below(random, rest.len()));
        judge.look_at(piece);
        rest = after;
    }
    judge.settle();
    judge.finish()
}

/// What the rule says of these members.
fn expected(Members(members): &Members) -> Result<bool, MalformedJson> {
    let mut states = members.iter().filter(|(key, _)| key == "state");
    match states.next() {
        Some((_, state)) if state == "success" && states.next().is_none() => Ok(true),
        Some((_, state)) if state == "success" => Err(MalformedJson),
        _ => Ok(false),
    }
}

#[test]
fn lawful_objects_are_judged_by_their_own_state() {
    let mut random = TestRandom(1);
    let mut results = [0; 3];
    for _ in 0..DOCUMENTS {
        let text = documents::object(&mut random);
        assert!(is_json(&text) && is_read_as_json(&text), "{}", text.escape_ascii());
        let members: Members = serde_json::from_slice(&text).unwrap();
        let result = judged(&text, &mut random);
        assert_eq!(result, expected(&members), "{}", text.escape_ascii());
        results[match result {
            Ok(true) => 0,
            Ok(false) => 1,
            Err(MalformedJson) => 2,
        }] += 1;
    }
    assert!(
        results.iter().all(|count| *count > DOCUMENTS / 200),
        "all that can come of it: {results:?}"
    );
}

#[test]
fn spoilt_texts_are_json_where_another_program_says_so() {
    let mut random = TestRandom(2);
    let (mut lawful, mut successes) = (0, 0);
    for _ in 0..DOCUMENTS {
        let text = documents::object(&mut random);
        let text = documents::spoilt(text, &mut random);
        let is_json = is_json(&text);
        assert_eq!(is_read_as_json(&text), is_json, "{}", text.escape_ascii());
        let result = judged(&text, &mut random);
        match serde_json::from_slice::<Members>(&text) {
            Ok(members) => assert_eq!(result, expected(&members), "{}", text.escape_ascii()),
            // It keeps values, and has none for half of a surrogate pair, which is lawful JSON.
            Err(_) if is_json => {}
            Err(_) => assert_ne!(result, Ok(true), "{}", text.escape_ascii()),
        }
        lawful += usize::from(is_json);
        successes += usize::from(result == Ok(true));
    }
    assert!(
        (DOCUMENTS / 20..DOCUMENTS / 2).contains(&lawful),
        "{lawful} are JSON still"
    );
    assert!(successes > DOCUMENTS / 200, "{successes} are successes");
}
