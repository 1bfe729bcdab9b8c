//! Certificates through the real binary: what is written, who may read it, and how it is renewed
//! while real nodes run.

mod cluster;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use cluster::{Cluster, Layout, PATIENCE};
use paxos::ClusterId;
use server::config::{Config, Transport};
use server::tls::{Files, Tls, TlsError};

const THREE: Layout =
    Layout { options: &["--nodes", "3"], leaders: &["n1", "n2", "n3"], others: &[] };

fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_synod"))
}

fn synod(arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    for name in ["SYNOD_ENDPOINTS", "SYNOD_CONFIG", "SYNOD_LOG", "RUST_LOG", "CLICOLOR_FORCE"] {
        command.env_remove(name);
    }
    command.args(arguments).output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("text")
}

fn done(arguments: &[&str]) -> String {
    let output = synod(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned() + text(&output.stderr)
}

fn words(path: &Path) -> &str {
    path.to_str().expect("text")
}

/// A cluster of two nodes that was never started.
fn made(root: &Path) -> (PathBuf, [PathBuf; 2]) {
    let dir = root.join("cluster");
    done(&["init", "cluster", "--nodes", "2", "--dir", words(&dir), "--days", "30"]);
    let file = |name: &str| dir.join(name).join("synod.toml");
    (dir.clone(), [file("n1"), file("n2")])
}

fn open(file: &Path) -> Result<Tls, TlsError> {
    let config = Config::load(file).expect("a configuration");
    let Transport::Tls(files) = config.transport.clone() else { panic!("TLS") };
    Tls::open(config.id, ClusterId(config.cluster), files)
}

fn certificate(authority: &Path, config: &Path) -> String {
    let (authority, config) = (words(authority), words(config));
    done(&["init", "certificate", "--authority", authority, "--config", config])
}

#[test]
fn a_cluster_is_made_with_certificates_that_count() {
    let root = tempfile::tempdir().unwrap();
    let (dir, files) = made(root.path());
    for file in &files {
        let end = Duration::from_secs(open(file).unwrap().material().expires());
        let left = end.saturating_sub(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap());
        assert_eq!(left.as_secs() / 86_400, 29, "--days");
    }
    let secret = ["authority/ca.key", "admin/client.key", "n1/node.key", "n2/node.key"];
    let open = ["authority/ca.crt", "admin/client.crt", "admin/ca.crt", "n1/node.crt", "n1/ca.crt"];
    for name in secret.iter().chain(&open) {
        assert!(dir.join(name).is_file(), "{name}");
    }
    #[cfg(unix)]
    for name in secret {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(dir.join(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
    }
}

#[test]
fn without_protection_is_an_explicit_word() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("plain");
    done(&["init", "cluster", "--nodes", "1", "--plaintext", "--dir", words(&dir)]);
    let names: Vec<_> =
        std::fs::read_dir(&dir).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names, ["n1"], "no certificates");
    let file = dir.join("n1/synod.toml");
    assert_eq!(Config::load(&file).unwrap().transport, Transport::PlaintextUdp);

    let said = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, said.replace("transport = \"plaintext-udp\"\n", "")).unwrap();
    let refused = synod(&["serve", "--config", words(&file)]);
    assert_eq!(refused.status.code(), Some(2));
    let error = text(&refused.stderr);
    assert!(error.contains("`transport` is missing in [network]"), "{error}");
    assert!(error.contains("hint: write `transport = \"tls\"`"), "{error}");
}

#[test]
fn a_key_that_others_read_starts_nothing() {
    let root = tempfile::tempdir().unwrap();
    let (dir, files) = made(root.path());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let key = dir.join("n1/node.key");
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    }
    #[cfg(not(unix))]
    std::fs::remove_file(dir.join("n1/node.key")).unwrap();
    let refused = synod(&["serve", "--config", words(&files[0])]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(text(&refused.stderr).contains("hint: "), "{}", text(&refused.stderr));
}

#[test]
fn an_authority_is_replaced_step_by_step() {
    let root = tempfile::tempdir().unwrap();
    let (dir, files) = made(root.path());
    let second = root.path().join("authority-2");
    let config = words(&files[0]);
    let next = done(&["init", "authority", "--config", config, "--dir", words(&second)]);
    assert!(next.contains("synod init certificate --authority"), "{next}");
    let taken = synod(&["init", "authority", "--config", config, "--dir", words(&second)]);
    assert_eq!(taken.status.code(), Some(1), "{}", text(&taken.stderr));

    let ca = |file: &Path| file.with_file_name("ca.crt");
    let new = std::fs::read_to_string(second.join("ca.crt")).unwrap();
    for file in &files {
        let both = std::fs::read_to_string(ca(file)).unwrap() + &new;
        std::fs::write(ca(file), both).unwrap();
        open(file).unwrap();
    }
    let before = std::fs::read(dir.join("n1/node.crt")).unwrap();
    for file in &files {
        certificate(&second, file);
        open(file).unwrap();
    }
    assert_ne!(std::fs::read(dir.join("n1/node.crt")).unwrap(), before);
    for file in &files {
        std::fs::write(ca(file), &new).unwrap();
        open(file).unwrap();
    }
    certificate(&dir.join("authority"), &files[0]);
    let error = open(&files[0]).unwrap_err().to_string();
    assert!(error.ends_with("none of the authorities in `ca` has issued it"), "{error}");
}

#[test]
fn a_client_and_a_plaintext_cluster_get_certificates_too() {
    let root = tempfile::tempdir().unwrap();
    let (dir, files) = made(root.path());
    let authority = dir.join("authority");
    let ci = root.path().join("ci");
    let arguments = ["init", "certificate", "--authority", words(&authority), "--config"];
    let of = |name: &'static str| {
        let client = ["--client", name, "--dir", words(&ci)];
        synod(&[&arguments[..], &[words(&files[0])], &client].concat())
    };
    assert_eq!(of("ci").status.code(), Some(0));
    assert!(ci.join("client.key").is_file() && ci.join("ca.crt").is_file());
    let wrong = of("Not.A.Label");
    assert_eq!(wrong.status.code(), Some(2), "{}", text(&wrong.stderr));

    let plain = root.path().join("plain");
    done(&["init", "cluster", "--nodes", "1", "--plaintext", "--dir", words(&plain)]);
    let file = plain.join("n1/synod.toml");
    let second = root.path().join("authority");
    done(&["init", "authority", "--config", words(&file), "--dir", words(&second)]);
    let printed = certificate(&second, &file);
    let (_, lines) = printed.split_once("  [network]\n").expect("what to add");
    let said = std::fs::read_to_string(&file).unwrap();
    let lines = format!("[network]\n{lines}");
    let written = said.replace("[network]\ntransport = \"plaintext-udp\"\n", &lines);
    std::fs::write(&file, written).unwrap();
    open(&file).unwrap();
    // And they are where the lines say.
    let Transport::Tls(Files { key, .. }) = Config::load(&file).unwrap().transport else {
        panic!("TLS")
    };
    assert!(key.is_file());
}

#[tokio::test]
async fn running_nodes_take_what_was_issued() {
    let root = tempfile::tempdir().unwrap();
    let mut cluster = Cluster::start(binary(), root.path(), THREE);
    let client = cluster.client(&[0, 1, 2]);
    client.append("before").await.expect("appended");
    let authority = root.path().join("cluster/authority");
    for node in ["n1", "n2", "n3"] {
        certificate(&authority, &cluster.file(node));
    }
    for node in 0..3 {
        let endpoint = cluster.endpoint(node);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let status = client.status(&endpoint).await.expect("it runs");
            if status.counters.get("tls_renewed").is_some_and(|count| *count > 0) {
                break;
            }
            assert!(Instant::now() < deadline, "{:?}", status.counters);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        client.append("while").await.expect("appended");
    }
    // Handshakes are made with it, too: who comes back shows the new one, and sees new ones.
    let primary = cluster.primary().await;
    let name = THREE.leaders[primary];
    cluster.kill(name);
    client.append("without the primary").await.expect("appended");
    cluster.serve(name);
    let endpoint = cluster.endpoint(primary);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let status = client.status(&endpoint).await;
        let counted = |name| status.as_ref().ok()?.counters.get(name).copied();
        let both = ["network_accepted", "network_dialled"];
        if both.into_iter().all(|name| counted(name).is_some_and(|count| count >= 2)) {
            break;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
