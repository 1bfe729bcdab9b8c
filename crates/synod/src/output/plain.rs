//! For `cut`, `awk` and `while read`: tab-separated, no header, stable.
//!
//! A list is a line a row; a record is a line a field, name first.

use std::io;

use super::bytes::escaped;
use super::{Renderer, Shape, Value};

pub(super) struct Plain;

impl Renderer for Plain {
    fn begin(&mut self, _: &mut dyn io::Write, _: &Shape) -> io::Result<()> {
        Ok(())
    }

    fn row(&mut self, out: &mut dyn io::Write, shape: &Shape, row: &[Value]) -> io::Result<()> {
        if shape.rows.is_some() {
            let cells: Vec<String> = row.iter().map(cell).collect();
            return writeln!(out, "{}", cells.join("\t"));
        }
        shape.columns.iter().zip(row).try_for_each(|(column, value)| match value {
            Value::Micros(_) => writeln!(out, "{}_us\t{}", column.key, cell(value)),
            _ => writeln!(out, "{}\t{}", column.key, cell(value)),
        })
    }

    fn end(&mut self, _: &mut dyn io::Write, _: &Shape) -> io::Result<()> {
        Ok(())
    }
}

fn cell(value: &Value) -> String {
    match value {
        Value::Text(text) => escaped(text.as_bytes()),
        Value::Count(number) | Value::Id(number) | Value::Micros(number) => number.to_string(),
        Value::Flag(flag) => flag.to_string(),
        Value::Ratio(ratio) => format!("{ratio:.1}"),
        Value::Bytes(bytes) => escaped(bytes),
        Value::List(items) => escaped(items.join(",").as_bytes()),
        Value::Counts(counts) => {
            let counts = counts.iter().map(|(name, count)| format!("{name}={count}"));
            counts.collect::<Vec<_>>().join(",")
        }
        Value::Absent => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use crate::output::report::tests::{list, record};
    use crate::output::{Format, rendered};

    #[test]
    fn a_list_is_a_line_a_row() {
        assert_eq!(rendered(Format::Plain, &list()), "7\tval\\nue\tleader,learner\n8\t\\xff\t\n");
    }

    #[test]
    fn a_record_is_a_line_a_field() {
        assert_eq!(
            rendered(Format::Plain, &record()),
            "chosen\t1000\nhistories_equal\ttrue\nelapsed_us\t21400\ntakeover\t\n\
             fates\tlost=1000,heard=2\nrate\t2.5\n"
        );
    }
}
