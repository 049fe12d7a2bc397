//! The names of certificates.
//!
//! What enters: a name. What leaves: the [`Recipe`] that it stands for. The names are those of `pinrig-certs`.

use std::borrow::Cow;

use pinrig_certs::Recipe;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;

/// A recipe by its name.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(super) struct RecipeName(pub(super) Recipe);

impl JsonSchema for RecipeName {
    fn schema_name() -> Cow<'static, str> {
        "Recipe".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Recipe::ALL.iter().map(|recipe| recipe.name()).collect();
        json_schema!({ "type": "string", "enum": names })
    }
}
