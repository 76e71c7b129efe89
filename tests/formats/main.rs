//! What the builder lays out, judged by the tools that everybody else uses.

mod ext4;
mod fat;
mod gpt;
mod oracle;
mod trees;
mod writer;
