//! `synod man`: a manual page for each command, for those who build packages.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory as _};
use clap_mangen::roff::{Roff, bold, roman};

use super::version::VERSION;
use crate::cli::Cli;
use crate::error::{CliError, Exit};
use crate::output::{Output, Report, Value};

/// Write a manual page for each command
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  synod man target/man
  synod man target/man -o json")]
pub(crate) struct ManArgs {
    /// Where to write them; made if it is missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn run(args: &ManArgs, output: &Output) -> Result<Exit, CliError> {
    fs::create_dir_all(&args.dir).map_err(|error| CliError::file("create", &args.dir, &error))?;
    let mut rows = Vec::new();
    for (name, page) in pages() {
        let path = args.dir.join(format!("{name}.1"));
        fs::write(&path, page).map_err(|error| CliError::file("write", &path, &error))?;
        rows.push(vec![Value::Text(path.display().to_string())]);
    }
    output.show(Report::rows("synod.man/1", "pages", &["page"], rows))
}

/// Every page by its name, such as `synod-log-append`.
fn pages() -> Vec<(String, Vec<u8>)> {
    let mut command = Cli::command().disable_help_flag(true);
    // Options that every command has must be known to each before it is printed.
    command.build();
    let mut pages = Vec::new();
    add(&command, "synod", &mut pages);
    pages
}

fn add(command: &clap::Command, name: &str, pages: &mut Vec<(String, Vec<u8>)>) {
    // The front page lists the commands itself, so clap must not; a manual should.
    let shown = command.clone().mut_subcommands(|child| {
        let is_for_people = child.get_name() != "man";
        child.hide(!is_for_people)
    });
    pages.push((name.to_owned(), page(shown, name)));
    for child in command.get_subcommands().filter(|child| child.get_name() != "man") {
        add(child, &format!("{name}-{}", child.get_name()), pages);
    }
}

fn page(command: clap::Command, name: &str) -> Vec<u8> {
    let source = format!("synod {VERSION}");
    // clap wants names that live as long as the program, which ends after this.
    let title: &'static str = name.to_owned().leak();
    let man = clap_mangen::Man::new(command.name(title).display_name(title)).source(source);
    let mut page = Vec::new();
    man.render(&mut page).and_then(|()| exit_status().to_writer(&mut page)).expect("memory");
    page
}

fn exit_status() -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXIT STATUS"]);
    for exit in Exit::ALL {
        section.control("TP", []);
        section.text([bold((exit as u8).to_string())]);
        section.text([roman(exit.meaning())]);
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(pages: &[(String, Vec<u8>)], name: &str) -> String {
        let page = pages.iter().find(|(page, _)| page == name);
        let (_, page) = page.unwrap_or_else(|| panic!("no page {name}"));
        String::from_utf8(page.clone()).expect("text")
    }

    #[test]
    fn every_command_has_a_page_with_its_options_and_examples() {
        let pages = pages();
        let mut names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
        assert!(names.contains(&"synod-log-append") && !names.contains(&"synod-man"));
        for (name, page) in &pages {
            let page = String::from_utf8_lossy(page);
            for part in [".TH ", ".SH NAME", ".SH SYNOPSIS", "Examples:", ".SH \"EXIT STATUS\""] {
                assert!(page.contains(part), "{name} has no {part}:\n{page}");
            }
            assert!(page.contains("\\-\\-output"), "{name} lacks the options of all");
        }
        names.dedup();
        assert_eq!(names.len(), pages.len(), "each once");
        let front = find(&pages, "synod");
        for command in Cli::command().get_subcommands().filter(|it| it.get_name() != "man") {
            assert!(front.contains(&format!("synod\\-{}", command.get_name())), "{front}");
        }
        assert!(find(&pages, "synod-log-read").contains("\\-\\-consistency"));
        assert!(front.contains("No quorum, or nothing reachable."));
    }
}
