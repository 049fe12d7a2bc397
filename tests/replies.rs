//! Replies are what GitHub would send: every JSON reply is valid by GitHub's own description of its interface in
//! `fixtures/github/schema`, and has no member that the description does not name.

#![expect(clippy::unwrap_used, reason = "a test panics where it cannot go on")]

mod support;

use std::fs;

use pinrig::server::Reply;
use serde_json::{Value, json};

/// One of GitHub's schemas, closed: an object must have no members but those that are described.
fn schema(name: &str) -> Value {
    let path = support::fixtures().join("github/schema/github.schema.json");
    let mut schema: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    close(&mut schema["$defs"]);
    schema["$ref"] = format!("#/$defs/{name}").into();
    schema
}

fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) && members.contains_key("type") {
                members.insert("additionalProperties".to_owned(), json!(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

fn problems(schema: &Value, reply: &Value) -> Vec<String> {
    let validator = jsonschema::validator_for(schema).unwrap();
    let errors = validator.iter_errors(reply);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

#[test]
fn every_reply_is_valid_by_githubs_description() {
    let (status, error) = (schema("combined-commit-status"), schema("basic-error"));
    let mut checked = 0;
    for name in Reply::GITHUB {
        let reply = Reply::github(name).unwrap();
        let Ok(body) = serde_json::from_slice::<Value>(reply.body()) else {
            let body = String::from_utf8_lossy(reply.body());
            assert!(
                !body.trim_start().starts_with(['{', '[']),
                "{name} is broken JSON: {body}"
            );
            continue;
        };
        let schema = if body.get("statuses").is_some() {
            &status
        } else {
            &error
        };
        assert_eq!(problems(schema, &body), Vec::<String>::new(), "{name}");
        checked += 1;
    }
    assert!(checked > 5, "only {checked} replies are JSON");
}

#[test]
fn a_reply_that_github_would_not_send_is_noticed() {
    let schema = schema("combined-commit-status");
    let good: Value = serde_json::from_slice(Reply::github("success").unwrap().body()).unwrap();
    let edits: [fn(&mut Value); 4] = [
        |reply| reply["total_count"] = json!("2"),
        |reply| drop(reply.as_object_mut().unwrap().remove("repository")),
        |reply| reply["invented"] = json!(1),
        |reply| reply["statuses"][0]["state"] = json!(null),
    ];
    for edit in edits {
        let mut reply = good.clone();
        edit(&mut reply);
        assert_eq!(problems(&schema, &reply).len(), 1, "{reply}");
    }
}
