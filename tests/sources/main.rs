//! Where external parts come from, against a small archive and a server that misbehaves.

#![allow(missing_docs, unreachable_pub, clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damage;
mod debian;
mod download;
mod signature;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod unpack;
mod world;
