//! What went wrong: in words for people, on standard error, and as JSON for who asked for that, on standard
//! output.
//!
//! ```text
//! {"error": "flashing `/dev/sdb`", "causes": [...], "hint": "take another medium", "state": "not-bootable"}
//! ```

use serde::Serialize;

use crate::cli::Command;
use crate::flash::{Failed, State};
use crate::interrupt::Interrupted;

/// How a hint begins in the text of an error.
const HINT: &str = "hint: ";

/// An error, taken apart.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Failure {
    error: String,
    /// Why that was, each with its own reason behind it.
    causes: Vec<String>,
    /// The way out.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// What became of the target, of `factory flash`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

impl Failure {
    /// Takes the error of a command apart.
    pub(super) fn of(command: &Command, error: &anyhow::Error) -> Self {
        Failure { state: state(command, error), ..Failure::from(error) }
    }

    /// The end of a command that the user did not want to go on.
    pub(super) fn interrupted(command: &Command, error: &anyhow::Error) -> Self {
        Failure { state: state(command, error), ..Failure::from(&Interrupted.into()) }
    }

    /// `error: ` and the causes, one a line; a hint stays at the very end.
    pub(super) fn text(&self) -> String {
        let mut text = format!("error: {}", self.error);
        self.causes.iter().for_each(|cause| text.extend(["\n  because: ", cause]));
        if let Some(hint) = &self.hint {
            text.extend(["\n\n", HINT, hint]);
        }
        text
    }
}

/// What a flash left; one that did not begin left everything.
fn state(command: &Command, error: &anyhow::Error) -> Option<State> {
    let failed = error.downcast_ref::<Failed>().map(|failed| failed.state);
    matches!(command, Command::Flash(_)).then(|| failed.unwrap_or(State::Untouched))
}

impl From<&anyhow::Error> for Failure {
    fn from(error: &anyhow::Error) -> Self {
        let mut messages: Vec<String> = Vec::new();
        let mut hints: Vec<String> = Vec::new();
        for cause in error.chain() {
            let text = cause.to_string();
            let (message, hint) = text.split_once("\n\n").unwrap_or((&text, ""));
            if messages.last().is_none_or(|last| last != message) {
                messages.push(message.to_owned());
            }
            if !hint.is_empty() {
                hints.push(hint.strip_prefix(HINT).unwrap_or(hint).to_owned());
            }
        }
        let causes = messages.split_off(1.min(messages.len()));
        let hint = (!hints.is_empty()).then(|| hints.join(&format!("\n\n{HINT}")));
        Failure { error: messages.concat(), causes, hint, state: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("`esp` is too small\n\nhint: make it larger")]
    struct Inner;

    #[test]
    fn an_error_lists_its_causes_and_ends_with_the_hint() {
        let failure = Failure::from(&anyhow::Error::new(Inner).context("laying out the disk"));
        assert_eq!(
            failure.text(),
            "error: laying out the disk\n  because: `esp` is too small\n\nhint: make it larger"
        );
        assert_eq!((failure.causes.len(), failure.hint.as_deref()), (1, Some("make it larger")));
    }

    #[test]
    fn what_a_cause_repeats_is_said_once() {
        let failure = Failure::from(&anyhow::anyhow!("no").context("no"));
        assert_eq!((failure.text().as_str(), failure.causes.len()), ("error: no", 0));
    }
}
