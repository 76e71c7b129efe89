//! What the other rules could not read. It comes last.

use super::scene::Scene;
use super::{Finding, Rule, Scope, Severity};

pub(super) const RULES: &[Rule] = &[Rule {
    name: "readable",
    severity: Severity::Error,
    scope: Scope::Any,
    title: "everything that was to be checked could be read",
    why: "a card that fails to read, or was taken out, is no better than an empty one",
    link: "raspberrypi/rpi-imager#414",
    way_out: "check that the device is still there, and take another card",
    check: |scene: &Scene| -> Vec<Finding> { scene.failures() },
}];
