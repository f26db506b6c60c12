//! Facts: what an experiment found out, by name, in a form that a person and a machine can read.

use serde_json::{Map, Value};

/// What an experiment found out. What was not measured is not there, which is not the same as a zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Facts(Map<String, Value>);

impl Facts {
    /// Notes a fact; a later one of the same name takes its place.
    pub fn note(&mut self, name: impl Into<String>, value: impl Into<Value>) {
        self.0.insert(name.into(), value.into());
    }

    /// The same, for those who make facts up.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.note(name, value);
        self
    }

    /// A fact as it is.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// A fact that is a number.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.get(name)?.as_u64()
    }

    /// A fact that is a text.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    /// A fact that is true or false.
    pub fn flag(&self, name: &str) -> Option<bool> {
        self.get(name)?.as_bool()
    }

    /// A fact that is a list of texts.
    pub fn list(&self, name: &str) -> Option<Vec<&str>> {
        Some(self.get(name)?.as_array()?.iter().filter_map(Value::as_str).collect())
    }

    /// All of them.
    pub fn json(&self) -> Value {
        Value::Object(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::Facts;
    use serde_json::json;

    #[test]
    fn a_fact_is_found_by_name_and_only_as_what_it_is() {
        let facts =
            Facts::default().with("n", 3).with("t", "x").with("f", false).with("l", json!(["a", "b"]));
        assert_eq!((facts.number("n"), facts.number("t"), facts.number("none")), (Some(3), None, None));
        assert_eq!((facts.text("t"), facts.flag("f")), (Some("x"), Some(false)));
        assert_eq!(facts.list("l"), Some(vec!["a", "b"]));
        assert_eq!(facts.list("n"), None);
        assert_eq!(facts.json()["n"], 3);
    }
}
