//! For people: aligned columns under a header; a record as names and values.

use std::io;

use super::bytes::escaped;
use super::{Column, Renderer, Shape, Value, grouped, short_duration};

const GAP: &str = "  ";

pub(super) struct Table {
    widths: Vec<usize>,
}

impl Table {
    pub(super) fn new(widths: Vec<usize>) -> Table {
        Table { widths }
    }
}

/// How wide each column must be, in characters.
pub(super) fn widths(shape: &Shape, rows: &[Vec<Value>]) -> Vec<usize> {
    let width = |text: &str| text.chars().count();
    if shape.rows.is_none() {
        let names = shape.columns.iter().map(|column| width(&name(column)));
        return vec![names.max().unwrap_or(0)];
    }
    let columns = shape.columns.iter().enumerate();
    columns
        .map(|(index, column)| {
            let cells = rows.iter().map(|row| width(&cell(&row[index])));
            cells.max().unwrap_or(0).max(width(&name(column))).max(column.width)
        })
        .collect()
}

impl Renderer for Table {
    fn begin(&mut self, out: &mut dyn io::Write, shape: &Shape) -> io::Result<()> {
        if shape.rows.is_none() {
            return Ok(());
        }
        let names = shape.columns.iter().map(|column| name(column).to_uppercase());
        self.line(out, names)
    }

    fn row(&mut self, out: &mut dyn io::Write, shape: &Shape, row: &[Value]) -> io::Result<()> {
        if shape.rows.is_some() {
            return self.line(out, row.iter().map(cell));
        }
        let mut fields = shape.columns.iter().zip(row);
        fields.try_for_each(|(column, value)| {
            writeln!(out, "{:width$}{GAP}{}", name(column), cell(value), width = self.widths[0])
        })
    }

    fn end(&mut self, _: &mut dyn io::Write, _: &Shape) -> io::Result<()> {
        Ok(())
    }
}

impl Table {
    fn line(&self, out: &mut dyn io::Write, cells: impl Iterator<Item = String>) -> io::Result<()> {
        let padded: Vec<String> =
            self.widths.iter().zip(cells).map(|(width, cell)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", padded.join(GAP).trim_end())
    }
}

fn name(column: &Column) -> String {
    column.key.replace('_', " ")
}

fn cell(value: &Value) -> String {
    match value {
        Value::Text(text) => escaped(text.as_bytes()),
        Value::Count(number) => grouped(*number),
        Value::Id(number) => number.to_string(),
        Value::Flag(flag) => if *flag { "yes" } else { "no" }.to_owned(),
        Value::Ratio(ratio) => format!("{ratio:.1}"),
        Value::Micros(us) => short_duration(*us),
        Value::Bytes(bytes) => escaped(bytes),
        Value::List(items) => escaped(items.join(", ").as_bytes()),
        Value::Counts(counts) => {
            let counts = counts.iter().map(|(name, count)| format!("{name} {}", grouped(*count)));
            counts.collect::<Vec<_>>().join(", ")
        }
        Value::Absent => "-".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use crate::output::report::tests::{list, record};
    use crate::output::{Format, rendered};

    #[test]
    fn a_list_has_aligned_columns() {
        assert_eq!(
            rendered(Format::Table, &list()),
            "SLOT  VALUE    ALL ROLES\n7     val\\nue  leader, learner\n8     \\xff\n"
        );
    }

    #[test]
    fn a_record_has_names_and_values() {
        assert_eq!(
            rendered(Format::Table, &record()),
            "chosen           1,000\nhistories equal  yes\nelapsed          21.4 ms\n\
             takeover         -\nfates            lost 1,000, heard 2\n\
             rate             2.5\n"
        );
    }
}
