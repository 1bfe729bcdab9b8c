//! `synod init compose`: three nodes on one machine, for Docker Compose.

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// The one source: the repository's own file.
const FILE: &str = include_str!("../../../../../deploy/compose.yaml");

pub(super) fn run(output: &Output) -> Result<Exit, CliError> {
    let fields = vec![("file", Value::Text(FILE.to_owned()))];
    output.show(Report::record("synod.init.compose/1", fields).verbatim(FILE))
}
