//! `synod init compose`: three nodes on one machine, and what watches them, for Docker Compose.

use std::fmt::Write as _;

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// The one source: the repository's own file.
const FILE: &str = include_str!("../../../../../deploy/compose.yaml");

/// What stands beside it in the repository, and must be in it anywhere else.
const BESIDE: [(&str, &str); 2] = [
    ("./prometheus/alerts.yaml", include_str!("../../../../../deploy/prometheus/alerts.yaml")),
    ("./grafana/synod.json", include_str!("../../../../../deploy/grafana/synod.json")),
];

pub(super) fn run(output: &Output) -> Result<Exit, CliError> {
    let file = whole();
    let fields = vec![("file", Value::Text(file.clone()))];
    output.show(Report::record("synod.init.compose/1", fields).verbatim(file))
}

fn whole() -> String {
    let mut file = FILE.to_owned();
    for (path, content) in BESIDE {
        let mut block = "    content: |\n".to_owned();
        for line in content.lines() {
            // A dollar begins a variable of Compose; two are one.
            let line = line.replace('$', "$$");
            let indent = if line.is_empty() { "" } else { "      " };
            writeln!(block, "{indent}{line}").expect("writing to a string cannot fail");
        }
        file = file.replace(&format!("    file: {path}\n"), &block);
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_needs_no_other_files() {
        let file = whole();
        assert!(!file.contains("    file: "), "something is left beside it");
        assert!(file.contains("\n      groups:\n") && file.contains("$${datasource}"));
        assert!(!FILE.contains("$$"), "only what is put in is escaped");
    }
}
