//! `synod init systemd`: the unit that packages ship, for those who install by hand.

use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// The one source: packages ship this file.
const UNIT: &str = include_str!("../../../../../deploy/systemd/synod.service");

pub(super) fn run(output: &Output) -> Result<Exit, CliError> {
    let fields = vec![("unit", Value::Text(UNIT.to_owned()))];
    output.show(Report::record("synod.init.systemd/1", fields).verbatim(UNIT))
}
