//! What is laid over a file: options first, then variables; and where each value came from.
//!
//! A value that is laid over takes a place behind the end of the file's text. So the one reader
//! checks all of them, and an error names the option, the variable or the line.

use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::error::{Located, line_of, nearest};
use super::names::{self, Resolve};
use super::{Config, ConfigError, KEYS, Key, Problem, file, find_key, nearest_key, read_text};

/// The file that is read where none is named.
pub const DEFAULT_FILE: &str = "/etc/synod/synod.toml";

/// Variables that are no keys. Others that begin like ours and are near to none are somebody
/// else's: a cluster of containers names services so.
const OTHER_VARIABLES: [&str; 3] = ["SYNOD_CONFIG", "SYNOD_CREDENTIALS", "SYNOD_ENDPOINTS"];

/// Where a value came from. Earlier ones win.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// An option of the command line, such as `--id` or `--set timing.heartbeat`.
    Option(String),
    /// A variable of the environment.
    Variable(&'static str),
    /// A line of the file, counted from 1.
    File {
        /// As it was named.
        path: PathBuf,
        /// Where the value begins.
        line: usize,
    },
    /// Nobody said anything.
    Default,
}

/// Everything that speaks about a node's configuration.
#[derive(Clone, Debug, Default)]
pub struct Layers {
    file: Option<PathBuf>,
    over: Vec<Over>,
}

/// A value laid over the file.
#[derive(Clone, Debug)]
pub(super) struct Over {
    key: &'static Key,
    value: String,
    origin: Origin,
}

/// How a text is read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    pub(super) over: &'a [Over],
    pub(super) resolve: Resolve,
}

/// A checked configuration, and where it came from.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// The configuration.
    pub config: Config,
    /// The file that was read.
    pub file: PathBuf,
    /// Every value, in the order of the keys.
    pub settings: Vec<Setting>,
}

/// One value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key's name; for a node's, with its id: `node[3].peers`.
    pub name: String,
    /// As it would be written.
    pub value: String,
    /// Who said so.
    pub origin: Origin,
    /// Whether SIGHUP is enough to change it.
    pub reloads: bool,
}

impl Layers {
    /// A file, and nothing over it. None is [`DEFAULT_FILE`].
    pub fn new(file: Option<PathBuf>) -> Layers {
        Layers { file, over: Vec::new() }
    }

    /// Lays `option`'s value over all that is said about a key otherwise.
    ///
    /// # Panics
    /// If there is no such key: options are part of the program.
    pub fn option(&mut self, option: &str, name: &str, value: String) {
        let key = find_key(name).expect("an option is about a key that exists");
        self.lay(key, value, Origin::Option(option.to_owned()));
    }

    /// The same for `KEY=VALUE`, as `option` takes it.
    pub fn set(&mut self, option: &str, text: &str) -> Result<(), ConfigError> {
        let wrong = |problem| ConfigError::new(Path::new(option), None, problem);
        let (name, value) =
            text.split_once('=').ok_or_else(|| wrong(Problem::NoValue(text.to_owned())))?;
        let key = find_key(name).ok_or_else(|| {
            let word = name.to_owned();
            let nearest = nearest_key(name).map(str::to_owned);
            wrong(Problem::Unknown { kind: "key", word, nearest })
        })?;
        if key.variable.is_none() {
            return Err(wrong(Problem::FileOnly(key.name)));
        }
        let origin = Origin::Option(format!("{option} {name}"));
        self.lay(key, value.to_owned(), origin);
        Ok(())
    }

    /// A path begins where we are, and not at the file's directory as in a file.
    fn lay(&mut self, key: &'static Key, value: String, origin: Origin) {
        let absolute = std::path::absolute(&value).ok().filter(|_| key.unit == "path");
        let path = absolute.and_then(|path| path.into_os_string().into_string().ok());
        self.over.push(Over { key, value: path.unwrap_or(value), origin });
    }

    /// Lays variables of the environment over the file. One that is nearly right is refused; one
    /// that is empty says nothing.
    pub fn variables(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (name, value) in variables {
            if !name.starts_with("SYNOD_") || value.is_empty() {
                continue;
            }
            let wrong = |problem| Err(ConfigError::new(Path::new(&name), None, problem));
            let file_only = KEYS.iter().find(|key| key.variable.is_none() && spelt(key) == name);
            if let Some(key) = file_only {
                return wrong(Problem::FileOnly(key.name));
            }
            let key = KEYS.iter().find(|key| key.variable == Some(&*name));
            if let Some((key, variable)) = key.and_then(|key| Some((key, key.variable?))) {
                self.lay(key, value, Origin::Variable(variable));
            } else if !OTHER_VARIABLES.contains(&&*name) {
                let known = KEYS.iter().filter_map(|key| key.variable).chain(OTHER_VARIABLES);
                if let Some(nearest) = nearly(&name, known) {
                    let (word, nearest) = (name.clone(), Some(nearest.to_owned()));
                    return wrong(Problem::Unknown { kind: "variable", word, nearest });
                }
            }
        }
        Ok(())
    }

    /// The file that is read.
    pub fn file(&self) -> PathBuf {
        self.file.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_FILE))
    }

    /// Reads the file, lays over it what there is, checks the whole, and looks up names.
    pub fn resolve(&self) -> Result<Resolved, ConfigError> {
        self.resolve_with(names::system)
    }

    /// The same without asking anybody for names. The addresses that they stand for are nobody's.
    pub fn resolve_offline(&self) -> Result<Resolved, ConfigError> {
        self.resolve_with(names::stand_in)
    }

    fn resolve_with(&self, resolve: Resolve) -> Result<Resolved, ConfigError> {
        let file = self.file();
        let text = read_text(&file)?;
        // Options are laid over variables; the later of two options wins.
        let mut over = self.over.clone();
        over.sort_by_key(|over| matches!(over.origin, Origin::Option(_)));
        let place = Place { file: &file, text: &text, over: &over };
        let reading = Reading { over: &over, resolve };
        let mut config = file::parse(&text, &reading).map_err(|located| place.error(located))?;
        let table = laid_over(&text, &over).expect("it was read before");
        let settings = place.settings(&config, table.get_ref());
        config.find_paths_from(&file);
        Ok(Resolved { config, file, settings })
    }
}

impl Default for Reading<'_> {
    fn default() -> Self {
        Reading { over: &[], resolve: names::none }
    }
}

/// The file's table with the values of `over` in it, the later of two for one key.
pub(super) fn laid_over<'a>(
    text: &'a str,
    over: &'a [Over],
) -> Result<Spanned<DeTable<'a>>, toml::de::Error> {
    let mut table = DeTable::parse(text)?;
    for (number, over) in over.iter().enumerate() {
        let at = text.len() + 1 + number;
        let spanned = |value| Spanned::new(at..at + 1, value);
        let mut inner = table.get_mut();
        let mut name = over.key.name;
        if let Some((section, key)) = name.split_once('.') {
            let empty = || Spanned::new(at..at + 1, DeValue::Table(DeTable::new()));
            let section =
                inner.entry(Spanned::new(at..at + 1, section.into())).or_insert_with(empty);
            let DeValue::Table(section) = section.get_mut() else {
                continue; // The reader says what is wrong with it.
            };
            (inner, name) = (section, key);
        }
        let is_number =
            over.key.unit == "number" && over.value.bytes().all(|it| it.is_ascii_digit());
        let number = is_number.then(|| DeValue::parse(&over.value).ok()).flatten();
        let value =
            number.map_or_else(|| DeValue::String((&*over.value).into()), Spanned::into_inner);
        inner.insert(spanned_key(at, name), spanned(value));
    }
    Ok(table)
}

fn spanned_key(at: usize, name: &str) -> Spanned<std::borrow::Cow<'_, str>> {
    Spanned::new(at..at + 1, name.into())
}

/// Tells where a place in the text, or behind it, is.
struct Place<'a> {
    file: &'a Path,
    text: &'a str,
    over: &'a [Over],
}

impl Place<'_> {
    fn origin(&self, at: usize) -> Origin {
        match at.checked_sub(self.text.len() + 1).and_then(|number| self.over.get(number)) {
            Some(over) => over.origin.clone(),
            None => Origin::File { path: self.file.to_owned(), line: line_of(self.text, at) },
        }
    }

    fn error(&self, located: Located) -> ConfigError {
        match located.span.as_ref().map(|span| self.origin(span.start)) {
            Some(Origin::Option(option)) => {
                ConfigError::new(Path::new(&option), None, located.problem)
            }
            Some(Origin::Variable(name)) => {
                ConfigError::new(Path::new(name), None, located.problem)
            }
            _ => located.in_file(self.file, self.text),
        }
    }

    fn settings(&self, config: &Config, table: &DeTable<'_>) -> Vec<Setting> {
        let setting = |key: &'static Key, node: Option<usize>, value| {
            let said = value_at(table, key.name, node);
            let at = said.map(|said| said.span().start);
            // As it is written: what a name stands for is no setting.
            let name_of = said.and_then(|said| said.get_ref().as_str());
            let value = match name_of.filter(|_| key.unit == "address") {
                Some(name) => name.to_owned(),
                None => value,
            };
            let name = match (node, key.name.split_once('.')) {
                (Some(id), Some((section, key))) => format!("{section}[{id}].{key}"),
                _ => key.name.to_owned(),
            };
            let origin = at.map_or(Origin::Default, |at| self.origin(at));
            Setting { name, value, origin, reloads: key.reloads }
        };
        let of_key = |key: &'static Key| {
            let values = (key.values)(config).into_iter();
            values.map(move |(node, value)| setting(key, node, value))
        };
        KEYS.iter().flat_map(of_key).collect()
    }
}

/// The value of a key, where one is written; of a node's, by the node's id.
fn value_at<'a>(
    table: &'a DeTable<'_>,
    name: &str,
    node: Option<usize>,
) -> Option<&'a Spanned<DeValue<'a>>> {
    let Some((section, key)) = name.split_once('.') else {
        return table.get(name);
    };
    let inner = match (table.get(section)?.get_ref(), node) {
        (DeValue::Table(inner), _) => inner,
        // Nodes have ids; other lists are told apart by place, counted from 1.
        (DeValue::Array(list), Some(place)) if section != "node" => {
            list.get(place.checked_sub(1)?)?.get_ref().as_table()?
        }
        (DeValue::Array(nodes), Some(id)) => {
            let mut tables = nodes.iter().filter_map(|node| node.get_ref().as_table());
            let id = id.to_string();
            tables.find(|node| {
                let own = node.get("id").and_then(|it| it.get_ref().as_integer());
                own.is_some_and(|own| own.as_str() == id)
            })?
        }
        _ => return None,
    };
    inner.get(key)
}

fn spelt(key: &Key) -> String {
    format!("SYNOD_{}", key.name.replace('.', "_").to_uppercase())
}

/// A misspelling has two letters wrong at most: more is another program's variable.
fn nearly<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let nearest = nearest(name, known)?;
    (super::error::distance(name, nearest) <= 2).then_some(nearest)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const FILE: &str = r#"cluster = "000102030405060708090a0b0c0d0e0f"
id = 3
data_dir = "data"
network.transport = "plaintext-udp"
[storage]
history_bytes = "1MiB"

[[node]]
id = 3
roles = ["acceptor", "learner"]
disk = "101112131415161718191a1b1c1d1e1f"
peers = "127.0.0.1:7103"
clients = "localhost:7203"

[[node]]
id = 1
roles = ["leader"]
peers = "127.0.0.1:7101"
clients = "127.0.0.1:7201"
"#;

    struct Given {
        directory: tempfile::TempDir,
        layers: Layers,
    }

    impl Given {
        fn new(text: &str) -> Given {
            let directory = tempfile::tempdir().unwrap();
            let file = directory.path().join("synod.toml");
            fs::write(&file, text).unwrap();
            Given { directory, layers: Layers::new(Some(file)) }
        }

        fn variable(&mut self, name: &str, value: &str) -> &mut Given {
            self.layers.variables([(name.to_owned(), value.to_owned())]).unwrap();
            self
        }

        fn set(&mut self, text: &str) -> &mut Given {
            self.layers.set("--set", text).unwrap();
            self
        }

        /// The value of a key, and who said so.
        fn says(&self, name: &str) -> (String, String) {
            let resolved = self.layers.resolve().unwrap();
            let setting = resolved.settings.into_iter().find(|it| it.name == name);
            let setting = setting.unwrap_or_else(|| panic!("{name} is not set"));
            let origin = match setting.origin {
                Origin::Option(option) => option,
                Origin::Variable(name) => name.to_owned(),
                Origin::File { line, .. } => format!("line {line}"),
                Origin::Default => "default".to_owned(),
            };
            (setting.value, origin)
        }

        /// What is wrong, with the file's own name left out.
        fn wrong(&self) -> String {
            let error = self.layers.resolve().unwrap_err().to_string();
            error.replace(&format!("{}/", self.directory.path().display()), "")
        }
    }

    fn pair(value: &str, origin: &str) -> (String, String) {
        (value.to_owned(), origin.to_owned())
    }

    #[test]
    fn options_win_over_variables_over_the_file_over_defaults() {
        let key = "storage.history_bytes";
        let mut given = Given::new(FILE);
        assert_eq!(given.says(key), pair("1MiB", "line 6"));
        given.variable("SYNOD_STORAGE_HISTORY_BYTES", "2MiB");
        assert_eq!(given.says(key), pair("2MiB", "SYNOD_STORAGE_HISTORY_BYTES"));
        given.set("storage.history_bytes=3MiB");
        assert_eq!(given.says(key), pair("3MiB", "--set storage.history_bytes"));
        // Whichever was told first.
        given.variable("SYNOD_STORAGE_HISTORY_BYTES", "4MiB");
        assert_eq!(given.says(key), pair("3MiB", "--set storage.history_bytes"));
        given.set("storage.history_bytes=5MiB");
        assert_eq!(given.says(key), pair("5MiB", "--set storage.history_bytes"));

        let resolved = given.layers.resolve().unwrap();
        assert_eq!(resolved.config.storage.history_bytes, 5 << 20);
        assert_eq!(given.says("storage.snapshot_bytes"), pair("64MiB", "default"));
    }

    #[test]
    fn a_table_that_the_file_has_not_may_be_laid_over_it() {
        let mut given = Given::new(FILE);
        given.variable("SYNOD_TIMING_HEARTBEAT", "7ms").variable("SYNOD_LISTEN", "0.0.0.0");
        assert_eq!(given.says("timing.heartbeat"), pair("7ms", "SYNOD_TIMING_HEARTBEAT"));
        assert_eq!(given.says("timing.election_timeout"), pair("200ms", "default"));
        let config = given.layers.resolve().unwrap().config;
        assert_eq!(config.listens_at(config.own().peers).to_string(), "0.0.0.0:7103");
    }

    #[test]
    fn each_node_is_found_by_its_id() {
        let given = Given::new(FILE);
        assert_eq!(given.says("node[1].peers"), pair("127.0.0.1:7101", "line 18"));
        assert_eq!(given.says("node[3].roles"), pair("acceptor, learner", "line 10"));
        assert_eq!(given.says("node[3].clients"), pair("localhost:7203", "line 13"));
    }

    #[test]
    fn a_relative_directory_begins_where_it_was_said() {
        let mut given = Given::new(FILE);
        let config = given.layers.resolve().unwrap().config;
        assert_eq!(config.data_dir, Some(given.directory.path().join("data")));
        given.layers.option("--data-dir", "data_dir", "here".to_owned());
        let here = std::path::absolute("here").unwrap();
        assert_eq!(given.layers.resolve().unwrap().config.data_dir, Some(here));
    }

    #[test]
    fn each_client_is_found_by_its_place() {
        let client =
            |name: &str| format!("[[client]]\nname = \"{name}\"\npermissions = [\"read\"]\n");
        let tls = "[tls]\nca = \"c\"\ncertificate = \"d\"\nkey = \"k\"\n";
        let text = FILE.replace("plaintext-udp", "tls");
        let given = Given::new(&format!("{text}{tls}{}{}", client("a"), client("b")));
        assert_eq!(given.says("client[2].name"), pair("b", "line 28"));
    }

    #[test]
    fn names_are_looked_up_only_by_who_needs_them() {
        let given = Given::new(&FILE.replace("localhost:7203", "nobody.invalid:7203"));
        assert!(
            given.wrong().starts_with("synod.toml:13: `nobody.invalid:7203` cannot be resolved")
        );
        let resolved = given.layers.resolve_offline().unwrap();
        let clients = resolved.settings.iter().find(|it| it.name == "node[3].clients").unwrap();
        assert_eq!(clients.value, "nobody.invalid:7203");
    }

    #[test]
    fn an_error_names_who_said_it() {
        let mut given = Given::new(&FILE.replace("1MiB", "1KiB"));
        let small = "`history_bytes`: must be between 64KiB and 2GiB";
        assert_eq!(given.wrong(), format!("synod.toml:6: {small}"));
        given.variable("SYNOD_STORAGE_HISTORY_BYTES", "2KiB");
        assert_eq!(given.wrong(), format!("SYNOD_STORAGE_HISTORY_BYTES: {small}"));
        given.set("storage.history_bytes=3KiB");
        assert_eq!(given.wrong(), format!("--set storage.history_bytes: {small}"));
        let mut given = Given::new(FILE);
        assert_eq!(
            given.variable("SYNOD_ID", "3x").wrong(),
            "SYNOD_ID: invalid type: string \"3x\", expected u32"
        );
        given.layers.option("--id", "id", "9".to_owned());
        assert_eq!(given.wrong(), "--id: this file is node 9's, and no [[node]] has that id");
        let file = FILE.replace("[storage]\nhistory_bytes = \"1MiB\"", "storage = 3");
        let mut given = Given::new(&file);
        given.variable("SYNOD_STORAGE_HISTORY_BYTES", "2MiB");
        assert!(given.wrong().starts_with("synod.toml:5: invalid type"), "{}", given.wrong());
    }

    #[test]
    fn what_all_nodes_share_stands_in_the_file() {
        let mut layers = Layers::default();
        let variable = |layers: &mut Layers, name: &str| {
            let told = layers.variables([(name.to_owned(), "1".to_owned())]);
            told.map_err(|error| (error.to_string(), error.hint().unwrap_or_default()))
        };
        let (error, _) = variable(&mut layers, "SYNOD_QUORUMS_PHASE1").unwrap_err();
        assert_eq!(
            error,
            "SYNOD_QUORUMS_PHASE1: `quorums.phase1` must stand in the file: it is the same for \
             all nodes"
        );
        let error = layers.set("--set", "epoch=3").unwrap_err();
        assert!(matches!(error.problem, Problem::FileOnly("epoch")), "{error}");

        // A slip is refused; what only begins like ours is somebody else's.
        let (error, hint) = variable(&mut layers, "SYNOD_DATA_DIRS").unwrap_err();
        assert_eq!(error, "SYNOD_DATA_DIRS: unknown variable `SYNOD_DATA_DIRS`");
        assert_eq!(hint, "did you mean `SYNOD_DATA_DIR`?");
        for name in ["SYNOD_CONFIG", "SYNOD_SERVICE_HOST", "SYNOD_PORT_7101_UDP", "HOME"] {
            variable(&mut layers, name).unwrap();
        }
        let error = layers.set("--set", "timing.heartbeet=1ms").unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `timing.heartbeat`?");
        assert!(layers.set("--set", "timing.heartbeat").is_err());
    }

    #[test]
    fn without_a_name_the_file_of_the_system_is_read() {
        assert_eq!(Layers::new(None).file(), Path::new("/etc/synod/synod.toml"));
        assert_eq!(Layers::new(Some("f".into())).file(), Path::new("f"));
    }
}
