//! How a line of the log looks: for people as `tracing` writes it, or one JSON object that begins
//! with `ts`, `level`, `target`, `msg` and `node`.
//!
//! The node is on each line, also where the code that logs does not know it: lines of several nodes
//! are read together.

use std::fmt;
use std::time::Instant;

use serde_json::Value;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{Format, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::repeats::Repeats;

/// Writes lines.
#[derive(Debug)]
pub(super) struct Lines {
    node: u32,
    is_json: bool,
    text: Format,
    repeats: Repeats,
}

impl Lines {
    pub(super) fn new(node: u32, is_json: bool) -> Lines {
        Lines { node, is_json, text: Format::default(), repeats: Repeats::default() }
    }

    fn write_json(&self, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        self.begin(&mut writer, *metadata.level(), metadata.target(), &fields.message)?;
        for (name, value) in fields.others {
            write!(writer, ",{}:{value}", Value::from(name))?;
        }
        writeln!(writer, "}}")
    }

    fn begin(
        &self,
        writer: &mut Writer<'_>,
        level: Level,
        target: &str,
        message: &str,
    ) -> fmt::Result {
        write!(writer, "{{\"ts\":\"")?;
        SystemTime.format_time(writer)?;
        let (target, message) = (Value::from(target), Value::from(message));
        let (level, node) = (level.as_str(), self.node);
        write!(writer, "\",\"level\":\"{level}\",\"target\":{target},\"msg\":{message}")?;
        write!(writer, ",\"node\":{node}")
    }

    fn write_left_out(
        &self,
        mut writer: Writer<'_>,
        event: &Event<'_>,
        left_out: u64,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let words = "lines like the next one were left out";
        if self.is_json {
            self.begin(&mut writer, *metadata.level(), metadata.target(), words)?;
            return writeln!(writer, ",\"left_out\":{left_out}}}");
        }
        writeln!(writer, "{left_out} {words}")
    }
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        // Whoever asks for details means all of them.
        if *metadata.level() <= Level::INFO {
            match self.repeats.left_out_before(metadata.callsite(), Instant::now()) {
                None => return Ok(()),
                Some(0) => {}
                Some(left_out) => self.write_left_out(writer.by_ref(), event, left_out)?,
            }
        }
        if self.is_json {
            return self.write_json(writer, event);
        }
        self.text.format_event(context, writer, event)
    }
}

/// What an event says. Its own word for the node is the one that the line has already.
#[derive(Default)]
struct Fields {
    message: String,
    others: Vec<(&'static str, Value)>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            ("message", Value::String(text)) => self.message = text,
            ("node" | "ts" | "level" | "target" | "msg", _) => {}
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;

    use super::super::repeats::LINES_MAX;
    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl MakeWriter<'_> for Memory {
        type Writer = Memory;

        fn make_writer(&self) -> Memory {
            self.clone()
        }
    }

    fn logged(is_json: bool, log: impl FnOnce()) -> String {
        let memory = Memory::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(Level::DEBUG)
            .with_ansi(false)
            .with_writer(memory.clone())
            .event_format(Lines::new(7, is_json))
            .finish();
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(memory.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn a_line_is_one_object_that_names_its_node() {
        let text = logged(true, || {
            tracing::info!(node = 7, ballot = "3·1", slot = 9, why = ?Some("a\"b"), "le\nads");
            tracing::warn!("the disk is full");
        });
        let lines: Vec<&str> = text.lines().collect();
        let [first, second] = lines[..] else { panic!("{text}") };
        let begin = first.split_once("\",\"level\"").expect("a time").0;
        assert!(begin.starts_with("{\"ts\":\"20") && begin.ends_with('Z'), "{first}");
        assert!(first.ends_with(
            "\"level\":\"INFO\",\"target\":\"synod::commands::serve::logging::lines::tests\",\
             \"msg\":\"le\\nads\",\"node\":7,\"ballot\":\"3·1\",\"slot\":9,\
             \"why\":\"Some(\\\"a\\\\\\\"b\\\")\"}"
        ));
        for line in [first, second] {
            let object: Value = serde_json::from_str(line).unwrap();
            assert_eq!(object["node"], 7);
        }
    }

    #[test]
    fn what_repeats_is_left_out_but_details_are_not() {
        let many = |level: Level| {
            for n in 0..LINES_MAX + 5 {
                if level == Level::INFO {
                    tracing::info!(n, "again");
                } else {
                    tracing::debug!(n, "again");
                }
            }
        };
        for is_json in [false, true] {
            let lines = |level| logged(is_json, || many(level)).lines().count() as u64;
            assert_eq!(lines(Level::INFO), LINES_MAX);
            assert_eq!(lines(Level::DEBUG), LINES_MAX + 5);
        }
    }

    #[test]
    fn text_is_for_people() {
        let text = logged(false, || tracing::info!(node = 7, "leads"));
        assert!(text.contains(" INFO ") && text.ends_with(": leads node=7\n"), "{text}");
    }
}
