//! YAML as the values that tests look into.

use saphyr::{LoadableYamlNode as _, Scalar, Yaml};
use serde_json::{Map, Value};

/// Every document of a text, except empty ones. Merge keys are merged.
pub fn documents(text: &str) -> Vec<Value> {
    let documents = Yaml::load_from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    documents.iter().map(value).filter(|document| !document.is_null()).collect()
}

/// A list of texts.
pub fn words(list: &Value) -> Vec<&str> {
    let list = list.as_array().unwrap_or_else(|| panic!("{list} is no list"));
    list.iter().map(super::program::text_of).collect()
}

fn value(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::Null) => Value::Null,
        Yaml::Value(Scalar::Boolean(flag)) => (*flag).into(),
        Yaml::Value(Scalar::Integer(number)) => (*number).into(),
        Yaml::Value(Scalar::FloatingPoint(number)) => number.into_inner().into(),
        Yaml::Value(Scalar::String(text)) => text.as_ref().into(),
        Yaml::Sequence(items) => items.iter().map(value).collect(),
        Yaml::Mapping(members) => {
            let mut map = Map::new();
            for (key, member) in members {
                let key = key.as_str().expect("keys are texts");
                match (key, value(member)) {
                    ("<<", Value::Object(merged)) => map.extend(merged),
                    (key, member) => drop(map.insert(key.to_owned(), member)),
                }
            }
            Value::Object(map)
        }
        other => panic!("{other:?} is not looked into"),
    }
}
