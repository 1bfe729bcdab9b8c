//! The real program, asked whether it would understand what a file says.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Output};

use serde_json::Value;

/// Variables that are no keys of the configuration.
const OTHERS: [&str; 3] = ["SYNOD_CONFIG", "SYNOD_CREDENTIALS", "SYNOD_ENDPOINTS"];

/// The program of this build.
pub struct Program;

#[expect(clippy::unused_self, reason = "it is asked, and there is one")]
impl Program {
    pub fn new() -> Program {
        Program
    }

    fn output(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_synod"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("SYNOD_")) {
            command.env_remove(name);
        }
        command.args(arguments).envs(variables.iter().copied());
        command.output().expect("the binary runs")
    }

    /// What a command prints that must succeed.
    pub fn prints(&self, arguments: &[&str]) -> String {
        let output = Program::output(arguments, &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Every command's name, in one text.
    pub fn help(&self) -> String {
        let groups = ["--help", "init --help", "config --help", "cluster --help"];
        let page = |words: &str| self.prints(&words.split(' ').collect::<Vec<_>>());
        groups.into_iter().map(page).collect()
    }

    /// Demands that these are a command's words. It is not run.
    pub fn understands(&self, words: &[&str]) {
        assert!(!words.is_empty(), "no command");
        // Options are read in their order: one that is wrong is refused before help is asked for.
        let output = Program::output(&[words, &["--help"]].concat(), &[]);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {stderr}");
    }

    /// Every variable that it reads.
    pub fn variables(&self) -> BTreeSet<String> {
        let keys: Value =
            serde_json::from_str(&self.prints(&["config", "explain", "-o", "json"])).expect("JSON");
        let keys = keys["keys"].as_array().expect("keys");
        let variables = keys.iter().filter_map(|key| key["variable"].as_str());
        variables.chain(OTHERS).map(str::to_owned).collect()
    }

    /// What a node would start from.
    pub fn settings(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> BTreeMap<String, String> {
        let arguments = [&["config", "show", "-o", "json"], arguments].concat();
        let output = Program::output(&arguments, variables);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        let shown: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let settings = shown["settings"].as_array().expect("settings");
        let pair = |it: &Value| (text_of(&it["key"]).to_owned(), text_of(&it["value"]).to_owned());
        settings.iter().map(pair).collect()
    }

    /// Demands that a node would start from this text, as that node, with its directory by a
    /// variable.
    pub fn accepts(&self, text: &str, id: &str) -> BTreeMap<String, String> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        let path = file.path().to_str().expect("text");
        let variables = [("SYNOD_ID", id), ("SYNOD_DATA_DIR", "/data/synod")];
        let checked = Program::output(&["config", "check", "--config", path], &variables);
        let stderr = String::from_utf8_lossy(&checked.stderr);
        assert!(checked.status.success(), "{stderr}\n{text}");
        self.settings(&["--config", path], &variables)
    }
}

/// A text in a document.
pub fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}
