//! What the loader of the generic track will read.

use bootenv::grub::{GRUBENV, GRUBENV_SPARE, GrubState};
use bootenv::grubenv::GrubEnv;

use super::fat::Fat;
use super::model::BootState;

/// Largest block that is read, in bytes; one of a wrong size shall be called that.
const LARGEST_BLOCK: u32 = 64 << 10;

/// Reads the boot state from the ESP: from the first copy, or from the spare where that is bad.
pub(super) fn read(esp: &Fat) -> BootState {
    let mut found =
        BootState { next: None, file: GRUBENV.to_owned(), variables: Vec::new(), problems: Vec::new() };
    for file in [GRUBENV, GRUBENV_SPARE] {
        match block(esp, file).and_then(|block| boot_state(&block)) {
            Ok(_) if found.next.is_some() => {}
            Ok((state, env)) => {
                found.next = Some(state.next().to_string());
                file.clone_into(&mut found.file);
                found.variables = variables(&env);
            }
            Err(problem) => found.problems.push(format!("`{file}`: {problem}")),
        }
    }
    found
}

fn block(esp: &Fat, file: &str) -> Result<Vec<u8>, String> {
    match esp.read(file, LARGEST_BLOCK) {
        Ok(Some(block)) => Ok(block),
        Ok(None) => Err("there is no such file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn boot_state(block: &[u8]) -> Result<(GrubState, GrubEnv), String> {
    let env = GrubEnv::decode(block).map_err(|error| error.to_string())?;
    let state = GrubState::decode(block).map_err(|error| error.to_string())?;
    Ok((state, env))
}

fn variables(env: &GrubEnv) -> Vec<(String, String)> {
    env.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
