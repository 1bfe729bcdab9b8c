//! Who may ask for what, at a node that wants to know: nobody unknown changes or learns anything,
//! and everybody who was refused is counted.

mod cluster;

use std::time::Duration;

use client::{
    AppendError, CallError, Certificate, Client, Code, Consistency, Credentials, Options, Outcome,
};
use cluster::{PATIENCE, until};
use paxos::{ClusterId, NodeId, Part};
use server::config::{Grant, Permission, Storage, Timing};
use server::local::{Layout, Local, Way};
use server::tls::Authority;
use sha2::{Digest as _, Sha256};
use tokio_stream::StreamExt as _;

const DAY: Duration = Duration::from_secs(86_400);
const NODE: NodeId = NodeId(1);
const TOKEN: &str = "an app's token, which nobody guesses";

/// One node, at which `app` may append by its token, `eyes` read by its certificate, and the
/// operator everything.
async fn start(directory: &tempfile::TempDir) -> Local {
    let timing = Timing {
        heartbeat: Duration::from_millis(50),
        election_timeout: Duration::from_millis(250),
    };
    let layout = Layout { both: 1, ..Layout::default() };
    let (storage, options) =
        (Storage::default(), server::Options { dev: true, ..server::Options::default() });
    let mut local = Local::start_over(Way::Tls, layout, directory.path(), timing, storage, options)
        .expect("a cluster");
    let mut config = local.configs()[&NODE].clone();
    let grant = |name: &str, permission, token: Option<&str>| Grant {
        name: name.to_owned(),
        permissions: [permission].into(),
        token_sha256: token.map(|token| Sha256::digest(token).into()),
    };
    config.clients.push(grant("app", Permission::Append, Some(TOKEN)));
    config.clients.push(grant("eyes", Permission::Read, None));
    local.kill(NODE).await;
    local.configure(config);
    local.restart(NODE).expect("it starts");
    until(&local, NODE, "it leads", |it| it.part == Part::Leading).await;
    local
}

fn client(local: &Local, credentials: Option<Credentials>) -> Client {
    let options = Options::new(local.leader_endpoints());
    Client::new(Options { timeout: PATIENCE, credentials, ..options }).expect("a client")
}

fn operator(local: &Local) -> Client {
    client(local, local.credentials().cloned())
}

/// The operator's authority, and nothing else of the operator's.
fn ca(local: &Local) -> Vec<u8> {
    local.credentials().expect("TLS").ca.clone()
}

fn with_token(local: &Local, token: &str) -> Client {
    let token = Some(token.to_owned());
    client(local, Some(Credentials { ca: ca(local), certificate: None, token }))
}

/// A certificate for `name`, of whichever authority.
fn with_certificate(local: &Local, authority: &Authority, name: &str) -> Client {
    let issued = authority.client(name, DAY).expect("issued");
    let certificate = Certificate {
        certificate: issued.certificate.clone().into_bytes(),
        key: issued.key.as_bytes().to_vec(),
    };
    client(local, Some(Credentials { ca: ca(local), certificate: Some(certificate), token: None }))
}

fn authority(local: &Local, directory: &tempfile::TempDir) -> Authority {
    let key = std::fs::read_to_string(directory.path().join("ca.key")).expect("the key");
    Authority::from_key(ClusterId(local.configs()[&NODE].cluster), &key).expect("an authority")
}

fn counted(local: &Local, name: &str) -> u64 {
    local.running()[&NODE].switches().counters().get(name).copied().unwrap_or_default()
}

fn assert_denied(error: &AppendError) {
    assert!(matches!(error, AppendError::Denied { .. }), "{error}");
    assert_eq!(error.outcome(), Outcome::NotApplied);
}

fn code<T>(answer: Result<T, CallError>) -> Code {
    match answer {
        Err(CallError::Failed { code, .. }) => code,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was answered"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_client_may_what_it_was_granted() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory).await;
    let endpoint = local.leader_endpoints()[0].clone();

    let app = with_token(&local, TOKEN);
    app.append("by a token").await.expect("appended");
    let read = app.read(Consistency::Local, 0, None, 0).await;
    assert_eq!(code(read), Code::PermissionDenied);
    assert_eq!(code(app.status(&endpoint).await), Code::PermissionDenied);

    let eyes = with_certificate(&local, &authority(&local, &directory), "eyes");
    let entries = eyes.read(Consistency::Linearizable, 0, None, 0).await.expect("readable");
    assert_eq!(entries.collect::<Vec<_>>().await.len(), 1);
    eyes.status(&endpoint).await.expect("readable");
    assert_denied(&eyes.append("not this one").await.unwrap_err());
    // Faults on purpose are an operator's, though the node runs with --dev.
    assert_eq!(code(eyes.fail(&endpoint).await), Code::PermissionDenied);

    let operator = operator(&local);
    operator.append("by the operator").await.expect("appended");
    operator.fail(&endpoint).await.expect("allowed");
    operator.recover(&endpoint).await.expect("allowed");
    assert!(counted(&local, "clients_refused_permission") >= 4);
    assert_eq!(local.stop().await, [].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_unknown_changes_or_learns_anything() {
    let directory = tempfile::tempdir().unwrap();
    let local = start(&directory).await;
    let endpoint = local.leader_endpoints()[0].clone();
    let ours = authority(&local, &directory);
    let cluster = ClusterId(local.configs()[&NODE].cluster);

    // Let in by the handshake, and known to nobody: a wrong token, none, a name that is not listed.
    let nobody = Credentials { ca: ca(&local), certificate: None, token: None };
    for stranger in [
        with_token(&local, "a guess"),
        client(&local, Some(nobody)),
        with_certificate(&local, &ours, "not-listed"),
    ] {
        let before = counted(&local, "clients_refused_unknown");
        assert_denied(&stranger.append("x").await.unwrap_err());
        let read = stranger.read(Consistency::Local, 0, None, 0).await;
        assert_eq!(code(read), Code::Unauthenticated);
        assert_eq!(code(stranger.status(&endpoint).await), Code::Unauthenticated);
        assert_eq!(code(stranger.fail(&endpoint).await), Code::Unauthenticated);
        assert!(counted(&local, "clients_refused_unknown") >= before + 4);
    }

    // Not let in: a certificate of another authority, of another cluster, in plain text.
    let forged = Authority::draw(cluster).expect("an authority");
    let hasty = |client: Client| async move {
        let appended = tokio::time::timeout(Duration::from_secs(2), client.append("x")).await;
        assert!(!matches!(appended, Ok(Ok(_))), "it was appended");
    };
    let key = std::fs::read_to_string(directory.path().join("ca.key")).expect("the key");
    let elsewhere = Authority::from_key(ClusterId([9; 16]), &key).expect("an authority");
    for stranger in [
        with_certificate(&local, &forged, "admin"),
        with_certificate(&local, &elsewhere, "admin"),
        cluster::client(local.leader_endpoints()),
    ] {
        let before = counted(&local, "clients_refused_handshake");
        hasty(stranger).await;
        assert!(counted(&local, "clients_refused_handshake") > before);
    }

    // A node's certificate proves a node, not a client.
    let issued = ours.node(NodeId(7), &[], DAY).expect("issued");
    let certificate = Certificate {
        certificate: issued.certificate.clone().into_bytes(),
        key: issued.key.as_bytes().to_vec(),
    };
    let node = Credentials { ca: ca(&local), certificate: Some(certificate), token: None };
    hasty(client(&local, Some(node))).await;
    assert!(counted(&local, "clients_refused_certificate") > 0);

    let operator = operator(&local);
    let entries = operator.read(Consistency::Linearizable, 0, None, 0).await.expect("readable");
    assert_eq!(entries.collect::<Vec<_>>().await.len(), 0, "nothing was changed");
    assert_eq!(local.stop().await, [].into());
}
