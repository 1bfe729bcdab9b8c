//! For programs: one document, or one a line. Keys keep the order of the columns.
//!
//! A document with rows is written as they come, so that an endless answer is one document too,
//! closed when the command is stopped.

use std::io;

use serde_json::json;

use super::bytes::encoded;
use super::{Renderer, Shape, Value};

#[derive(Default)]
pub(super) struct Json {
    has_rows: bool,
}

impl Renderer for Json {
    fn begin(&mut self, out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
        match shape.rows {
            Some(rows) => write!(out, "{{\n  {},\n  {}: [", schema(shape), json!(rows)),
            None => Ok(()),
        }
    }

    fn row(&mut self, out: &mut dyn io::Write, shape: &Shape, row: &[Value]) -> io::Result<()> {
        if shape.rows.is_none() {
            let members = [vec![schema(shape)], members(shape, row)].concat();
            return writeln!(out, "{{\n  {}\n}}", members.join(",\n  "));
        }
        let comma = if std::mem::replace(&mut self.has_rows, true) { "," } else { "" };
        write!(out, "{comma}\n    {{{}}}", members(shape, row).join(", "))
    }

    fn end(&mut self, out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
        match (shape.rows, self.has_rows) {
            (Some(_), true) => writeln!(out, "\n  ]\n}}"),
            (Some(_), false) => writeln!(out, "]\n}}"),
            (None, _) => Ok(()),
        }
    }
}

pub(super) struct Jsonl;

impl Renderer for Jsonl {
    fn begin(&mut self, _: &mut dyn io::Write, _: &Shape) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn io::Write, shape: &Shape, row: &[Value]) -> io::Result<()> {
        let members = [vec![schema(shape)], members(shape, row)].concat();
        writeln!(out, "{{{}}}", members.join(","))
    }

    fn end(&mut self, _: &mut dyn io::Write, _: &Shape) -> io::Result<()> {
        Ok(())
    }
}

fn schema(shape: &Shape) -> String {
    member("schema", json!(shape.schema))
}

/// The members of one row's object. Some values need two.
fn members(shape: &Shape, row: &[Value]) -> Vec<String> {
    let mut members = Vec::with_capacity(row.len());
    for (column, value) in shape.columns.iter().zip(row) {
        let key = column.key;
        match value {
            Value::Text(text) => members.push(member(key, json!(text))),
            Value::Count(number) => members.push(member(key, json!(number))),
            Value::Id(number) => members.push(member(key, json!(number.to_string()))),
            Value::Flag(flag) => members.push(member(key, json!(flag))),
            Value::Ratio(ratio) => members.push(member(key, json!(ratio))),
            Value::List(items) => members.push(member(key, json!(items))),
            Value::Counts(counts) => {
                let counts =
                    counts.iter().map(|(name, count)| member(name, json!(count.to_string())));
                let counts = counts.collect::<Vec<_>>().join(", ");
                members.push(format!("{}: {{{counts}}}", json!(key)));
            }
            Value::Absent => members.push(member(key, json!(null))),
            Value::Micros(us) => {
                // One division: three digits behind the point, and no more.
                let ms = std::time::Duration::from_millis(*us).as_secs_f64();
                members.push(member(&format!("{key}_us"), json!(us)));
                members.push(member(&format!("{key}_ms"), json!(ms)));
            }
            Value::Bytes(bytes) => {
                let (text, encoding) = encoded(bytes);
                members.push(member(key, json!(text)));
                members.push(member("encoding", json!(encoding)));
            }
        }
    }
    members
}

#[expect(clippy::needless_pass_by_value, reason = "every caller makes the value for this call")]
fn member(key: &str, value: serde_json::Value) -> String {
    format!("{}: {value}", json!(key))
}

#[cfg(test)]
mod tests {
    use crate::output::report::tests::{list, record};
    use crate::output::{Format, Report, rendered};

    #[test]
    fn a_list_is_one_document() {
        let text = rendered(Format::Json, &list());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["schema"], "synod.list/1");
        assert_eq!(document["entries"][0]["slot"], "7");
        assert_eq!(document["entries"][0]["value"], "val\nue");
        assert_eq!(document["entries"][0]["encoding"], "utf-8");
        assert_eq!(document["entries"][1]["value"], "/w==");
        assert_eq!(document["entries"][1]["encoding"], "base64");
        assert_eq!(document["entries"][1]["all_roles"], serde_json::json!([]));
    }

    #[test]
    fn an_empty_list_is_a_document_too() {
        let empty = Report::rows("synod.list/1", "entries", &["slot"], Vec::new());
        let document: serde_json::Value =
            serde_json::from_str(&rendered(Format::Json, &empty)).unwrap();
        assert_eq!(document["entries"], serde_json::json!([]));
        assert_eq!(rendered(Format::Jsonl, &empty), "");
    }

    #[test]
    fn a_record_is_a_flat_document_with_the_schema_first() {
        let text = rendered(Format::Json, &record());
        assert!(text.starts_with("{\n  \"schema\": \"synod.record/1\",\n  \"chosen\": 1000,"));
        let document: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(document["elapsed_us"], 21_400);
        assert_eq!(document["elapsed_ms"], 21.4);
        assert!(document["takeover"].is_null());
        assert_eq!(document["fates"]["lost"], "1000");
    }

    #[test]
    fn each_line_of_jsonl_is_a_document_of_its_own() {
        let text = rendered(Format::Jsonl, &list());
        let documents: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(documents.len(), 2);
        assert!(documents.iter().all(|document| document["schema"] == "synod.list/1"));
        assert_eq!(rendered(Format::Jsonl, &record()).lines().count(), 1);
    }
}
