//! How messages travel between nodes, as the file says it: `[network]` and `[tls]`.
//!
//! There is no default. Who forgets the word must learn of it before a message leaves unprotected,
//! and whoever reads the file must see that it is so.

use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::error::{Located, nearest};
use super::{Problem, Transport};
use crate::tls::Files;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NetworkShape {
    transport: Option<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TlsShape {
    ca: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
}

pub(super) fn transport(
    network: Option<NetworkShape>,
    tls: Option<Spanned<TlsShape>>,
) -> Result<Transport, Located> {
    let Some(word) = network.and_then(|network| network.transport) else {
        return Err(Located::whole_file(Problem::TransportMissing));
    };
    let plain = match word.get_ref().as_str() {
        "tls" => {
            let missing = || Located::at(word.span(), Problem::TlsMissing);
            let TlsShape { ca, certificate, key } = tls.ok_or_else(missing)?.into_inner();
            return Ok(Transport::Tls(Files { ca, certificate, key }));
        }
        "plaintext-tcp" => Transport::PlaintextTcp,
        "plaintext-udp" => Transport::PlaintextUdp,
        other => {
            let nearest = nearest(other, Transport::NAMES.into_iter()).map(str::to_owned);
            let (kind, word_as_written) = ("transport", other.to_owned());
            let problem = Problem::Unknown { kind, word: word_as_written, nearest };
            return Err(Located::at(word.span(), problem));
        }
    };
    // Whoever wrote it believes that something is protected.
    match tls {
        Some(tls) => Err(Located::at(tls.span(), Problem::TlsUnused(plain.name()))),
        None => Ok(plain),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Config;

    const REST: &str = "[[node]]\nid = 1\nroles = [\"leader\", \"acceptor\"]\n\
        disk = \"101112131415161718191a1b1c1d1e1f\"\npeers = \"127.0.0.1:1\"\n\
        clients = \"127.0.0.1:1\"\n";

    fn read(lines: &str) -> Result<Transport, String> {
        let head = "cluster = \"000102030405060708090a0b0c0d0e0f\"\nid = 1\ndata_dir = \"d\"\n";
        let read = Config::parse(&format!("{head}{lines}\n{REST}"), Path::new("f"));
        read.map(|config| config.transport).map_err(|error| {
            assert!(error.hint().is_some(), "{error}");
            format!("{error} ({})", error.hint().unwrap())
        })
    }

    #[test]
    fn a_file_that_does_not_say_how_is_refused() {
        for lines in ["", "[network]"] {
            let error = read(lines).unwrap_err();
            assert!(error.starts_with("f: `transport` is missing in [network]"), "{error}");
            assert!(error.contains("on a network that you trust, \"plaintext-tcp\""), "{error}");
        }
        assert_eq!(read("network.transport = \"plaintext-udp\""), Ok(Transport::PlaintextUdp));
        assert_eq!(read("network.transport = \"plaintext-tcp\""), Ok(Transport::PlaintextTcp));
    }

    #[test]
    fn a_misspelt_transport_gets_a_suggestion() {
        let error = read("network.transport = \"plaintext_tcp\"").unwrap_err();
        assert!(
            error.starts_with("f:4: unknown transport `plaintext_tcp` (did you mean"),
            "{error}"
        );
        let error = read("network.transport = \"tsl\"").unwrap_err();
        assert!(error.contains("write one of \"tls\", \"plaintext-tcp\""), "{error}");
    }

    #[test]
    fn tls_and_its_files_come_together() {
        let files = "[tls]\nca = \"a\"\ncertificate = \"b\"\nkey = \"c\"";
        let (ca, certificate, key) = ("a".into(), "b".into(), "c".into());
        assert_eq!(
            read(&format!("network.transport = \"tls\"\n{files}")),
            Ok(Transport::Tls(Files { ca, certificate, key }))
        );
        let error = read("network.transport = \"tls\"").unwrap_err();
        assert!(error.starts_with("f:4: the transport is \"tls\", and there is no [tls]"));
        let error = read(&format!("network.transport = \"plaintext-tcp\"\n{files}")).unwrap_err();
        assert!(error.contains("has no use for [tls]"), "{error}");
    }
}
