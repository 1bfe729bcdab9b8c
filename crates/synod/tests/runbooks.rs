//! The runbooks of `docs/operating.md`, performed as they are written: what stands after a `$` in a
//! block that is marked `console` is typed into a shell, and what stands below it must be what is
//! printed, but for numbers and ids.
//!
//! What happens to an operator rather than by one (a node is started or dies, a disk is lost or
//! rots) stands in comments of the page, `<!-- test: ... -->`. A command that is to fail ends with
//! `# exit N`.

#[path = "cluster/ports.rs"]
mod ports;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use ports::free_ports;
use server::inspect::Directory;

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(60);

/// One at a time: they draw ports from one range.
static TURN: Mutex<()> = Mutex::new(());

/// A directory with a cluster in it, and the processes that run.
struct Stage {
    root: tempfile::TempDir,
    running: BTreeMap<String, Child>,
    /// Who asks.
    credentials: String,
    /// Runs nodes where a small disk is mounted, or none.
    apart: BTreeMap<String, Vec<String>>,
}

/// One step of a runbook.
#[derive(Debug, PartialEq)]
enum Step {
    Hook(String),
    Type { command: String, exit: i32, printed: Vec<String> },
}

/// The steps of a section of the page.
fn steps(page: &str, section: &str) -> Vec<Step> {
    let start = page.find(&format!("\n## {section}\n")).unwrap_or_else(|| panic!("{section}"));
    let text = &page[start + 1..];
    let text = &text[..text[3..].find("\n## ").map_or(text.len(), |end| end + 3)];
    let mut steps = Vec::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(hook) = line.strip_prefix("<!-- test: ") {
            steps.push(Step::Hook(hook.trim_end_matches(" -->").to_owned()));
        } else if line == "```console" {
            let block = lines.by_ref().take_while(|line| *line != "```");
            let mut is_continued = false;
            for line in block {
                if let Some(Step::Type { command, .. }) = steps.last_mut()
                    && is_continued
                {
                    command.push('\n');
                    command.push_str(line);
                } else if let Some(command) = line.strip_prefix("$ ") {
                    let (command, printed) = (command.to_owned(), Vec::new());
                    steps.push(Step::Type { command, exit: 0, printed });
                } else if let Some(Step::Type { printed, .. }) = steps.last_mut() {
                    printed.push(line.to_owned());
                }
                is_continued = line.ends_with('\\');
            }
        }
    }
    for step in &mut steps {
        if let Step::Type { command, exit, .. } = step
            && let Some((_, code)) = command.rsplit_once("# exit ")
        {
            *exit = code.trim().parse().expect("an exit code");
        }
    }
    steps
}

/// A line without what differs from run to run: numbers, ids, and how wide columns are. How many
/// values there are does not differ.
fn plain(line: &str) -> String {
    let mut words = Vec::new();
    if line.starts_with("values ") || line.chars().all(|letter| letter.is_ascii_digit()) {
        return line.split_whitespace().collect::<Vec<_>>().join(" ");
    }
    for word in line.split_whitespace() {
        let is_digit = |letter: char| letter.is_ascii_digit() || letter == ',' || letter == '·';
        let is_id =
            |part: &str| part.len() >= 16 && part.chars().all(|letter| letter.is_ascii_hexdigit());
        let parts = word.split_inclusive(['/', '.', '=', '(', ')', ':', ';']);
        let each = parts.map(|part| {
            let (body, tail) =
                part.split_at(part.trim_end_matches(|it: char| !it.is_alphanumeric()).len());
            if is_id(body) {
                return format!("ID{tail}");
            }
            let mut out = String::new();
            for letter in part.chars() {
                if !is_digit(letter) {
                    out.push(letter);
                } else if !out.ends_with('#') {
                    out.push('#');
                }
            }
            out
        });
        words.push(each.collect::<String>());
    }
    words.join(" ")
}

impl Stage {
    fn new() -> Stage {
        let root = tempfile::tempdir().expect("a directory");
        let credentials = "cluster/admin".to_owned();
        let (running, apart) = (BTreeMap::new(), BTreeMap::new());
        let stage = Stage { root, running, credentials, apart };
        let port = free_ports();
        let made =
            stage.shell(&format!("synod init cluster --nodes 3 --dir cluster --base-port {port}"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        stage
    }

    fn shell(&self, command: &str) -> Output {
        let binary = Path::new(env!("CARGO_BIN_EXE_synod"));
        let beside = binary.parent().expect("a directory").display();
        let path = format!("{beside}:{}", std::env::var("PATH").unwrap_or_default());
        let mut shell = Command::new("sh");
        shell.args(["-c", command]).current_dir(self.root.path()).env("PATH", path);
        if self.root.path().join(&self.credentials).exists() {
            shell.env("SYNOD_CREDENTIALS", &self.credentials);
        }
        for name in ["SYNOD_ENDPOINTS", "SYNOD_CONFIG", "SYNOD_LOG", "RUST_LOG", "CLICOLOR_FORCE"] {
            shell.env_remove(name);
        }
        shell.env("LANG", "C.UTF-8").stdin(Stdio::null()).output().expect("a shell")
    }

    fn perform(&mut self, section: &str) {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/operating.md");
        let page = fs::read_to_string(page).expect("the page");
        let steps = steps(&page, section);
        assert!(steps.iter().any(|step| matches!(step, Step::Type { .. })), "{section}");
        for step in steps {
            match step {
                Step::Hook(hook) => self.hook(&hook),
                Step::Type { command, exit, printed } => self.type_in(&command, exit, &printed),
            }
        }
    }

    fn type_in(&mut self, command: &str, exit: i32, printed: &[String]) {
        if let Some(credentials) = command.strip_prefix("export SYNOD_CREDENTIALS=") {
            credentials.clone_into(&mut self.credentials);
            return;
        }
        let mut words = command.to_owned();
        // Ports that are free where this runs.
        if let Some((before, after)) = command.split_once("--base-port 9100") {
            words = format!("{before}--base-port {}{after}", free_ports());
        }
        let output = self.shell(&words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let all = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "$ {command}\n{all}");
        let seen: Vec<String> = all.lines().map(plain).collect();
        for line in printed {
            let is_seen = line == "..." || seen.contains(&plain(line));
            assert!(
                is_seen,
                "$ {command}\nthe page says: {line}\nthat is:       {}\n{all}",
                plain(line)
            );
        }
    }

    fn hook(&mut self, hook: &str) {
        let words: Vec<&str> = hook.split(' ').collect();
        let path = |name: &str| self.root.path().join(name);
        match words[..] {
            ["serve", ref nodes @ ..] => nodes.iter().for_each(|node| self.serve(node)),
            ["kill", ref nodes @ ..] => nodes.iter().for_each(|node| self.kill(node)),
            ["lose", directory] => fs::remove_dir_all(path(directory)).expect("lost"),
            ["rot", directory] => rot(&path(directory)),
            ["append", count, bytes, config] => {
                let lines = format!(
                    "seq -f '%0{bytes}.0f' {count} | synod log append --file - --timeout 30s \
                     --config {config} -q"
                );
                let appended = self.shell(&lines);
                let why = String::from_utf8_lossy(&appended.stderr);
                assert!(appended.status.success(), "{hook}: {why}");
            }
            ["small-disk", node] => {
                let script = format!(
                    "mkdir -p {0} && cp -a {0} {0}.small && mount -t tmpfs -o size=12m tmpfs {0} \
                    && \
                     cp -a {0}.small/. {0} && exec \"$@\"",
                    path(node).join("data").display()
                );
                let words = ["unshare", "-m", "sh", "-c", &script, "sh"].map(str::to_owned);
                self.apart.insert(node.to_owned(), words.to_vec());
            }
            ["grow", node] => {
                let pid = self.running[node].id();
                let data = path(node).join("data");
                let grown = self.shell(&format!(
                    "nsenter -t {pid} -m mount -o remount,size=500m {}",
                    data.display()
                ));
                assert!(grown.status.success(), "{}", String::from_utf8_lossy(&grown.stderr));
            }
            ["until", ..] => self.until(hook.trim_start_matches("until ")),
            _ => panic!("no such hook: {hook}"),
        }
    }

    fn serve(&mut self, node: &str) {
        let file = self.root.path().join(node).join("synod.toml");
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.root.path().join("nodes.log"))
            .expect("a log");
        let own = [env!("CARGO_BIN_EXE_synod"), "serve", "--config"].map(str::to_owned);
        let mut words = self.apart.get(node).cloned().unwrap_or_default();
        words.extend(own);
        let child = Command::new(&words[0])
            .args(&words[1..])
            .arg(file)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("synod runs");
        self.running.insert(node.to_owned(), child);
    }

    fn kill(&mut self, node: &str) {
        let mut child = self.running.remove(node).expect("it runs");
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    /// Waits until a command succeeds, or prints what is behind an arrow.
    fn until(&self, words: &str) {
        let (command, wanted) = words.split_once(" -> ").unwrap_or((words, ""));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let output = self.shell(command);
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            let is_so =
                if wanted.is_empty() { output.status.success() } else { printed.contains(wanted) };
            if is_so {
                return;
            }
            let log = fs::read_to_string(self.root.path().join("nodes.log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "never: {words}\n{printed}\n{log}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        for child in self.running.values_mut() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Changes a byte in each frame of the second half of a journal. Their headers still say that they
/// were there, and nothing that follows says what they promised.
fn rot(directory: &Path) {
    let mut places = Vec::new();
    let mut open = Directory::open(directory).expect("a data directory");
    open.journal(|line| places.push(line.at)).expect("sound");
    drop(open);
    for at in &places[places.len() / 2..] {
        let path = directory.join(format!("{:016x}.segment", at.segment.0));
        let mut bytes = fs::read(&path).expect("a segment");
        // Behind the frame's header.
        bytes[at.offset + 28] ^= 1;
        fs::write(path, bytes).expect("written");
    }
}

fn perform(section: &str) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Stage::new().perform(section);
}

#[test]
fn a_backup_is_made_checked_and_tried() {
    perform("Back up");
}

#[test]
fn a_quorum_that_is_lost_for_good_is_left_behind() {
    perform("A quorum is lost for good");
}

#[test]
fn a_damaged_journal_is_looked_into_and_replaced() {
    perform("A journal is damaged");
}

#[test]
fn a_whole_cluster_moves() {
    perform("Move a whole cluster elsewhere");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_given_room() {
    let mount = "t=$(mktemp -d) && mount -t tmpfs tmpfs $t && umount $t && rmdir $t";
    let may_mount = Command::new("unshare").args(["-m", "sh", "-c", mount]).output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        eprintln!("not performed: a small disk needs the right to mount one");
        return;
    }
    perform("A disk is full");
}

#[test]
fn a_page_is_taken_at_its_word() {
    let page = "\n## Here\n<!-- test: serve a b -->\n```console\n$ one \\\n  two\nsaid 12\n\
                $ three  # exit 7\n```\n```\n$ not this\n```\n## There\n```console\n$ nor \
                this\n```\n";
    let typed = |command: &str, exit, printed: &[&str]| Step::Type {
        command: command.into(),
        exit,
        printed: printed.iter().map(|line| (*line).to_owned()).collect(),
    };
    assert_eq!(
        steps(page, "Here"),
        [
            Step::Hook("serve a b".into()),
            typed("one \\\n  two", 0, &["said 12"]),
            typed("three  # exit 7", 7, &[]),
        ]
    );
    assert_eq!(plain("slot 1,234  of  7·1"), plain("slot 9 of 12·3"));
    assert_eq!(
        plain("id 8aeb665ce734d971a5cef2563a38f463."),
        plain("id 00000000000000000000000000000000.")
    );
    assert_ne!(plain("it has lost 3 frames"), plain("it has 3 frames"));
    assert_ne!(plain("values  300"), plain("values  299"));
    assert_ne!(plain("300"), plain("299"));
}
