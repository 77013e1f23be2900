//! `windtunnel schema`: the JSON Schema of a scenario file.

use super::{Exit, style::print};
use crate::language::Scenario;

/// The schema as text.
fn schema() -> String {
    let schema = schemars::schema_for!(Scenario);
    serde_json::to_string_pretty(&schema).expect("a schema is JSON")
}

pub(super) fn execute() -> Exit {
    print(&schema());
    Exit::Success
}

#[cfg(test)]
mod tests {
    /// Whoever changes the language changes this file with it, and sees what changed.
    #[test]
    fn the_schema_is_what_it_was() {
        let schema = super::schema();
        insta::assert_snapshot!(schema);
    }
}
