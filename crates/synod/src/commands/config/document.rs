//! `docs/config.md`, as it must be: made of the list of keys.
#![cfg(test)]

use std::fmt::Write as _;

use server::config::{DEFAULT_FILE, KEYS};

use crate::exits::tests::demand;

#[test]
fn the_page_of_keys_is_made_of_the_list() {
    let mut page = format!(
        "# Configuration\n\n\
         A node reads one TOML file: the one that `--config` names, else `SYNOD_CONFIG`, else\n\
         `{DEFAULT_FILE}`. Over it are laid `SYNOD_*` variables, and over those options: `--id`,\n\
         `--data-dir`, `--log-level`, `--log-format`, and `--set KEY=VALUE` for any other key \
         that has\n\
         a variable. What must be the same at all nodes stands in the file alone. An unknown key \
         is\n\
         refused, and so is a variable that is nearly one of these.\n\n\
         `synod config show` prints each value and where it came from, `synod config check` says\n\
         whether a node would start from it, `synod config explain KEY` prints a row of this \
         table.\n\
         SIGHUP changes what is marked with *; the rest waits for a restart, and the log says \
         so.\n\n\
         Durations are written as `50ms`, sizes as `64MiB`. No key holds a secret.\n\n\
         | key | meaning | unit | default | accepted | variable |\n|---|---|---|---|---|---|\n"
    );
    for key in KEYS {
        let star = if key.reloads { " *" } else { "" };
        let variable = key.variable.map_or_else(|| "-".to_owned(), |name| format!("`{name}`"));
        let (name, meaning, unit) = (key.name, key.meaning, key.unit);
        let (default, range) = (key.default, key.range);
        writeln!(
            page,
            "| `{name}`{star} | {meaning} | {unit} | {default} | {range} | {variable} |"
        )
        .expect("writing to a string cannot fail");
    }
    demand("docs/config.md", &page);
}
