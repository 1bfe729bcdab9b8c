//! The text that Prometheus reads, exposition format 0.0.4.
//!
//! A family is begun once and its samples follow, so a page cannot say one name twice without
//! somebody noticing; that each listed family is on it is a test's business.

use std::fmt::Write as _;

use super::histogram::{BOUNDS_US, Histogram, Reading};
use super::list::{Family, Kind};

/// What a page is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A page that is being written.
#[derive(Debug, Default)]
pub struct Page {
    text: String,
}

/// The samples of one family.
#[derive(Debug)]
pub struct Samples<'a> {
    family: &'static Family,
    text: &'a mut String,
}

impl Page {
    /// Begins a family. It is on the page even if it has no sample yet.
    pub fn family(&mut self, family: &'static Family) -> Samples<'_> {
        let Family { name, kind, help, .. } = family;
        // Neither has a line break or a backslash: the list's own test says so.
        self.put(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
        Samples { family, text: &mut self.text }
    }

    /// The page.
    pub fn finish(self) -> String {
        self.text
    }

    fn put(&mut self, line: std::fmt::Arguments<'_>) {
        self.text.write_fmt(line).expect("writing to a string cannot fail");
    }
}

impl Samples<'_> {
    /// A counter or a gauge. `labels` are the values, in the family's order.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
    pub fn count(&mut self, labels: &[&str], value: u64) -> &mut Self {
        self.number(labels, value as f64)
    }

    /// A statement: 1 if it is true.
    pub fn flag(&mut self, is_so: bool) {
        self.count(&[], is_so.into());
    }

    /// A counter or a gauge that is no whole number, or may be negative.
    pub fn number(&mut self, labels: &[&str], value: f64) -> &mut Self {
        assert!(self.family.kind != Kind::Histogram, "a histogram has buckets");
        self.line("", labels, None, value)
    }

    /// A histogram.
    #[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
    pub fn histogram(&mut self, labels: &[&str], histogram: &Histogram) -> &mut Self {
        assert!(self.family.kind == Kind::Histogram, "it was listed as something else");
        let Reading { up_to, sum_us } = histogram.read();
        for (bound, count) in BOUNDS_US.iter().zip(up_to) {
            let bound = (*bound as f64 / 1e6).to_string();
            self.line("_bucket", labels, Some(&bound), count as f64);
        }
        let count = up_to[BOUNDS_US.len()] as f64;
        self.line("_bucket", labels, Some("+Inf"), count);
        self.line("_sum", labels, None, sum_us as f64 / 1e6);
        self.line("_count", labels, None, count)
    }

    fn line(&mut self, ending: &str, labels: &[&str], le: Option<&str>, value: f64) -> &mut Self {
        let family = self.family;
        assert!(labels.len() == family.labels.len(), "{}: a value a label", family.name);
        let named = family.labels.iter().map(|label| label.name).zip(labels.iter().copied());
        let all: Vec<String> = named
            .chain(le.map(|le| ("le", le)))
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if all.is_empty() { String::new() } else { format!("{{{}}}", all.join(",")) };
        writeln!(self.text, "{}{ending}{labels} {value}", family.name)
            .expect("writing to a string cannot fail");
        self
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::list::Label;
    use super::*;

    const PLAIN: Family = Family::new("plain", Kind::Gauge, "One.");
    const LABELLED: Family = Family::new("labelled_total", Kind::Counter, "Two.")
        .labels(&[Label::open("a", ""), Label::open("b", "")]);
    const SPREAD: Family =
        Family::new("spread_seconds", Kind::Histogram, "Three.").labels(&[Label::open("a", "")]);

    #[test]
    fn a_page_is_what_prometheus_reads() {
        static FAMILIES: [Family; 3] = [PLAIN, LABELLED, SPREAD];
        let mut page = Page::default();
        page.family(&FAMILIES[0]).number(&[], -0.5);
        page.family(&FAMILIES[1]).count(&["x\"\\\n", "y"], 1 << 40).count(&["z", ""], 0);
        let histogram = Histogram::default();
        histogram.observe(Duration::from_micros(75));
        histogram.observe(Duration::from_secs(100));
        page.family(&FAMILIES[2]).histogram(&["x"], &histogram);
        let text = page.finish();
        assert!(text.starts_with(
            "# HELP plain One.\n# TYPE plain gauge\nplain -0.5\n\
             # HELP labelled_total Two.\n# TYPE labelled_total counter\n\
             labelled_total{a=\"x\\\"\\\\\\n\",b=\"y\"} 1099511627776\n\
             labelled_total{a=\"z\",b=\"\"} 0\n\
             # HELP spread_seconds Three.\n# TYPE spread_seconds histogram\n\
             spread_seconds_bucket{a=\"x\",le=\"0.00005\"} 0\n\
             spread_seconds_bucket{a=\"x\",le=\"0.0001\"} 1\n"
        ));
        assert!(text.ends_with(
            "spread_seconds_bucket{a=\"x\",le=\"10\"} 1\n\
             spread_seconds_bucket{a=\"x\",le=\"+Inf\"} 2\n\
             spread_seconds_sum{a=\"x\"} 100.000075\nspread_seconds_count{a=\"x\"} 2\n"
        ));
    }
}
