//! `paprika transitions`: the state machine of the connectors, as measured.

use super::{Kinds, Options, interrupted_or, kinds};
use crate::machine::Machine;
use crate::out::say;
use crate::qemu::command::Firmware;
use crate::transitions::{MEASURE, Measured, dot, measure, mermaid, text};
use clap::{Args, ValueEnum};
use std::time::Instant;

/// What is measured, and how it is drawn.
#[derive(Args, Clone, Debug)]
pub struct TransitionsOptions {
    /// The kinds of devices, with commas between: memory, cpu, pci, phb, pmem; `all` for all of them
    #[arg(long, value_name = "KINDS", default_value = "all", value_parser = kinds)]
    pub kinds: Kinds,
    /// The form
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
    /// How to set up the machine.
    #[command(flatten)]
    pub machine: Options,
}

/// A form of what was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Tables, for people.
    #[default]
    Text,
    /// A graph, for Graphviz.
    Dot,
    /// State diagrams, for Mermaid.
    Mermaid,
    /// One JSON object a QEMU.
    Json,
}

/// Help that does not fit beside an option.
pub(super) const AFTER_HELP: &str = "\
Every value of every indicator, every sensor and configure-connector, from every state, legal or not, and for an index that
belongs to no connector. What a correct hypervisor does not answer is marked with `!` and makes the status 1.

  paprika transitions --kinds memory                  the table of memory blocks
  paprika transitions --format dot | dot -Tsvg        the diagram
  paprika transitions --qemu qemu-system-ppc64 --qemu ./build/qemu-system-ppc64";

/// Does it; the exit status.
pub(super) fn transitions(options: &TransitionsOptions) -> anyhow::Result<u8> {
    let mut all = Vec::new();
    for mut setup in options.machine.setups()? {
        setup.append.push(MEASURE.to_owned());
        // A table takes a second or two; SLOF does not need its longer limit for that.
        let limit = options.machine.limit(Firmware::Vof);
        let mut machine = Machine::launch(&setup, Instant::now() + limit, Box::new(|_| {}))?;
        all.push(measure(&mut machine, &options.kinds.0, setup.qemu.banner.clone())?);
    }
    match options.format {
        Format::Text => say!("{}", text(&all).trim_end()),
        Format::Dot => all.iter().for_each(|one| say!("{}", dot(one).trim_end())),
        Format::Mermaid => all.iter().for_each(|one| say!("{}", mermaid(one).trim_end())),
        Format::Json => all.iter().for_each(|one| say!("{}", one.json())),
    }
    Ok(interrupted_or(status(&all)))
}

fn status(all: &[Measured]) -> u8 {
    if all.iter().all(|one| one.cells.is_empty()) {
        return 77;
    }
    let wrong = all.iter().any(|one| one.unexpected().next().is_some() || !one.missing.is_empty());
    u8::from(wrong)
}

#[cfg(test)]
mod tests {
    use super::status;
    use crate::transitions::Measured;
    use crate::transitions::testing::measured;

    #[test]
    fn what_is_wrong_or_was_not_measured_is_no_success() {
        assert_eq!(status(&[measured()]), 0);
        let mut wrong = measured();
        wrong.cells[0].expected = false;
        assert_eq!(status(&[measured(), wrong]), 1);
        let missing = Measured { missing: vec![(paprika::papr::drc::DrcKind::CPU, 2)], ..measured() };
        assert_eq!(status(&[missing]), 1);
        assert_eq!(status(&[Measured::default()]), 77);
    }
}
