//! What the builder lays out, judged by the tools that everybody else uses.

mod fat;
mod gpt;
mod oracle;
mod trees;
