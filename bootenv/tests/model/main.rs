//! Every state that a machine can come into, whatever happens to it, in whatever order, is one that
//! keeps the promises of the README (I1 to I6). The search runs until it finds no new state.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod grub;
mod rpi;

use std::collections::{HashMap, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;

/// Tries that the model asks for: more than one, so that they can run out, be cut and come again.
const TRIES: [u8; 3] = [1, 2, 3];

/// All states that `next` leads to from `start`, each with how it was reached first.
fn explore<S: Clone + Eq + Hash + Debug>(
    start: S,
    next: impl Fn(&S) -> Vec<(String, Result<S, String>)>,
) -> HashMap<S, (Option<S>, String)> {
    let mut seen = HashMap::from([(start.clone(), (None, "a new image".to_owned()))]);
    let mut queue = VecDeque::from([start]);
    while let Some(state) = queue.pop_front() {
        for (event, outcome) in next(&state) {
            match outcome {
                Ok(new) if seen.contains_key(&new) => {}
                Ok(new) => {
                    seen.insert(new.clone(), (Some(state.clone()), event));
                    queue.push_back(new);
                }
                Err(broken) => panic!("{broken}\n{}then {event}", story(&seen, &state)),
            }
        }
    }
    seen
}

/// How a state came to be, one event a line.
fn story<S: Clone + Eq + Hash + Debug>(seen: &HashMap<S, (Option<S>, String)>, state: &S) -> String {
    let mut lines = Vec::new();
    let mut at = Some(state.clone());
    while let Some(state) = &at {
        let (before, event) = &seen[state];
        lines.push(format!("{event}\n    {state:?}\n"));
        at = before.clone();
    }
    lines.into_iter().rev().collect()
}
