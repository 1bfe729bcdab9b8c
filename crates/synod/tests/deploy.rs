//! What `deploy/` ships says only what the program understands: commands, options, variables, keys
//! and ports. Tools of others look too, where they are installed: systemd-analyze, helm, bash.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod deploy {
    pub mod program;
    pub mod yaml;
}

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use deploy::program::{Program, text_of};
use deploy::yaml::{documents, words};
use serde_json::Value;

/// Read by whoever builds an image or a file of Compose, not by the program.
const VARIABLES_OF_OTHERS: [&str; 2] = ["SYNOD_IMAGE", "SYNOD_COMMIT"];

/// `systemd-analyze security` says 0 for the tightest unit and 10 for none; below 2 is "OK".
const EXPOSURE_MAX: f64 = 1.5;

fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy")
}

fn read(file: &str) -> String {
    let path = deploy().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file below `deploy/`.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files(&path, found) } else { found.push(path) }
    }
}

/// What a tool says, if it is installed.
fn tool(name: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let output = Command::new(name).args(arguments).output().ok()?;
    let said = [output.stdout, output.stderr].concat();
    Some((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn every_variable_is_one_that_the_program_reads() {
    let known = Program::new().variables();
    let mut paths = Vec::new();
    files(&deploy(), &mut paths);
    let mut seen = BTreeSet::new();
    for path in paths {
        let text = std::fs::read_to_string(&path).unwrap();
        let is_word = |letter: char| letter.is_ascii_uppercase() || letter == '_' || letter == '*';
        for word in text.split(|letter| !is_word(letter)) {
            // `SYNOD_*` speaks of all of them.
            if !word.starts_with("SYNOD_") || word.contains('*') {
                continue;
            }
            let is_known = known.contains(word) || VARIABLES_OF_OTHERS.contains(&word);
            assert!(is_known, "{}: nobody reads {word}", path.display());
            seen.insert(word.to_owned());
        }
    }
    assert!(seen.contains("SYNOD_CONFIG") && seen.contains("SYNOD_DATA_DIR"), "{seen:?}");
}

#[test]
fn the_unit_runs_commands_that_exist_and_hides_the_rest_of_the_machine() {
    let unit = read("systemd/synod.service");
    let program = Program::new();
    assert_eq!(program.prints(&["init", "systemd"]), unit, "one source");
    let mut commands = 0;
    for line in unit.lines() {
        let Some(("ExecStart" | "ExecReload", command)) = line.split_once('=') else { continue };
        if let Some(words) = command.strip_prefix("/usr/bin/synod ") {
            program.understands(&words.split(' ').collect::<Vec<_>>());
            commands += 1;
        }
    }
    assert_eq!(commands, 2, "{unit}");

    // systemd wants the programs that a unit names to be there.
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("synod.service");
    std::fs::write(&path, unit.replace("/usr/bin/synod", env!("CARGO_BIN_EXE_synod"))).unwrap();
    let path = path.to_str().unwrap();
    let Some((is_right, said)) = tool("systemd-analyze", &["verify", "--man=no", path]) else {
        return;
    };
    assert!(is_right && said.trim().is_empty(), "{said}");
    let security = ["security", "--offline=yes", "--no-pager", path];
    let (_, said) = tool("systemd-analyze", &security).expect("it was there a moment ago");
    let last = said.lines().find(|line| line.contains("Overall exposure")).expect("a verdict");
    let exposure = last.split_whitespace().find_map(|word| word.parse::<f64>().ok());
    println!("{last}");
    assert!(exposure.is_some_and(|exposure| exposure <= EXPOSURE_MAX), "{last}");
}

#[test]
fn the_file_for_compose_makes_the_nodes_that_it_runs() {
    let program = Program::new();
    // As it is printed: with the files that stand beside it in the repository.
    let [file] = &documents(&program.prints(&["init", "compose"]))[..] else { panic!("one") };
    let services = file["services"].as_object().expect("services");
    let is_ours = |service: &&Value| service["image"] == services["init"]["image"];
    for service in services.values().filter(is_ours) {
        program.understands(&words(&service["command"]));
        if let Some(test) = service.get("healthcheck").map(|it| words(&it["test"])) {
            assert_eq!(test[..2], ["CMD", "/usr/bin/synod"]);
            program.understands(&test[2..]);
        }
    }
    let configs = file["configs"].as_object().expect("configs");
    for service in services.values() {
        for config in service.get("configs").and_then(Value::as_array).into_iter().flatten() {
            assert!(configs.contains_key(text_of(&config["source"])), "{config}");
        }
    }
    let inner = |name: &str| documents(text_of(&configs[name]["content"])).remove(0);
    let targets = inner("prometheus")["scrape_configs"][0]["static_configs"][0]["targets"].clone();
    let alerts = inner("alerts")["groups"].clone();
    assert!(alerts.as_array().is_some_and(|groups| !groups.is_empty()), "{alerts}");

    // What `init` would make is what the others start from.
    let root = tempfile::tempdir().unwrap();
    let here = root.path().join("cluster");
    let here = here.to_str().unwrap();
    let init: Vec<String> = words(&services["init"]["command"])
        .iter()
        .map(|word| word.replace("/data/cluster", here))
        .collect();
    let init: Vec<&str> = init.iter().map(String::as_str).collect();
    for _ in 0..2 {
        program.prints(&init);
    }
    let is_node = |(_, it): &(&String, &Value)| it["environment"]["SYNOD_CONFIG"].is_string();
    let nodes: Vec<(&String, &Value)> = services.iter().filter(is_node).collect();
    assert_eq!(nodes.len(), 3);
    for (name, node) in nodes {
        let admin = text_of(&node["environment"]["SYNOD_ADMIN_ADDRESS"]);
        let (_, port) = admin.rsplit_once(':').expect("a port");
        assert!(words(&targets).contains(&&*format!("{name}:{port}")), "{targets}");
        let config = text_of(&node["environment"]["SYNOD_CONFIG"]);
        let config = config.replace("/data/cluster", here);
        let settings = program.settings(&["--config", &config], &[]);
        let own = format!("node[{}]", settings["id"]);
        let ip = text_of(&node["networks"]["synod"]["ipv4_address"]);
        let (_, clients) = settings[&format!("{own}.clients")].rsplit_once(':').unwrap();
        assert_eq!(settings[&format!("{own}.clients")], format!("{ip}:{clients}"));
        assert_eq!(settings[&format!("{own}.peers")], format!("{ip}:7101"));
        let [port] = &words(&node["ports"])[..] else { panic!("one port") };
        assert!(port.starts_with("127.0.0.1:") && port.ends_with(&format!(":{clients}")), "{port}");
        let subnet = text_of(&file["networks"]["synod"]["ipam"]["config"][0]["subnet"]);
        assert!(ip.starts_with(subnet.strip_suffix("0/24").expect("of 256")), "{ip}");
    }
}

#[test]
fn the_image_runs_as_nobody_in_particular_and_asks_after_itself() {
    let file = read("Dockerfile").replace("\\\n", " ");
    let program = Program::new();
    let instruction = |name: &str| -> Vec<String> {
        let lines = file.lines().filter_map(|line| line.trim().strip_prefix(name));
        lines.map(|rest| rest.trim().to_owned()).collect()
    };
    let listed = |text: &str| -> Vec<String> {
        let at = text.find('[').expect("the form without a shell: there is none");
        serde_json::from_str(&text[at..]).expect("a JSON list")
    };
    let [entry] = &instruction("ENTRYPOINT ")[..] else { panic!("one entry") };
    assert_eq!(listed(entry), ["/usr/bin/synod"]);
    let command = instruction("CMD ").into_iter().find(|text| text.starts_with("[\"serve"));
    let command = listed(&command.expect("a command"));
    program.understands(&command.iter().map(String::as_str).collect::<Vec<_>>());
    let [health] = &instruction("HEALTHCHECK ")[..] else { panic!("one check") };
    let health = listed(health);
    assert_eq!(health[0], entry.trim_matches(['[', ']', '"']));
    program.understands(&health[1..].iter().map(String::as_str).collect::<Vec<_>>());
    let [user] = &instruction("USER ")[..] else { panic!("one user") };
    assert!(user.split(':').all(|id| id.parse::<u32>().is_ok_and(|id| id > 0)), "{user}");
    let copied = "--from=build /root-of-image /";
    assert!(file.contains(copied) && file.contains("-o 65532 -g 65532 /root-of-image/data"));

    // Nothing of the workspace is left outside, or cargo refuses it.
    let ignored = read("Dockerfile.dockerignore");
    for part in ["crates", "fuzz/Cargo.toml", "fuzz/src", "xtask", "Cargo.toml", "Cargo.lock"] {
        assert!(ignored.lines().any(|line| line.strip_prefix('!') == Some(part)), "{part}");
        assert!(deploy().join("..").join(part).exists(), "{part}");
    }
}

#[test]
fn the_chart_says_only_what_the_program_understands() {
    let program = Program::new();
    let statefulset = read("helm/synod/templates/statefulset.yaml");
    let journals = read("helm/synod/templates/journals.yaml");
    let mut commands = 0;
    for line in statefulset.lines().chain(journals.lines()) {
        let line = line.trim();
        let list = line.strip_prefix("args: ").or_else(|| line.strip_prefix("command: "));
        let Some(list) = list else { continue };
        let [list] = &documents(list)[..] else { panic!("{list}") };
        let words = words(list);
        let words = words.strip_prefix(&["/usr/bin/synod"][..]).unwrap_or(&words);
        program.understands(words);
        commands += 1;
    }
    assert_eq!(commands, 2, "a node, and its journal");
    let admin = include_str!("../../server/src/admin.rs");
    for line in statefulset.lines().filter(|line| line.contains("httpGet:")) {
        let path = line.split(['{', ' ', ',', '}']).find(|word| word.starts_with('/'));
        let path = path.expect("a path");
        assert!(admin.contains(&format!("\"{path}\"")), "nobody answers {path}");
    }
    assert_eq!(statefulset.matches("httpGet:").count(), 2, "started, and ready");
    // Else the members that are left would be restarted when a quorum is lost.
    assert!(!statefulset.contains("livenessProbe"));
    assert!(read("helm/synod/templates/services.yaml").contains("publishNotReadyAddresses: true"));
    assert!(read("helm/synod/templates/disruption.yaml").contains("maxUnavailable: 1"));

    let [values] = &documents(&read("helm/synod/values.yaml"))[..] else { panic!("one document") };
    let known = program.variables();
    for name in values["env"].as_object().expect("variables").keys() {
        assert!(known.contains(name), "{name}");
    }
    let node = "[[node]]\nid = 1\nroles = [\"leader\", \"acceptor\"]\n\
                peers = \"s-1.here:7101\"\nclients = \"s-1.here:7201\"\ndisk = \"ID\"\n";
    let file = format!(
        "cluster = \"ID\"\nid = 1\n{}\n[network]\ntransport = \"plaintext-tcp\"\n{node}",
        text_of(&values["config"])
    );
    program.accepts(&file.replace("ID", &"0a".repeat(16)), "1");
}

#[test]
fn helm_renders_nodes_that_find_each_other() {
    let chart = deploy().join("helm/synod");
    let chart = chart.to_str().unwrap();
    let program = Program::new();
    for replicas in [3, 5] {
        let id = format!("clusterId={}", "0a".repeat(16));
        let count = format!("replicas={replicas}");
        let arguments = [
            &["template", "r", chart, "--kube-version", "1.31", "--set", "tlsSecret=certificates"],
            &["--set", &id, "--set", &count][..],
        ]
        .concat();
        let Some((is_right, said)) = tool("helm", &arguments) else { return };
        assert!(is_right, "{said}");
        let documents = documents(&said);
        let named = |kind: &str, name: &str| -> &Value {
            let mut found = documents.iter().filter(|it| it["kind"] == kind);
            let found = found.find(|it| it["metadata"]["name"] == name);
            found.unwrap_or_else(|| panic!("no {kind} {name}"))
        };
        assert_eq!(named("PodDisruptionBudget", "r")["spec"]["maxUnavailable"], 1);
        let file = text_of(&named("ConfigMap", "r")["data"]["synod.toml"]);
        assert_eq!(file, text_of(&named("ConfigMap", "r-journals")["data"]["synod.toml"]));
        for node in 1..=replicas {
            let settings = program.accepts(file, &node.to_string());
            let name = format!("r-{node}");
            assert_eq!(
                settings[&format!("node[{node}].peers")],
                format!("{name}.default.svc.cluster.local:7101")
            );
            let pod = &named("Service", &name)["spec"]["selector"];
            assert_eq!(pod["statefulset.kubernetes.io/pod-name"], name.as_str());
            let claim = format!("data-{name}");
            named("PersistentVolumeClaim", &claim);
            let job = &named("Job", &format!("r-journal-{node}"))["spec"]["template"]["spec"];
            assert_eq!(job["volumes"][1]["persistentVolumeClaim"]["claimName"], claim.as_str());
            assert_eq!(job["containers"][0]["env"][0]["value"], node.to_string().as_str());
        }
        let set = &named("StatefulSet", "r")["spec"];
        assert_eq!((&set["replicas"], &set["ordinals"]["start"]), (&replicas.into(), &1.into()));
    }
    let (is_right, said) = tool("helm", &["template", "r", chart, "--kube-version", "1.31"])
        .expect("it was there a moment ago");
    assert!(!is_right && said.contains("clusterId"), "an identity is drawn, never assumed: {said}");
}

#[test]
fn the_example_of_the_package_is_accepted_once_its_identities_are_drawn() {
    let program = Program::new();
    let settings = program.accepts(&read("debian/synod.toml"), "2");
    assert_eq!(settings["node[2].clients"], "192.0.2.2:7201");
}

#[test]
fn the_package_ships_files_that_exist() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = std::fs::read_to_string(home.join("Cargo.toml")).unwrap();
    let manifest: toml::Table = manifest.parse().unwrap();
    let package = &manifest["package"]["metadata"]["deb"];
    let made = std::fs::read_to_string(home.join("../../xtask/src/deb.rs")).unwrap();
    let mut places = BTreeSet::new();
    for asset in package["assets"].as_array().expect("assets") {
        let [source, place] = [0, 1].map(|at| asset[at].as_str().expect("a path"));
        places.insert(format!("/{place}"));
        match source.strip_prefix("../../target/package/") {
            // Written by the program, where `cargo xtask deb` asks it to.
            Some("man/*.1") => assert!(made.contains("join(\"man\")"), "{source}"),
            Some(script) => assert!(made.contains(&format!("\"{script}\"")), "{source}"),
            None if source.starts_with("target/") => {}
            None => assert!(home.join(source).is_file(), "{source}"),
        }
    }
    for file in package["conf-files"].as_array().expect("files") {
        assert!(places.contains(file.as_str().expect("a path")), "{file} is not shipped");
    }
    let unit = package["systemd-units"]["unit-scripts"].as_str().expect("a path");
    assert!(home.join(unit).join("synod.service").is_file());
    let scripts = home.join(package["maintainer-scripts"].as_str().expect("a path"));
    for name in ["postinst", "prerm", "postrm"] {
        let script = scripts.join(name);
        let text = std::fs::read_to_string(&script).unwrap();
        assert!(text.contains("#DEBHELPER#"), "the unit is enabled there: {name}");
        let (is_right, said) = tool("sh", &["-n", script.to_str().unwrap()]).expect("a shell");
        assert!(is_right, "{name}: {said}");
    }
}

#[test]
fn every_shell_gets_a_script_that_it_can_read() {
    let program = Program::new();
    for (shell, part) in [
        ("bash", "complete -F _synod"),
        ("zsh", "#compdef synod"),
        ("fish", "complete -c synod"),
        ("powershell", "Register-ArgumentCompleter"),
        ("elvish", "set edit:completion:arg-completer[synod]"),
    ] {
        let script = program.prints(&["completions", shell]);
        assert!(script.contains(part), "{shell}");
        for word in ["transfer-leader", "replacement", "explain"] {
            // Only what exists is offered, and all of it.
            assert_eq!(script.contains(word), program.help().contains(word), "{shell}: {word}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &script).unwrap();
        let checked = match shell {
            "bash" | "zsh" | "fish" => tool(shell, &["-n", file.path().to_str().unwrap()]),
            _ => None,
        };
        if let Some((is_right, said)) = checked {
            assert!(is_right, "{shell}: {said}");
        }
    }
}
