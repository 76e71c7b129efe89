//! `factory boot --explain`: what a model of the Raspberry Pi's boot chain makes of an image.

use std::process::ExitCode;

use anyhow::anyhow;

use crate::board::{self, Board};
use crate::emulate::eeprom::{self, Explained, NEWEST, Question};
use crate::volume::Disk;
use crate::{cli, suggest};

pub(super) fn run(arguments: &cli::Boot) -> anyhow::Result<ExitCode> {
    let question = question(&arguments.pi)?;
    let answer = eeprom::ask(&Disk::open(&arguments.image)?, &question)?;
    if arguments.json {
        super::print_json(&Explained::new(&question, &answer))?;
    } else {
        super::print(&eeprom::render(&question, &answer))?;
    }
    if arguments.pi.rules {
        super::print(&format!("\n{}", eeprom::rules_table()))?;
    }
    Ok(if answer.boots.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the command line asks about which board.
pub(super) fn question(pi: &cli::Pi) -> anyhow::Result<Question> {
    let (name, variant) =
        pi.board.split_once(':').map_or((pi.board.as_str(), None), |(name, variant)| (name, Some(variant)));
    Ok(Question {
        board: find(name)?,
        variant: variant.map(str::to_owned),
        eeprom: pi.eeprom.clone().unwrap_or_else(|| NEWEST.to_owned()),
        reboot: pi.reboot_partition,
        tryboot: pi.tryboot,
    })
}

fn find(name: &str) -> anyhow::Result<&'static Board> {
    let names = || board::all().iter().map(|board| board.name.as_str());
    let hint = || match suggest::nearest(name, names())[..] {
        [] => format!("the boards are {}", names().collect::<Vec<_>>().join(", ")),
        [nearest, ..] => format!("did you mean `{nearest}`?"),
    };
    board::find(name).ok_or_else(|| anyhow!("there is no board `{name}`\n\nhint: {}", hint()))
}
