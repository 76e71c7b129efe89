//! `factory devices`: what an image can be written to, and what would be lost.

use std::process::ExitCode;

use serde::Serialize;

use crate::cli;
use crate::flash::contents::{self, Contents};
use crate::flash::devices::{Bus, Device, Machine};
use crate::flash::{render, rules};

#[derive(Serialize)]
struct Row {
    #[serde(flatten)]
    device: Device,
    refused: Option<String>,
    contents: Option<Contents>,
}

pub(super) fn run(arguments: &cli::Devices) -> anyhow::Result<ExitCode> {
    let mut devices = Machine::default().devices()?;
    // Loop devices stand ready by the dozen.
    devices.retain(|device| device.bus != Bus::Virtual || device.size.0 > 0);
    let rows: Vec<_> =
        devices.into_iter().map(row).filter(|row| arguments.all || row.refused.is_none()).collect();
    if arguments.json {
        super::print_json(&rows)?;
    } else {
        let text: String =
            rows.iter().map(|row| render::device(&row.device, row.contents.as_ref())).collect();
        let none = "no device can be written; `factory devices --all` says why\n";
        super::print(if text.is_empty() { none } else { &text })?;
    }
    Ok(ExitCode::SUCCESS)
}

fn row(device: Device) -> Row {
    let refusal = rules::device(&device.path, &device, None).err().map(|refusal| refusal.to_string());
    // The way out is for who named the device.
    let refused = refusal.and_then(|text| text.split("\n\n").next().map(str::to_owned));
    let contents = if device.size.0 > 0 { contents::read(&device.path) } else { None };
    Row { device, refused, contents }
}
