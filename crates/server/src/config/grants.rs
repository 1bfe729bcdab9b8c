//! `[[client]]`: who may ask for what, and how it shows who it is.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};

use serde::Deserialize;
use toml::Spanned;

use super::error::Located;
use super::{Problem, Transport};

/// The most clients that one file may name.
pub const CLIENTS_MAX: usize = 1024;

/// A name is a label of the name in a certificate.
const NAME_BYTES_MAX: usize = 63;

/// What a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Permission {
    /// Append values.
    Append,
    /// Read the history, follow it, and see what nodes say of themselves.
    Read,
    /// Everything that is for operators: move the leader, take the history away as a snapshot,
    /// cause faults where nodes run with `--dev`.
    Operate,
}

/// One client, and what it may ask for.
#[derive(Clone, PartialEq, Eq)]
pub struct Grant {
    /// As its certificate names it: lower-case letters, digits and hyphens, 63 at most.
    pub name: String,
    /// Never empty.
    pub permissions: BTreeSet<Permission>,
    /// SHA-256 of a token that is as good as its certificate. The token itself is in no file here.
    pub token_sha256: Option<[u8; 32]>,
}

/// As it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GrantShape {
    name: Spanned<String>,
    permissions: Spanned<BTreeSet<Permission>>,
    token_sha256: Option<Spanned<String>>,
}

/// Checks them all, in the order of the file. In plain text nobody can show who it is, so whoever
/// names clients there believes that something is protected.
pub(super) fn grants(
    shapes: &[Spanned<GrantShape>],
    transport: &Transport,
) -> Result<Vec<Grant>, Located> {
    let is_plain = !matches!(transport, Transport::Tls(_));
    if let (true, Some(first)) = (is_plain, shapes.first()) {
        return Err(Located::at(first.span(), Problem::ClientsUnknown(transport.name())));
    }
    if shapes.len() > CLIENTS_MAX {
        return Err(Located::whole_file(Problem::TooManyClients(shapes.len())));
    }
    let mut grants: Vec<Grant> = Vec::with_capacity(shapes.len());
    for shape in shapes {
        let grant = grant(shape.get_ref())?;
        let is_same = |it: &Grant| {
            let has_token = grant.token_sha256.is_some();
            it.name == grant.name || (has_token && it.token_sha256 == grant.token_sha256)
        };
        if grants.iter().any(is_same) {
            return Err(Located::at(shape.span(), Problem::ClientTwice(grant.name)));
        }
        grants.push(grant);
    }
    Ok(grants)
}

fn grant(shape: &GrantShape) -> Result<Grant, Located> {
    let name = shape.name.get_ref();
    let is_label = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_edge = name.starts_with('-') || name.ends_with('-');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || is_edge || !name.bytes().all(is_label) {
        return Err(Located::at(shape.name.span(), Problem::ClientName(name.clone())));
    }
    let permissions = shape.permissions.get_ref().clone();
    if permissions.is_empty() {
        let problem = Problem::NoPermission(name.clone());
        return Err(Located::at(shape.permissions.span(), problem));
    }
    let token_sha256 = match &shape.token_sha256 {
        None => None,
        Some(text) => match parse_hash(text.get_ref()) {
            Some(hash) => Some(hash),
            None => return Err(Located::at(text.span(), Problem::TokenHash)),
        },
    };
    Ok(Grant { name: name.clone(), permissions, token_sha256 })
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let is_hash = text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16);
    let mut hash = [0; 32];
    if !is_hash {
        return None;
    }
    for (at, to) in hash.iter_mut().enumerate() {
        *to = byte(at).ok()?;
    }
    Some(hash)
}

impl Grant {
    /// A client that may do everything, and shows a certificate.
    pub fn all(name: &str) -> Grant {
        let all = [Permission::Append, Permission::Read, Permission::Operate];
        Grant { name: name.to_owned(), permissions: all.into(), token_sha256: None }
    }

    pub(super) fn permissions_in_words(&self) -> String {
        self.permissions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }

    pub(super) fn write(&self, text: &mut String) -> fmt::Result {
        let permissions: Vec<_> = self.permissions.iter().map(|it| format!("\"{it}\"")).collect();
        writeln!(text, "\n[[client]]\nname = \"{}\"", self.name)?;
        writeln!(text, "permissions = [{}]", permissions.join(", "))?;
        if let Some(hash) = &self.token_sha256 {
            let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "token_sha256 = \"{hash}\"")?;
        }
        Ok(())
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Permission::Append => "append",
            Permission::Read => "read",
            Permission::Operate => "operate",
        })
    }
}

/// Without the hash: who has it and a weak token has the token.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grant { name, permissions, token_sha256 } = self;
        f.debug_struct("Grant")
            .field("name", name)
            .field("permissions", permissions)
            .field("has_token", &token_sha256.is_some())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::Config;

    const FILE: &str = "cluster = '000102030405060708090a0b0c0d0e0f'\nid = 1\ndata_dir = 'd'\n\
        network.transport = 'tls'\n[tls]\nca = 'a'\ncertificate = 'b'\nkey = 'c'\n\
        [[node]]\nid = 1\nroles = ['leader', 'acceptor']\n\
        disk = '202122232425262728292a2b2c2d2e2f'\npeers = '127.0.0.1:1'\n\
        clients = '127.0.0.1:2'\n";

    fn refused(clients: &str) -> String {
        let error = Config::parse(&format!("{FILE}{clients}"), Path::new("f")).unwrap_err();
        error.to_string()
    }

    #[test]
    fn what_is_wrong_with_a_client_is_said_with_its_line() {
        let client = |name: &str, permissions: &str, rest: &str| {
            format!("[[client]]\nname = '{name}'\npermissions = [{permissions}]\n{rest}\n")
        };
        let hash = "a".repeat(64);
        let token = format!("token_sha256 = '{hash}'");
        for name in ["", "App", "a.b", "-a", "a-", &"a".repeat(64)] {
            assert!(refused(&client(name, "'read'", "")).contains("names no client"), "{name}");
        }
        assert!(refused(&client("a", "", "")).contains("no permission"));
        let misspelt = refused(&client("a", "'apend'", ""));
        assert!(misspelt.contains("unknown permission `apend`"), "{misspelt}");
        let twice = client("a", "'read'", "") + &client("a", "'append'", "");
        assert!(refused(&twice).contains("earlier one"));
        let twice = client("a", "'read'", &token) + &client("b", "'append'", &token);
        assert!(refused(&twice).contains("earlier one"));
        let short = client("a", "'read'", "token_sha256 = 'ab'");
        assert!(refused(&short).starts_with("f:18: "), "{}", refused(&short));
        let plain =
            FILE.replace("'tls'\n[tls]\nca = 'a'\ncertificate = 'b'\nkey = 'c'", "'plaintext-udp'");
        let error = Config::parse(&(plain + &client("a", "'read'", "")), Path::new("f"));
        assert!(error.unwrap_err().to_string().contains("nobody can show"));
        let many = (0..=super::CLIENTS_MAX).map(|it| client(&it.to_string(), "'read'", ""));
        assert!(refused(&many.collect::<String>()).contains("1025 clients"));
    }

    #[test]
    fn the_hash_of_a_token_is_not_shown() {
        let file = format!(
            "{FILE}[[client]]\nname = 'a'\npermissions = ['read']\ntoken_sha256 = '{}'\n",
            "ab".repeat(32)
        );
        let config = Config::parse(&file, Path::new("f")).unwrap();
        assert_eq!(config.clients[0].token_sha256, Some([0xab; 32]));
        let shown = format!("{config:?}");
        assert!(shown.contains("has_token: true") && !shown.contains("abab"), "{shown}");
        assert!(!shown.contains("171"), "{shown}");
    }
}
