//! What the builder lays out, judged by the tools that everybody else uses.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod bench;
mod containers;
mod disks;
mod ext4;
mod fat;
mod fat_add;
mod gpt;
mod oracle;
mod qcow2;
mod trees;
mod writer;
