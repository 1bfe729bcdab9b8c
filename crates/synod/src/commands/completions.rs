//! `synod completions`: a script that teaches a shell the commands.

use clap::{Args, CommandFactory as _, ValueEnum as _};
use clap_complete::{Shell, generate};

use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Print a completion script
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod completions bash > ~/.local/share/bash-completion/completions/synod
  synod completions fish > ~/.config/fish/completions/synod.fish")]
pub(crate) struct CompletionsArgs {
    /// The shell that will read it
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, output: &Output) -> Result<Exit, CliError> {
    let script = script(args.shell);
    let shell = args.shell.to_possible_value().expect("every shell has a name");
    let report = Report::record(
        "synod.completions/1",
        vec![
            ("shell", Value::Text(shell.get_name().to_owned())),
            ("script", Value::Text(script.clone())),
        ],
    );
    output.show(report.verbatim(script))
}

fn script(shell: Shell) -> String {
    // The front page lists the commands itself, so clap must not; a shell should offer them.
    let mut command = Cli::command().mut_subcommands(|child| child.hide(false));
    let mut script = Vec::new();
    generate(shell, &mut command, "synod", &mut script);
    String::from_utf8(script).expect("completion scripts are text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_offers_every_command() {
        let script = script(Shell::Fish);
        for command in Cli::command().get_subcommands() {
            assert!(script.contains(&format!("-a \"{}\"", command.get_name())), "{script}");
        }
    }
}
