//! Transitions: what every call about a connector comes to from every state, as a real hypervisor has it.
//!
//! The guest measures (`task=transitions`), and says of each row whether a correct hypervisor answers so. Here devices of
//! each kind are plugged for it, the rows are read, and drawn.

mod diagram;
mod table;

pub use diagram::{dot, mermaid};
pub use table::text;

use crate::checks::is_lacking;
use crate::device::{self, Family, Kind, LMB_BYTES};
use crate::machine::Machine;
use crate::qmp::QmpError;
use crate::scenario::power_down;
use crate::stop::Stop;
use crate::transcript::{Mark, Transcript};
use paprika::log::Record;
use paprika::papr::drc::DrcKind;
use serde_json::{Value, json};

/// How the guest is told to measure.
pub const MEASURE: &str = "task=transitions hold=handler-armed memtest=none";
/// Where it holds until everything is plugged.
const ARMED: &str = "handler-armed";
/// A block that was configured cannot be brought back, so it takes more than one.
const BLOCKS: u64 = 8;

/// A call from a state, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    /// What the connector connects.
    pub kind: DrcKind,
    /// The state before; `unknown` for an index that belongs to no connector.
    pub before: String,
    /// The call.
    pub call: String,
    /// What it returned, as a number and by its name.
    pub rc: (i32, String),
    /// What a sensor read, by its name; nothing for another call, or where it failed.
    pub sense: Option<String>,
    /// The state after it.
    pub after: String,
    /// Whether a correct hypervisor answers so.
    pub expected: bool,
}

impl Cell {
    /// Whether the call moved the connector.
    pub fn moves(&self) -> bool {
        self.rc.0 == 0 && self.before != self.after
    }
}

/// What was measured on one QEMU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Measured {
    /// The QEMU.
    pub qemu: String,
    /// Every row.
    pub cells: Vec<Cell>,
    /// Kinds that this QEMU lacks, with its words.
    pub lacking: Vec<(Family, String)>,
    /// Rows that could not be measured, by kind.
    pub missing: Vec<(DrcKind, u32)>,
}

impl Measured {
    /// The rows of a kind.
    pub fn of(&self, kind: DrcKind) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(move |cell| cell.kind == kind)
    }

    /// The kinds that were measured, in the order of their numbers.
    pub fn kinds(&self) -> Vec<DrcKind> {
        let mut kinds: Vec<DrcKind> = self.cells.iter().map(|cell| cell.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }

    /// The rows that are not what a correct hypervisor answers.
    pub fn unexpected(&self) -> impl Iterator<Item = &Cell> {
        self.cells.iter().filter(|cell| !cell.expected)
    }

    /// Every row as one JSON object.
    pub fn json(&self) -> Value {
        let cell = |cell: &Cell| {
            json!({
                "kind": cell.kind.to_string(), "before": cell.before, "call": cell.call, "rc": cell.rc.0,
                "status": cell.rc.1, "sense": cell.sense, "after": cell.after, "expected": cell.expected,
            })
        };
        let lacking = self.lacking.iter().map(|(family, words)| (family.to_string(), json!(words)));
        json!({
            "qemu": self.qemu,
            "rows": self.cells.iter().map(cell).collect::<Vec<_>>(),
            "lacking": lacking.collect::<serde_json::Map<_, _>>(),
        })
    }
}

/// Boots the guest, plugs devices of these families, and reads what it measures; `machine` was set up with [`MEASURE`].
///
/// # Errors
/// When the run stops before its end.
pub fn measure(machine: &mut Machine, families: &[Family], qemu: String) -> Result<Measured, Stop> {
    machine.start()?;
    machine.wait_for_hold(ARMED, Mark::default())?;
    let mut measured = Measured { qemu, ..Measured::default() };
    let mut kinds = Vec::new();
    for family in families {
        let kind = match family {
            Family::Memory => Kind::Dimm(BLOCKS * LMB_BYTES),
            other => other.kind(),
        };
        match device::plug(machine, family.noun(), kind) {
            Ok(_) => kinds.push(kind.connector()),
            Err(Stop::Qmp(QmpError::Refused { description, .. })) if is_lacking(&description) => {
                measured.lacking.push((*family, description));
            }
            Err(stop) => return Err(stop),
        }
    }
    let from = machine.transcript().mark();
    machine.go()?;
    for kind in kinds {
        let toured = |record: &Record<'_>| matches!(record, Record::Tour { kind: of, .. } if *of == kind);
        machine.wait_for_record(&format!("the table of {kind}"), from, toured)?;
    }
    power_down(machine)?;
    read(machine.transcript(), &mut measured);
    Ok(measured)
}

/// Takes the rows out of what the guest said.
fn read(transcript: &Transcript, measured: &mut Measured) {
    for entry in transcript.entries() {
        match entry.record {
            Record::Row { kind, before, call, rc, sense, after, expected, .. } => measured.cells.push(Cell {
                kind,
                before: before.to_string(),
                sense: (call.0.starts_with("sense") && rc.0 == 0).then(|| sense.to_string()),
                call: call.to_string(),
                rc: (rc.0, rc.to_string()),
                after: after.to_string(),
                expected,
            }),
            Record::Tour { kind, missing, .. } if missing > 0 => measured.missing.push((kind, missing)),
            _ => {}
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Cell, DrcKind, Measured};

    /// A row of a CPU's table.
    pub(crate) fn cell(before: &str, call: &str, rc: i32, after: &str) -> Cell {
        let name = if rc == 0 { "success" } else { "parameter-error" };
        Cell {
            kind: DrcKind::CPU,
            before: before.into(),
            call: call.into(),
            rc: (rc, name.into()),
            sense: None,
            after: after.into(),
            expected: true,
        }
    }

    /// A small table.
    pub(crate) fn measured() -> Measured {
        let cells = vec![
            cell("unusable", "allocation-state usable", 0, "available"),
            cell("unusable", "isolation-state isolate", 0, "unusable"),
            cell("available", "allocation-state usable", 0, "available"),
            cell("available", "isolation-state isolate", -3, "available"),
        ];
        Measured { qemu: "QEMU x".into(), cells, ..Measured::default() }
    }
}
