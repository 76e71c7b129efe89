//! `seed.toml`, as it is written.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;

use super::network::{Interface, Network};
use super::{Problem, keys};
use crate::config::{Name, explain};

/// A seed file. Its document for cloud-init is not read yet.
pub(super) struct Document {
    pub(super) hostname: Option<Name>,
    pub(super) keys: Vec<String>,
    pub(super) network: Network,
    /// Path from the directory of the file.
    pub(super) user_data: Option<PathBuf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct Fields {
    hostname: Option<Name>,
    ssh_keys: Vec<Spanned<String>>,
    user_data: Option<PathBuf>,
    network: BTreeMap<Spanned<String>, Interface>,
}

impl Document {
    /// Reads the text of a seed file.
    pub(super) fn parse(text: &str) -> Result<Document, Problem> {
        let fields: Fields = toml::from_str(text).map_err(|error| problem(text, &error))?;
        let mut found = Vec::new();
        for key in &fields.ssh_keys {
            let parsed = keys::parse_line(key.get_ref());
            found.push(parsed.map_err(|why| why.in_line(line(text, key.span())))?);
        }
        let mut network = Network::default();
        for (name, interface) in fields.network {
            let line = line(text, name.span());
            let added = network.add(name.into_inner(), interface);
            added.map_err(|(message, hint)| Problem { line, message, hint })?;
        }
        Ok(Document { hostname: fields.hostname, keys: found, network, user_data: fields.user_data })
    }
}

/// Line of a place, from 1.
fn line(text: &str, span: Range<usize>) -> usize {
    1 + text.get(..span.start).unwrap_or_default().matches('\n').count()
}

/// What the parser says, without the values that it quotes.
fn problem(text: &str, error: &toml::de::Error) -> Problem {
    let said = error.message().trim();
    let is_quoting =
        ["invalid type", "invalid value", "invalid length"].iter().any(|what| said.starts_with(what));
    let message = match said.rsplit_once(", expected ") {
        Some((_, expected)) if is_quoting => format!("this should be {expected}"),
        _ if is_quoting => "this is not of the kind that belongs here".to_owned(),
        // Of its hint, nothing is lost: the fields are in ours.
        _ => explain(said).0,
    };
    Problem {
        line: line(text, error.span().unwrap_or_default()),
        message,
        hint: "a seed has `hostname`, `ssh_keys`, `user_data`, and tables as `[network.eth0]` with `dhcp`, \
               `addresses`, `gateways` and `dns`",
    }
}
