//! A cluster whose nodes have admin ports, and a client of those that trusts nothing it reads.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use server::Options;
use server::config::Config;
use server::local::{Layout, Local, Way};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::cluster::PATIENCE;

/// A cluster that tells metrics and health at free ports.
pub fn watched(directory: &Path, layout: Layout) -> Local {
    changed(Way::Udp, directory, layout, |_| {})
}

/// The same over any transport, with nodes that are configured otherwise.
pub fn changed(way: Way, directory: &Path, layout: Layout, change: impl Fn(&mut Config)) -> Local {
    let change = |config: &mut Config| {
        config.timing.election_timeout = Duration::from_millis(250);
        config.admin = Some("127.0.0.1:0".parse().expect("an address"));
        change(config);
    };
    let options = Options::default();
    Local::start_changed(way, layout, directory, options, change).expect("a cluster")
}

/// An answer over HTTP.
#[derive(Debug)]
pub struct Answer {
    pub code: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Asks for a path.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    say(address, &format!("GET {path} HTTP/1.1\r\nHost: test\r\n\r\n")).await
}

/// Sends these bytes and reads to the end.
pub async fn say(address: SocketAddr, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers and ends");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).expect("a status");
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_lowercase(), value.to_owned())
    };
    let (code, headers) = (status.parse().expect("a number"), lines.map(header).collect());
    Answer { code, headers, body: body.to_owned() }
}

/// Asks for metrics until they are as they should be: a picture is a tenth of a second old.
pub async fn page_until(address: SocketAddr, is_so: impl Fn(&str) -> bool) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let page = get(address, "/metrics").await.body;
        if is_so(&page) {
            return page;
        }
        assert!(Instant::now() < deadline, "it does not come: {page}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// One line of a page of metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    pub name: String,
    pub labels: Vec<(String, String)>,
    pub value: f64,
}

/// Every sample of a page. No label's value of ours needs to be escaped.
pub fn samples(page: &str) -> Vec<Sample> {
    page.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

fn sample(line: &str) -> Sample {
    let (series, value) = line.rsplit_once(' ').expect("a value");
    let (name, labels) = match series.split_once('{') {
        None => (series, Vec::new()),
        Some((name, labels)) => {
            let labels = labels.strip_suffix('}').expect("the labels' end");
            let label = |text: &str| {
                let (name, value) = text.split_once('=').expect("a label's value");
                let value = value.strip_prefix('"').and_then(|it| it.strip_suffix('"'));
                (name.to_owned(), value.expect("quoted").to_owned())
            };
            (name, labels.split(',').map(label).collect())
        }
    };
    let is_named = name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    assert!(is_named && !name.is_empty(), "{line}");
    Sample { name: name.to_owned(), labels, value: value.parse().expect("a number") }
}
